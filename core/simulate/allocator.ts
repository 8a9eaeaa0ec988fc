/**
 * The allocator process: touches memory step by step until it stops by itself or is killed.
 *
 * It is the same program as oomkit, with a runtime of about 50 MiB, and yet it fits a cgroup of 4 MiB. Memory is charged to
 * the cgroup in which it is first touched and stays there when its process moves (v1 with move_charge_at_immigrate 0, the
 * default; v2 always). So the allocator uses everything that its loop needs once before it moves: libraries are loaded, the
 * code is compiled and run a few thousand times over scratch memory, the young generation of the heap has been collected.
 * After the move it touches nothing new but the pages that are counted. A limit of 4 MiB sees less than 0.3 MiB of the
 * runtime, most of it the kernel's own per-CPU batch of 64 pages.
 */

import * as v from "valibot";
import { reasonOf, writeControl } from "../control/write.ts";
import { OomkitError } from "../errors.ts";
import { microseconds } from "../kernel/clock.ts";
import { type OpenControlFile, openControlFile } from "../kernel/control_file.ts";
import { O_RDWR, openFd } from "../kernel/fd.ts";
import { errnoOf, SystemCallError } from "../kernel/libc.ts";
import { mapAnonymous, mapFile, mapShared, type Pages } from "../kernel/mapped_pages.ts";
import { pageSize } from "../kernel/page_size.ts";
import { dieWithParent, setTitle } from "../kernel/process.ts";
import { delay } from "../timing.ts";
import { removeIfPossible } from "./remove.ts";
import {
  ANSWERED_SIGNALS,
  KINDS,
  memoryLine,
  progressLine,
  SIGNAL_REPLIES,
  type StopReason,
} from "./allocator_protocol.ts";

const NAME = "oomkit-alloc";
const SIGKILL = 9;
/** V8 optimizes a loop after some hundred rounds and collects the young generation within these. */
const WARM_UP_ROUNDS = 4000;
const WARM_UP_BYTES = 1024 ** 2;
/** The kernel charges in batches (mm/memcontrol.c, MEMCG_CHARGE_BATCH): one step may raise usage by this many pages. */
const CHARGE_BATCH_PAGES = 64;
/** How long it allocates at full speed before it handles signals and HTTP requests again. */
const MAX_BURST_MS = 2;

const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** The one argument of an allocator process, as JSON. It is checked here, so that only the allocators load the checker. */
const allocationSchema = v.strictObject({
  kind: v.picklist(KINDS),
  /** `cgroup.procs` of the cgroup to move into; absent: the allocator stays in its cgroup. */
  procsFile: v.exactOptional(v.string()),
  /** The control file with the usage of that cgroup. */
  usageFile: v.string(),
  /** Upper bound of what the allocator touches. */
  maxBytes: bytes,
  /** The allocator stops before usage exceeds this. */
  stopAt: v.exactOptional(bytes),
  /** What is touched at a time. */
  step: v.pipe(bytes, v.minValue(1)),
  /** Progress is reported each time that this much more was touched. */
  reportStep: bytes,
  /** Bytes per second; absent: as fast as possible. */
  rate: v.exactOptional(v.number()),
  /** How long the allocator keeps its memory after it has stopped. */
  holdMs: v.number(),
  onSignal: v.exactOptional(v.picklist(SIGNAL_REPLIES)),
  http: v.exactOptional(v.strictObject({ hostname: v.string(), port: v.number() })),
  /** A directory on a disk, for `file`. */
  directory: v.exactOptional(v.string()),
  /** The allocator is killed when this process ends. */
  parentPid: v.number(),
});

/** Sizes are bytes. */
export type Allocation = Readonly<v.InferOutput<typeof allocationSchema>>;

/** Throws {@link OomkitError} for text that does not come from `simulate`. */
export function parseAllocation(text: string): Allocation {
  try {
    return v.parse(allocationSchema, JSON.parse(text));
  } catch {
    throw new OomkitError(
      "cannot allocate: the argument does not come from simulate",
      "use oomkit simulate",
    );
  }
}

