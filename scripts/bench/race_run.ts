/** One run: a new cgroup, filled until a process is killed, and the figures read afterwards. */

import { fileURLToPath } from "node:url";
import { type Cgroup, openCgroup, readCounters, readPeak } from "../../core/cgroup/cgroup.ts";
import { join } from "../../core/cgroup/hierarchy.ts";
import { microseconds } from "../../core/kernel/clock.ts";
import { type EpollSet, joinEpoll } from "../../core/kernel/epoll.ts";
import { takeEventfd } from "../../core/kernel/fd.ts";
import { openControlFile } from "../../core/kernel/control_file.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { arm } from "../../core/watch/triggers.ts";
import { Mistake } from "../terminal.ts";
import { type Cell, fillersOf, MIB } from "./race_cells.ts";
import { endChild, pause, startChild, within } from "./race_children.ts";
import type { Filling } from "./race_filler.ts";
import type { RaceGuard } from "./race_guard.ts";

export interface SimulationTarget {
  readonly parent: Cgroup;
  readonly epoll: EpollSet;
  /** One for each filler, shared by both processes. */
  readonly logs: readonly { readonly path: string; readonly entries: Float64Array }[];
}

/** Sizes are bytes, times milliseconds. */
export interface Run {
  readonly limit: number;
  /** The limit itself without a guard. */
  readonly threshold: number;
  readonly kernelKills: number;
  /** Kills by the guard before it first saw memory free. */
  readonly killed: number;
  /** No process was killed in time. */
  readonly isStuck: boolean;
  readonly peak: number | undefined;
  readonly signalMs: number | undefined;
  /** From the crossing of the level; without a guard from the last page. */
  readonly lastPage: number | undefined;
  readonly free: number | undefined;
}

/** Also enough for an emulated machine. */
const LONGEST_MS = 20_000;
/** From the exits to the last event about them. */
const TOLD_WITHIN_MS = 2000;
/** Between two kills that are reported together, once memory is free. */
const TOGETHER_MS = 2;
/** The slow part of a slow filler: this many seconds, but at most this share of the limit. */
const SLOW_SECONDS = 0.5;
const SLOW_SHARE = 0.15;
const SWEEP_MS = 100;

let count = 0;

export async function race(
  { parent, epoll, logs }: SimulationTarget,
  cell: Cell,
  guard: RaceGuard | undefined,
): Promise<Run> {
  const limit = cell.limit * MIB;
  const cgroup = makeCgroup(parent, limit);
  const guarding = guard && await guard.find("guard_armed", cgroup.path, LONGEST_MS);
  if (guard && guarding?.mode !== cell.mode) {
    await removeCgroup(cgroup);
    throw new Mistake(`cannot race: ${cgroup.path} is not guarded by ${cell.mode}`);
  }
  const threshold = guarding?.imminent ?? limit;
  const mine = logs.slice(0, fillersOf(cell));
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
    const pendingKills = await killsOf(guard, cgroup.path, fillers.length - kernelKills);
    const first = pendingKills[0];
    const victim = fillers.findIndex(({ pid }) => pid === first?.victim?.pid);
    const crossedAt = Math.min(...mine.map(({ entries }) => crossing(entries, threshold)));
    const lastAt = lastOf(mine[Math.max(0, victim)]!.entries);
    const since = guard ? crossedAt : lastAt;
    return {
      limit,
      threshold,
      kernelKills,
      killed: pendingKills.filter(({ ts }) =>
        Date.parse(ts) - Date.parse(first!.ts) <= TOGETHER_MS
      ).length,
      isStuck: !isOver,
      peak: readPeak(cgroup),
      signalMs: first?.signal_ms ?? undefined,
      lastPage: victim < 0 ? undefined : duration(crossedAt, lastAt),
      free: freedAt === undefined || (guard && victim < 0) ? undefined : duration(since, freedAt),
    };
  } finally {
    for (const { child } of fillers) endChild(child);
    await Promise.all(fillers.map(({ ended }) => ended));
    await removeCgroup(cgroup);
  }
}

function makeCgroup(parent: Cgroup, limit: number): Cgroup {
  const { hierarchy, dir, path } = parent;
  const name = `run${count++}`;
  Deno.mkdirSync(`${dir}/${name}`);
  const made = openCgroup(hierarchy, join(path, name))!;
  const swap = hierarchy.version.number === 1
    ? { file: "memory.swappiness", off: "0" }
    : { file: "memory.swap.max", off: "0" };
  try {
    Deno.writeTextFileSync(`${made.dir}/${swap.file}`, swap.off);
  } catch {
    // The kernel has no swap accounting.
  }
  Deno.writeTextFileSync(`${made.dir}/${hierarchy.version.limitFile}`, String(limit));
  return made;
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
async function killsOf(guard: RaceGuard | undefined, cgroup: string, expected: number) {
  if (guard === undefined) return [];
  const pendingKills = () =>
    guard.events(cgroup).flatMap((event) =>
      event.type === "action" && "victim" in event && event.victim !== null &&
        event.signal === "SIGKILL"
        ? [event]
        : []
    );
  const deadline = performance.now() + TOLD_WITHIN_MS;
  while (pendingKills().length < expected && performance.now() < deadline) await pause(4);
  return pendingKills();
}
