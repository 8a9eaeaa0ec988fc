/** The verdict of a simulation, from exit codes, the watch's events and the kernel's counters. Pure. */

import type { CounterDeltas, OomkitEvent } from "../events/event.ts";
import type { AllocatorExit } from "./allocator_handle.ts";
import type { Expectation, Outcome, ProcessExit, ThresholdReached, Verdict } from "./event.ts";

export interface Evidence {
  readonly expected: Expectation | null;
  /** Whether `expected` was requested. Else it is where the options lead to, unless user space kills first: that is no failure. */
  readonly isRequested: boolean;
  readonly fake: boolean;
  readonly exits: readonly AllocatorExit[];
  /** Set when a signal or `--for` ended the run before the processes did. */
  readonly endedEarly: "interrupt" | "timeout" | undefined;
  readonly events: readonly OomkitEvent[];
  /** What the kernel counted during the run; `undefined` when the cgroup was gone. */
  readonly deltas: CounterDeltas | undefined;
  /** Processes that the kernel killed on the whole machine, where that is filled. */
  readonly machineKills?: bigint | undefined;
  /** Whether the kernel log can be read. */
  readonly hasLog: boolean;
  readonly limit: number | null;
  readonly limitOwner: string | null;
  /** Milliseconds since the epoch. */
  readonly firstPageAt: number | undefined;
  readonly lastPageAt: number | undefined;
}

export function evaluate(evidence: Evidence): Verdict {
  const { events, deltas, hasLog, expected, firstPageAt, lastPageAt } = evidence;
  const kills = events.filter((event) => event.type === "oom_kill");
  const victims = new Set(kills.flatMap(({ victim }) => victim?.pid ?? []));
  const counted = evidence.machineKills ?? deltas?.oom_kill ?? null;
  const logged = hasLog ? victims.size : null;
  const outcome = outcomeOf(evidence, kills.length, counted);
  return {
    type: "verdict",
    outcome,
    expected,
    as_expected: isExpected(outcome, evidence),
    ended_by: evidence.endedEarly ?? "exit",
    fake: evidence.fake,
    processes: evidence.exits.map((exit) => processExit(exit, victims, counted, logged)),
    oom_kill_count: counted,
    oom_kill_log_lines: logged,
    group_kills: deltas?.oom_group_kill ?? null,
    sources_agree: counted === null || logged === null
      ? null
      : counted === BigInt(logged + (deltas?.repeated ?? 0)),
    limit: evidence.limit,
    limit_owner: evidence.limitOwner,
    peak: deltas?.peak ?? null,
    limit_hits: deltas?.max ?? null,
    duration_ms: firstPageAt === undefined || lastPageAt === undefined
      ? null
      : toMicroseconds(lastPageAt - firstPageAt),
    thresholds: firstPageAt === undefined ? [] : thresholdsReached(events, firstPageAt, lastPageAt),
    machine: null,
  };
}

/** Milliseconds, rounded to whole microseconds. */
export const toMicroseconds = (ms: number) => Math.round(ms * 1000) / 1000;

function outcomeOf(
  { exits, endedEarly, fake }: Evidence,
  kills: number,
  counted: bigint | null,
): Outcome {
  if (kills > 0 || (counted !== null && counted > 0n)) return "oom_kill";
  if (endedEarly === "interrupt") return "interrupted";
  if (endedEarly === "timeout") return "survived";
  if (fake || exits.every(({ code }) => code === 0)) return "survived";
  // Without the counter an OOM kill cannot be ruled out.
  const signalled = exits.some(({ signal }) => signal === "SIGKILL" || signal === "SIGTERM");
  return signalled && counted !== null ? "user_kill" : "failed";
}

/** Without an expectation every outcome but a failure is fine. */
function isExpected(outcome: Outcome, { expected, isRequested }: Evidence): boolean {
  if (expected === null) return outcome !== "failed";
  return outcome === expected || (outcome === "user_kill" && !isRequested);
}

function processExit(
  { pid, code, signal }: AllocatorExit,
  victims: ReadonlySet<number>,
  counted: bigint | null,
  logged: number | null,
): ProcessExit {
  const isKnown = logged !== null || counted !== null;
  // Without the log, a counted kill is attributed to every process that died of SIGKILL.
  const isCounted = logged === null && signal === "SIGKILL" && (counted ?? 0n) > 0n;
  return {
    pid,
    exit_code: code,
    signal,
    oom_killed: isKnown ? victims.has(pid) || isCounted : null,
  };
}

/** When usage first reached each threshold. */
function thresholdsReached(
  events: readonly OomkitEvent[],
  firstPageAt: number,
  lastPageAt: number | undefined,
): ThresholdReached[] {
  const reached = new Map<number, number>();
  for (const event of events) {
    if (event.type !== "threshold" || event.direction !== "above") continue;
    if (!reached.has(event.threshold)) reached.set(event.threshold, epochMs(event.ts));
  }
  return [...reached].sort(([a], [b]) => a - b).map(([threshold, at]) => ({
    threshold,
    after_start_ms: toMicroseconds(at - firstPageAt),
    before_peak_ms: lastPageAt === undefined ? null : toMicroseconds(lastPageAt - at),
  }));
}

/** Milliseconds since the epoch, with the microseconds that `Date` drops. */
export function epochMs(ts: string): number {
  const micros = /\.\d{3}(\d{3})\d*Z$/.exec(ts)?.[1];
  return Date.parse(ts) + (micros === undefined ? 0 : Number(micros) / 1000);
}