/** What a signal asked for; `wake` ends the wait that is under way. */
interface SignalState {
  reply?: "free" | "exit";
  wake: AbortController;
}

/**
 * Runs in the child process: reports `ready` on stdout, starts when a line arrives on stdin, and resolves when it has stopped
 * by itself. Throws {@link OomkitError} when it cannot start.
 */
export async function allocate(allocation: Allocation): Promise<void> {
  // A parent that died before the call sends no death signal any more.
  if (dieWithParent(SIGKILL) !== allocation.parentPid) return;
  // The kernel log shows this name. If the machine runs out of memory instead, the allocator is the first victim.
  writeControl("/proc/self/comm", NAME);
  // A guard of the machine spares oomkit by its command line.
  setTitle(NAME);
  writeControl("/proc/self/oom_score_adj", "1000");
  const pages = mapPages(allocation, allocation.maxBytes);
  const usage = openControlFile(allocation.usageFile);
  const signals: SignalState = { wake: new AbortController() };
  await using _server = serveHealth(allocation);
  warmUp(allocation, usage);
  print(progressLine("ready", microseconds()));
  // `null` is the end of the pipe: the parent is gone.
  if (await Deno.stdin.read(new Uint8Array(8)) === null) return;
  answerSignals(allocation, signals);
  if (allocation.procsFile !== undefined) moveInto(allocation.procsFile);
  Deno.stdout.writeSync(memoryLine("allocator_started", microseconds(), 0, usage.number()));
  await fillAndHold(allocation, pages, usage, signals);
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function moveInto(procsFile: string): void {
  const failure = writeControl(procsFile, "0");
  if (failure !== undefined) {
    throw new OomkitError(`cannot move the allocator into ${procsFile}: ${failure}`);
  }
}

/** Touches pages from the first to the last, one step at a time, and reports on the way. */
class Filler {
  offset = 0;
  #reportedOffset = 0;

  constructor(
    private readonly pages: Pages,
    private readonly usage: OpenControlFile,
    private readonly step: number,
    private readonly reportStep: number,
    private readonly output: { writeSync(bytes: Uint8Array): number },
  ) {}

  restart(): void {
    this.offset = this.#reportedOffset = 0;
  }

  /** Touches one step; returns the usage after it. */
  touchStep(): number | undefined {
    this.pages.touch(this.offset, this.step);
    this.offset += this.step;
    const used = this.usage.number();
    if (this.offset - this.#reportedOffset >= this.reportStep) {
      this.output.writeSync(memoryLine("used", microseconds(), this.offset, used));
      this.#reportedOffset = this.offset;
    }
    return used;
  }
}

function warmUp(allocation: Allocation, usage: OpenControlFile): void {
  const scratch = mapPages(allocation, WARM_UP_BYTES);
  using devNull = Deno.openSync("/dev/null", { write: true });
  const page = pageSize();
  const filler = new Filler(scratch, usage, page, 0, devNull);
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    if (filler.offset + page > WARM_UP_BYTES) filler.restart();
    filler.touchStep();
  }
  scratch.free();
}

/** Fills and holds once, and again each time that a signal asks to free everything. */
async function fillAndHold(
  allocation: Allocation,
  pages: Pages,
  usage: OpenControlFile,
  signals: SignalState,
): Promise<void> {
  for (;;) {
    const reason = await fill(allocation, pages, usage, signals);
    if (reason !== "signal") {
      print(progressLine("done", microseconds(), reason));
      await delay(allocation.holdMs, signals.wake.signal);
      if (signals.reply === undefined) return;
    }
    if (signals.reply === "exit") return print(progressLine("done", microseconds(), "signal"));
    pages.free();
    pages = mapPages(allocation, allocation.maxBytes);
    Deno.stdout.writeSync(memoryLine("used", microseconds(), 0, usage.number()));
    delete signals.reply;
    signals.wake = new AbortController();
  }
}

