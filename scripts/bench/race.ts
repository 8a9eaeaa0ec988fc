/**
 * `oomkit guard`, or another program in its place, against the kernel's OOM killer: each run fills a new cgroup and counts
 * which of the two kills first.
 *
 * The filler logs the crossing of the level and the last page; it reads usage after each 32 KiB. On v1 usage
 * includes the charge that each CPU has taken in advance, up to 64 pages, so that the crossing is seen too early: the
 * time to the last page is an upper bound. Memory is free when usage is below half of the limit, with a guard and without.
 */

import { fileURLToPath } from "node:url";
import { type Cgroup, readCounters, readPeak } from "../../core/cgroup/cgroup.ts";
import { tryReadText } from "../../core/cgroup/files.ts";
import { microseconds } from "../../core/kernel/clock.ts";
import { openControlFile } from "../../core/kernel/control_file.ts";
import { type EpollSet, joinEpoll, openEpoll } from "../../core/kernel/epoll.ts";
import { takeEventfd } from "../../core/kernel/fd.ts";
import { libc } from "../../core/kernel/libc.ts";
import { setSchedFifo } from "../../core/kernel/scheduling.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { delay } from "../../core/timing.ts";
import { arm } from "../../core/watch/triggers.ts";
import { delegateMemory, forbidSwap, makeChild, MIB, setLimit } from "../cgroups.ts";
import { Mistake, note, progress } from "../terminal.ts";
import {
  createBenchCgroup,
  endChild,
  makeBenchDirectory,
  startChild,
  unlessInterrupted,
  within,
} from "./cleanup.ts";
import { startRaceGuard, whyNot } from "./programs.ts";
import { type Filling, mapLog, STEP } from "./race_filler.ts";
import { isPeer, type Racer, startPeer, whyNotRaced } from "./race_peers.ts";
import {
  type Cell,
  cellName,
  cellsOf,
  type Condition,
  hasWon,
  type Load,
  LOADS,
  parseRaceOptions,
  type Raced,
  raceLines,
  type RaceMode,
  type RaceOptions,
  raceTables,
  type Run,
  targetLines,
} from "./race_results.ts";
import { load } from "./records.ts";
import type { Measured } from "./statistics.ts";

const MAX_FILLERS = 4;
const LARGEST = 1.5 * 512 * MIB;
/** A lost run lasts until a deadline: this many in one cell are enough. */
const MAX_STUCK = 3;

