/**
 * The allocator: touches memory step by step until it is told to stop, or is killed.
 *
 * It is this very program, whose runtime takes some 50 MiB, and yet it fits a cgroup of 4 MiB. Memory is charged to the
 * cgroup in which it was first touched and stays there when its process moves on (v1 with move_charge_at_immigrate 0,
 * the default; v2 always). So everything that the loop needs is used once outside: libraries are loaded, the code is
 * compiled and run a few thousand times over scratch memory, the young generation of the heap has been through its
 * collections. Only then does it move in, and from there on touches nothing new but the pages that are to be counted. What
 * a limit of 4 MiB sees of the runtime is below 0.3 MiB, most of it the kernel's own per-CPU batch of 64 pages.
 */

import { OomkitError } from "../errors.ts";
import { microseconds } from "../kernel/clock.ts";
import { type OpenControlFile, openControlFile } from "../kernel/control_file.ts";
import { type Pages } from "../kernel/mapped_pages.ts";
import { dieWithParent } from "../kernel/process.ts";
import { type Allocation, ANSWERED_SIGNALS, type Ending } from "./allocation.ts";
import { mapKind } from "./allocated_pages.ts";
import { writeControl } from "../control/write.ts";
import { delay } from "../timing.ts";
import { memoryLine, progressLine } from "./progress.ts";

const SIGKILL = 9;
/** V8 optimizes a loop after some hundred rounds and collects the young generation within these. */
const WARM_UP_ROUNDS = 4000;
const WARM_UP_BYTES = 1024 ** 2;
const PAGE = 4096;
/** The kernel charges in batches of 64 pages (mm/memcontrol.c, MEMCG_CHARGE_BATCH): a step may count so much. */
const CHARGE_BATCH = 64 * PAGE;
/** Between looks at signals and HTTP requests, while it allocates as fast as it can. */
const BURST_MS = 2;

type Writer = { writeSync(bytes: Uint8Array): number };

/** What comes from outside while it allocates. */
interface Inbox {
  reply?: "free" | "exit";
  readonly attentive: boolean;
  readonly levelState: AbortController;
}

/**
 * Runs in the child process. Resolves when it has ended by itself; progress goes to stdout, and it starts when a line
 * comes on stdin. Throws {@link OomkitError} when it cannot start.
 */
export async function allocate(allocation: Allocation): Promise<void> {
  if (dieWithParent(SIGKILL) !== allocation.parent) return;
  introduce();
  const pages = mapKind(allocation, allocation.most);
  const usage = openControlFile(allocation.usageFile);
  const inbox: Inbox = {
    attentive: allocation.onSignal !== undefined || allocation.http !== undefined,
    levelState: new AbortController(),
  };
  await using _server = serveHealth(allocation);
  warmUp(allocation, usage);
  say(progressLine("ready", microseconds()));
  if (!await told()) return;
  answerSignals(allocation, inbox);
  if (allocation.enter !== undefined) enter(allocation.enter);
  Deno.stdout.writeSync(memoryLine("allocator_started", microseconds(), 0, usage.number()));
  await fillAndHold(allocation, pages, usage, inbox);
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

/** The name that the kernel log will show; and the first to die, should the whole machine run out instead. */
function introduce(): void {
  writeControl("/proc/self/comm", "oomkit-alloc");
  writeControl("/proc/self/oom_score_adj", "1000");
}

function enter(procsFile: string): void {
  const failure = writeControl(procsFile, "0");
  if (failure !== undefined) throw new OomkitError(`cannot move into ${procsFile}: ${failure}`);
}

/** False when the parent went away instead. */
async function told(): Promise<boolean> {
  return await Deno.stdin.read(new Uint8Array(8)) !== null;
}

function warmUp(allocation: Allocation, usage: OpenControlFile): void {
  const scratch = mapKind(allocation, WARM_UP_BYTES);
  using nowhere = Deno.openSync("/dev/null", { write: true });
  const spot: Spot = { offset: 0, told: 0 };
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    if (spot.offset + PAGE > WARM_UP_BYTES) spot.offset = spot.told = 0;
    takeStep(spot, scratch, usage, PAGE, 0, nowhere);
  }
  scratch.free();
}