async function fill(
  { maxBytes, step, reportStep, rate, stopAt = Infinity, onSignal, http }: Allocation,
  pages: Pages,
  usage: OpenControlFile,
  signals: SignalState,
): Promise<StopReason> {
  const filler = new Filler(pages, usage, step, reportStep, Deno.stdout);
  const mustYield = rate !== undefined || onSignal !== undefined || http !== undefined;
  const batch = CHARGE_BATCH_PAGES * pageSize();
  const startedAt = performance.now();
  let used = usage.number();
  for (;;) {
    const now = performance.now();
    const dueBytes = rate === undefined ? Infinity : rate * (now - startedAt) / 1000;
    const burstEnd = mustYield ? now + MAX_BURST_MS : Infinity;
    while (filler.offset + step <= dueBytes) {
      if ((used ?? filler.offset) + Math.max(step, batch) > stopAt) return "stop_at";
      if (filler.offset + step > maxBytes) return "max_bytes";
      used = filler.touchStep();
      if (burstEnd !== Infinity && performance.now() > burstEnd) break;
    }
    const nextDueMs = rate === undefined ? 0 : (filler.offset + step) / rate * 1000;
    await delay(Math.max(0, nextDueMs - (now - startedAt)), signals.wake.signal);
    if (signals.reply !== undefined) return "signal";
  }
}

function answerSignals({ onSignal }: Allocation, signals: SignalState): void {
  // A terminal sends these to the whole foreground group; only the parent acts on them.
  for (const name of ["SIGINT", "SIGHUP"] as const) Deno.addSignalListener(name, () => {});
  if (onSignal === undefined) return;
  for (const name of ANSWERED_SIGNALS) {
    Deno.addSignalListener(name, () => {
      print(progressLine("signal", microseconds(), name));
      if (onSignal === "ignore") return;
      signals.reply = onSignal;
      signals.wake.abort();
    });
  }
}

function serveHealth({ http }: Allocation): AsyncDisposable {
  if (http === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  try {
    return Deno.serve(
      { ...http, onListen: () => {} },
      ({ url }) =>
        new URL(url).pathname === "/healthz"
          ? new Response("ok\n")
          : new Response("only /healthz is served\n", { status: 404 }),
    );
  } catch (error) {
    const reason = error instanceof Deno.errors.AddrInUse ? "the port is in use" : reasonOf(error);
    throw new OomkitError(
      `cannot listen on ${http.hostname}:${http.port}: ${reason}`,
      "choose another port with --http",
    );
  }
}

/** Throws {@link OomkitError} where there is no room for the pages, or no directory or space for their file. */
function mapPages({ kind, directory }: Allocation, size: number): Pages {
  try {
    if (kind === "file") return mapTemporaryFile(directory, size);
    return kind === "anon" ? mapAnonymous(size) : mapShared(size);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new OomkitError(`cannot reserve ${size} bytes: ${error.message}`, "allocate less");
  }
}

/**
 * A shared mapping of a file on a disk: written pages are page cache, first dirty, then clean, which the kernel can reclaim.
 * The file is unlinked once it is mapped, so nothing stays on the disk even when the allocator is killed.
 */
function mapTemporaryFile(directory: string | undefined, size: number): Pages {
  let path: string | undefined;
  try {
    path = Deno.makeTempFileSync({ prefix: "oomkit-sim-", ...directory && { dir: directory } });
    Deno.truncateSync(path, size);
  } catch (error) {
    if (path !== undefined) removeIfPossible(path);
    const reason = errnoOf(error) === "ENOSPC" ? "no space left" : reasonOf(error);
    throw new OomkitError(
      `cannot make a file in ${directory ?? "the temporary directory"}: ${reason}`,
    );
  }
  try {
    // The mapping keeps the file.
    using fd = openFd(path, O_RDWR);
    return mapFile(fd, size);
  } finally {
    removeIfPossible(path);
  }
}