export async function race(args: readonly string[]): Promise<Measured> {
  const options = parseRaceOptions(args);
  const bench = createBenchCgroup(Infinity);
  const version = bench.hierarchy.version.number;
  const cells = cellsOf(version, options).filter(isPossible);
  if (cells.length === 0) throw new Mistake("cannot race: nothing has all of these words");
  const guardedParent = makeParent(bench, "guarded");
  const aloneParent = makeParent(bench, "alone");
  const directory = makeBenchDirectory(true);
  using epoll = openEpoll();
  const cores = navigator.hardwareConcurrency;
  const isTimed = !isEmulated();
  const started = performance.now();
  const refused = setSchedFifo();
  if (refused) note(`race: memory may be seen to be free late (SCHED_FIFO: ${refused})`);
  const logs = makeLogs(directory);
  const raced: Raced[] = [];
  await using _load = await startLoad(options.beside);
  for (const mode of new Set(cells.map((cell) => cell.mode))) {
    const why = isPeer(mode) ? whyNotRaced(mode) : undefined;
    if (why !== undefined) {
      note(`race: without ${mode}: ${why}`);
      continue;
    }
    await using racer = await startRacer(mode, guardedParent, directory, options);
    note(`race: ${racer.said}`);
    for (const cell of cells.filter((each) => each.mode === mode)) {
      const name = `${mode}, ${cellName(cell, cores)}`;
      await using _stress = await stress(cell.condition, cores, guardedParent, racer);
      const guarded: Run[] = [];
      const alone: Run[] = [];
      for (let run = 0; run < options.runs; run++) {
        await unlessInterrupted();
        const done = raced.length * options.runs + run;
        progress.show(`bench: race, ${name}`, done, cells.length * options.runs);
        // In turn, so that other load affects both alike.
        guarded.push(await raceOnce({ parent: guardedParent, epoll, logs }, cell, racer));
        // The kernel frees memory at the same pace, however slowly it was filled.
        if (isTimed && cell.rate === undefined) {
          alone.push(await raceOnce({ parent: aloneParent, epoll, logs }, cell, undefined));
        }
        if (guarded.filter(({ isStuck }) => isStuck).length >= MAX_STUCK) break;
      }
      raced.push({ cell, guarded, alone });
      note(`race: ${name}: ${guarded.filter(hasWon).length} of ${guarded.length}`);
    }
  }
  const minutes = (performance.now() - started) / 60_000;
  const lines = [
    `${
      options.isOfPeers ? "peers" : "guard"
    } against the kernel's killer, ${options.runs} runs each, ${minutes.toFixed(1)} minutes${
      options.isLive ? ", with the live view" : ""
    }${options.beside ? `, beside ${LOADS[options.beside]}` : ""}; load ${
      load().toFixed(2)
    } at the end`,
    ...isTimed ? [] : ["this machine is emulated: wins count here, times do not"],
    ...raceLines(raced, version, cores),
    "",
    ...options.isOfPeers ? [] : targetLines(
      raced,
      version === 1 ? ["hold-near-limit", "notify", "hold"] : ["throttle"],
      isTimed,
    ),
  ];
  return {
    tables: isTimed ? raceTables(raced, cores) : [],
    lines: ["", ...lines],
    isPart: options.only.length > 0 || options.isLive || options.isOfPeers ||
      options.beside !== undefined,
  };
}

function makeParent(bench: Cgroup, name: string): Cgroup {
  delegateMemory(bench);
  const made = makeChild(bench, name);
  delegateMemory(made);
  return made;
}

function makeLogs(directory: string): Arena["logs"] {
  return Array.from({ length: MAX_FILLERS }, (_, n) => {
    const path = `${directory}/log${n}`;
    // Written here, so that it is not charged to the cgroup that is filled.
    Deno.writeFileSync(path, new Uint8Array(16 * (LARGEST / STEP + 2)));
    return { path, entries: mapLog(path) };
  });
}

function isPossible({ condition, mode }: Cell): boolean {
  if (condition !== "huge") return true;
  const setting = tryReadText("/sys/kernel/mm/transparent_hugepage/enabled") ?? "[never]";
  if (!setting.includes("[never]")) return true;
  note(`race: ${mode} without 2 MiB pages, which this kernel does not give`);
  return false;
}

interface Arena {
  readonly parent: Cgroup;
  readonly epoll: EpollSet;
  /** One for each filler, shared by both processes. */
  readonly logs: readonly { readonly path: string; readonly entries: Float64Array }[];
}

/** Also enough for an emulated machine with other load. */
const LONGEST_MS = 60_000;
const GUARDED_WITHIN_MS = 60_000;
const PRIO_PROCESS = 0;
const MIN_NICE = -20;
/** From the exits to the last event about them; beside CPU workers an emulated machine took over 2 s. */
const MAX_MS_TO_REPORT = 20_000;
/** Between two kills that are reported together, once memory is free. */
const TOGETHER_MS = 2;
/** The slow part of a slow filler: this many seconds, but at most this share of the limit. */
const SLOW_SECONDS = 0.5;
const SLOW_SHARE = 0.15;
const SWEEP_MS = 100;

let count = 0;