interface Spot {
  offset: number;
  /** The offset that was last reported. */
  told: number;
}

/** One step; returns the usage after it. */
function takeStep(
  spot: Spot,
  pages: Pages,
  usage: OpenControlFile,
  step: number,
  report: number,
  to: Writer,
): number | undefined {
  pages.touch(spot.offset, step);
  spot.offset += step;
  const now = usage.number();
  if (spot.offset - spot.told >= report) {
    to.writeSync(memoryLine("used", microseconds(), spot.offset, now));
    spot.told = spot.offset;
  }
  return now;
}

/** Over and over, where a signal means to free everything and start again. */
async function fillAndHold(
  allocation: Allocation,
  pages: Pages,
  usage: OpenControlFile,
  inbox: Inbox,
): Promise<void> {
  for (;;) {
    const ending = await fill(allocation, pages, usage, inbox);
    if (ending !== "signal") {
      say(progressLine("done", microseconds(), ending));
      await delay(allocation.hold, inbox.levelState.signal);
      if (inbox.reply === undefined) return;
    }
    if (inbox.reply === "exit") return say(progressLine("done", microseconds(), "signal"));
    pages.free();
    pages = mapKind(allocation, allocation.most);
    Deno.stdout.writeSync(memoryLine("used", microseconds(), 0, usage.number()));
    rearm(inbox);
  }
}

function rearm(inbox: Inbox): void {
  delete inbox.reply;
  (inbox as { levelState: AbortController }).levelState = new AbortController();
}

async function fill(
  { most, step, report, rate, stopAt = Infinity }: Allocation,
  pages: Pages,
  usage: OpenControlFile,
  inbox: Inbox,
): Promise<Ending> {
  const spot: Spot = { offset: 0, told: 0 };
  const began = performance.now();
  let used = usage.number();
  for (;;) {
    const now = performance.now();
    const due = rate === undefined ? Infinity : rate * (now - began) / 1000;
    const pause = inbox.attentive || rate !== undefined ? now + BURST_MS : Infinity;
    while (spot.offset + step <= due) {
      if ((used ?? spot.offset) + Math.max(step, CHARGE_BATCH) > stopAt) return "stop";
      if (spot.offset + step > most) return "most";
      used = takeStep(spot, pages, usage, step, report, Deno.stdout);
      if (pause !== Infinity && performance.now() > pause) break;
    }
    const ahead = rate === undefined ? 0 : (spot.offset + step) / rate * 1000 - (now - began);
    await delay(Math.max(0, ahead), inbox.levelState.signal);
    if (inbox.reply !== undefined) return "signal";
  }
}

function answerSignals({ onSignal }: Allocation, inbox: Inbox): void {
  // A terminal sends these to the whole foreground group; the parent decides what comes of them.
  for (const name of ["SIGINT", "SIGHUP"] as const) Deno.addSignalListener(name, () => {});
  if (onSignal === undefined) return;
  for (const name of ANSWERED_SIGNALS) {
    Deno.addSignalListener(name, () => {
      say(progressLine("signal", microseconds(), name));
      if (onSignal === "ignore") return;
      inbox.reply = onSignal;
      inbox.levelState.abort();
    });
  }
}

function serveHealth({ http }: Allocation): AsyncDisposable {
  if (http === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() };
  try {
    const answer = ({ url }: Request) =>
      new URL(url).pathname === "/healthz"
        ? new Response("ok\n")
        : new Response("there is only /healthz\n", { status: 404 });
    return Deno.serve({ ...http, onListen: () => {} }, answer);
  } catch (error) {
    const why = error instanceof Deno.errors.AddrInUse
      ? "the port is in use"
      : error instanceof Error
      ? error.message.split(" (os error")[0]
      : String(error);
    throw new OomkitError(
      `cannot listen on ${http.hostname}:${http.port}: ${why}`,
      "choose another port with --http",
    );
  }
}