/** One run: a new cgroup, filled until a process is killed, and the figures read afterwards. */
async function raceOnce(
  { parent, epoll, logs }: Arena,
  cell: Cell,
  racer: Racer | undefined,
): Promise<Run> {
  const limit = cell.limit * MIB;
  const cgroup = makeChild(parent, `run${cell.limit}-${count++}`);
  forbidSwap(cgroup);
  setLimit(cgroup, limit);
  const threshold = await racer?.follow(cgroup, limit) ?? limit;
  if (cell.condition === "high") {
    Deno.writeTextFileSync(`${cgroup.dir}/memory.high`, String(threshold));
  }
  const mine = logs.slice(0, cell.condition === "four" ? MAX_FILLERS : 1);
  const fillers = mine.map(({ path }) => startFiller(fillingOf(cgroup, cell, threshold, path)));
  try {
    const isReady = Promise.all(fillers.map(({ ready }) => ready));
    if (!await within(LONGEST_MS, isReady)) throw new Mistake("cannot race: a filler is not ready");
    const begin = () => Promise.all(fillers.map((filler) => filler.begin()));
    // With several fillers usage does not show what one of them has freed.
    const freedAt = fillers.length > 1
      ? void await begin()
      : await timeFree(cgroup, limit / 2, mine[0]!.entries, epoll, begin);
    const isOver = await within(LONGEST_MS, Promise.all(fillers.map(({ ended }) => ended)));
    const kernelKills = Number(readCounters(cgroup)?.local.oomKill ?? NaN);
    const kills = racer?.kills
      ? await killsOf(racer.kills, cgroup.path, fillers.length - kernelKills)
      : racer && isOver && kernelKills === 0
      ? [{ pid: fillers[0]!.pid, ts: 0, signalMs: undefined }]
      : [];
    const first = kills[0];
    const victim = fillers.findIndex(({ pid }) => pid === first?.pid);
    const crossedAt = Math.min(...mine.map(({ entries }) => crossing(entries, threshold)));
    const lastAt = lastOf(mine[Math.max(0, victim)]!.entries);
    const since = racer ? crossedAt : lastAt;
    return {
      limit,
      threshold,
      kernelKills,
      killed: kills.filter(({ ts }) => ts - first!.ts <= TOGETHER_MS).length,
      isStuck: !isOver,
      peak: readPeak(cgroup),
      signalMs: first?.signalMs,
      lastPage: victim < 0 ? undefined : duration(crossedAt, lastAt),
      free: freedAt === undefined || (racer && victim < 0) ? undefined : duration(since, freedAt),
    };
  } finally {
    for (const { child } of fillers) endChild(child);
    await Promise.all(fillers.map(({ ended }) => ended));
    await removeCgroup(cgroup);
  }
}

function fillingOf(cgroup: Cgroup, cell: Cell, threshold: number, log: string): Filling {
  const limit = cell.limit * MIB;
  const rate = cell.rate === undefined ? undefined : cell.rate * MIB;
  return {
    parent: Deno.pid,
    procsFile: `${cgroup.dir}/cgroup.procs`,
    usageFile: `${cgroup.dir}/${cgroup.hierarchy.version.usageFile}`,
    log,
    most: 1.5 * limit,
    isHuge: cell.condition === "huge",
    ...(rate !== undefined &&
      { slow: { rate, from: threshold - Math.min(SLOW_SECONDS * rate, SLOW_SHARE * limit) } }),
  };
}

function startFiller(filling: Filling) {
  const script = fileURLToPath(new URL("./race_filler.ts", import.meta.url));
  const flags = ["run", "-A", "--quiet", "--no-check", "--no-config", "--no-lock"];
  const child = startChild([Deno.execPath(), ...flags, script, JSON.stringify(filling)], {
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
  // The start is no part of the race; beside other load it would take most of the time of a run.
  libc().setpriority(PRIO_PROCESS, child.pid, MIN_NICE);
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  return {
    child,
    pid: child.pid,
    ready: reader.read(),
    begin: () => writer.write(new TextEncoder().encode("go\n")),
    ended: child.status.finally(async () => {
      await reader.cancel().catch(() => {});
      await writer.abort().catch(() => {});
    }),
  };
}

/**
 * When usage fell below `mark` after it had been above. This thread sleeps meanwhile: on v1 until the kernel notifies that `mark`
 * was crossed; on v2, which has no such notification, for a millisecond at a time.
 *
 * @returns microseconds since the epoch; `undefined` when it never did.
 */
async function timeFree(
  cgroup: Cgroup,
  mark: number,
  log: Float64Array,
  epoll: EpollSet,
  begin: () => Promise<unknown>,
): Promise<number | undefined> {
  const { usageFile, notifiesThresholds } = cgroup.hierarchy.version;
  using usage = openControlFile(`${cgroup.dir}/${usageFile}`);
  const argument = String(mark);
  const trigger = { kind: "eventfd", file: usageFile, argument, event: "threshold" } as const;
  const armed = notifiesThresholds
    ? arm(cgroup, trigger, 1, { epoll, inotify: undefined })
    : undefined;
  try {
    const set = joinEpoll(epoll.shared);
    await begin();
    for (const deadline = performance.now() + LONGEST_MS; performance.now() < deadline;) {
      set.block(armed ? SWEEP_MS : 1);
      // In this order: rising usage may cross the mark between the two.
      const wasAbove = usageAt(log, log[0]!) >= mark;
      if (wasAbove && (usage.number() ?? 0) < mark) return microseconds();
      if (armed && "fd" in armed) takeEventfd(armed.fd);
    }
    return undefined;
  } finally {
    armed?.disarm();
  }
}

const timeAt = (log: Float64Array, entry: number) => log[2 * entry]!;
const usageAt = (log: Float64Array, entry: number) => entry === 0 ? 0 : log[2 * entry + 1]!;

/** When the filler first saw usage at `threshold`, or began the step that reached it when it was killed. */
function crossing(log: Float64Array, threshold: number): number {
  for (let entry = 1; entry <= log[0]!; entry++) {
    if (usageAt(log, entry) >= threshold) return timeAt(log, entry);
  }
  return lastOf(log);
}

/** The end of the last step, or the beginning of the step in which the filler was killed. */
function lastOf(log: Float64Array): number {
  const done = log[0]!;
  const last = Math.max(done === 0 ? 0 : timeAt(log, done), timeAt(log, done + 1));
  return last === 0 ? NaN : last;
}

/** Milliseconds. The step that crossed the level may be the last one. */
function duration(from: number, to: number): number | undefined {
  return Number.isFinite(from) && Number.isFinite(to) ? Math.max(0, to - from) / 1000 : undefined;
}

/** Waits for a bounded time until `expected` are reported. */
async function killsOf(kills: NonNullable<Racer["kills"]>, cgroup: string, expected: number) {
  const deadline = performance.now() + MAX_MS_TO_REPORT;
  while (kills(cgroup).length < expected && performance.now() < deadline) await delay(4);
  return kills(cgroup);
}

async function startRacer(
  mode: RaceMode,
  parent: Cgroup,
  directory: string,
  options: RaceOptions,
): Promise<Racer> {
  if (isPeer(mode)) return await startPeer(mode, parent, directory);
  const guards = [await startRaceGuard(mode, parent, directory, options)];
  if (options.beside === "guard") {
    guards.push(await startRaceGuard(mode, parent, makeBenchDirectory(true)));
  }
  return {
    said: guards[0]!.said,
    async follow({ path }) {
      const armed = await Promise.all(
        guards.map((guard) => guard.find("guard_armed", path, GUARDED_WITHIN_MS)),
      );
      const own = armed.find((each) => each?.mode === mode);
      if (own?.imminent && !armed.includes(undefined)) return own.imminent;
      throw new Mistake(`cannot race: ${path} is not guarded by ${mode}`);
    },
    kills(path) {
      const kills = guards.flatMap((guard) => guard.kills(path)).sort((a, b) => a.ts - b.ts);
      // Two guards may signal the same process.
      return kills.filter(({ pid }, at) => kills.findIndex((each) => each.pid === pid) === at);
    },
    async [Symbol.asyncDispose]() {
      for (const guard of guards) await guard[Symbol.asyncDispose]();
    },
  };
}

const OTHERS = 50;
const OTHER_LIMIT = 16 * MIB;
/** Above the first level, so that they occupy the guard, and below the others in every mode. */
const OTHER_MIB = 11;
/** Until the load runs (milliseconds). */
const SETTLE_MS = 500;

const SPIN = "while kill -0 $0; do i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done; done";
/** dd fills a buffer of its block size. The pause leaves the machine half idle: a busy machine is another condition. */
const CYCLE = `echo 0 >"$DIR/cgroup.procs" && while kill -0 $0; do
  dd if=/dev/zero of=/dev/null bs=${OTHER_MIB}M count=1; sleep $PAUSE; done`;

function isEmulated(): boolean {
  return /^model name\s*:.*QEMU/m.test(tryReadText("/proc/cpuinfo") ?? "");
}

/** Load during a race, made by shells that exit by themselves when this program is gone. */
async function stress(
  condition: Condition,
  cores: number,
  parent: Cgroup,
  racer: Racer,
): Promise<AsyncDisposable> {
  const cgroups = condition === "fifty" ? await makeOthers(parent, racer) : [];
  const children = [
    ...Array.from({ length: condition === "busy" ? 2 * cores : 0 }, () => shell(SPIN, {})),
    ...cgroups.map(({ dir }) => shell(CYCLE, { DIR: dir, PAUSE: isEmulated() ? "20" : "1" })),
  ];
  if (children.length > 0) await delay(SETTLE_MS);
  return {
    async [Symbol.asyncDispose]() {
      for (const child of children) endChild(child);
      // The shell's children are killed with their cgroup.
      for (const cgroup of cgroups) await removeCgroup(cgroup);
      await Promise.all(children.map(({ status }) => status));
    },
  };
}

async function makeOthers(parent: Cgroup, racer: Racer): Promise<Cgroup[]> {
  const cgroups = Array.from(
    { length: OTHERS },
    (_, n) => makeChild(parent, `other${n}`, OTHER_LIMIT),
  );
  for (const cgroup of cgroups) await racer.follow(cgroup, OTHER_LIMIT);
  return cgroups;
}

function shell(script: string, env: Record<string, string>): Deno.ChildProcess {
  return startChild(["sh", "-c", script, String(Deno.pid)], {
    stdin: "null",
    stdout: "null",
    stderr: "null",
    env,
  });
}

const STRESS_NG: Readonly<Record<Exclude<Load, "guard">, readonly string[]>> = {
  cpu4: ["--cpu", "4"],
  cpu8: ["--cpu", "8"],
  io: ["--hdd", "1", "--hdd-bytes", "256m", "--hdd-opts", "fsync"],
};

/** stress-ng ends its workers on SIGTERM, which the kernel sends when this program is killed. */
async function startLoad(name: Load | undefined): Promise<AsyncDisposable | undefined> {
  if (name === undefined || name === "guard") return undefined;
  const refused = whyNot(["stress-ng", "--version"]);
  if (refused) {
    throw new Mistake(`cannot race beside ${LOADS[name]}: ${refused}; apt-get install stress-ng`);
  }
  const args = [...STRESS_NG[name], "--temp-path", makeBenchDirectory()];
  const child = startChild(
    ["setpriv", "--pdeathsig", "TERM", "stress-ng", ...args],
    { stdin: "null", stdout: "null", stderr: "null" },
    "SIGTERM",
  );
  if (await within(SETTLE_MS, child.status)) {
    throw new Mistake(`cannot race beside ${LOADS[name]}: stress-ng has ended`);
  }
  return {
    async [Symbol.asyncDispose]() {
      endChild(child, "SIGTERM");
      await child.status;
    },
  };
}
