/** What came of a simulation, by all that witnessed it. Pure. */

import type { CounterDeltas, OomkitEvent } from "../events/event.ts";
import type { Exit } from "./allocator.ts";
import type { Crossing, Ended, Expectation, Outcome, Verdict } from "./event.ts";

export interface Evidence {
  readonly expected: Expectation | null;
  readonly fake: boolean;
  readonly exits: readonly Exit[];
  /** Somebody, or `--for`, ended it before it ended by itself. */
  readonly cut: "interrupt" | "time" | undefined;
  readonly events: readonly OomkitEvent[];
  /** What the kernel counted meanwhile; `undefined` when the cgroup was gone. */
  readonly tally: CounterDeltas | undefined;
  /** Whether the kernel log can be read. */
  readonly hasLog: boolean;
  readonly limit: number | null;
  readonly limitOwner: string | null;
  /** Milliseconds since the epoch: the first page and the last. */
  readonly began: number | undefined;
  readonly last: number | undefined;
}

export function evaluate(testimony: Evidence): Verdict {
  const { events, tally, hasLog, fake, expected, began, last } = testimony;
  const kills = events.filter((event) => event.type === "oom_kill");
  const victims = new Set(kills.flatMap(({ victim }) => victim?.pid ?? []));
  const counted = tally?.oom_kill ?? null;
  const logged = hasLog ? victims.size : null;
  const groupKills = tally?.oom_group_kill ?? null;
  const processes = testimony.exits.map((exit) => endedOf(exit, victims, counted, logged));
  const outcome = outcomeOf(testimony, kills.length, counted);
  return {
    type: "verdict",
    outcome,
    expected,
    as_expected: isExpected(outcome, expected),
    ended_by: testimony.cut ?? "itself",
    fake,
    processes,
    oom_kill_count: counted,
    oom_kill_log_lines: logged,
    group_kills: groupKills,
    sources_agree: agreement(counted, logged, tally?.repeated ?? 0),
    limit: testimony.limit,
    limit_owner: testimony.limitOwner,
    peak: tally?.peak ?? null,
    limit_hits: tally?.max ?? null,
    lasted_ms: began === undefined || last === undefined ? null : round(last - began),
    crossings: began === undefined ? [] : crossingsOf(events, began, last),
  };
}

const round = (milliseconds: number) => Math.round(milliseconds * 1000) / 1000;

function outcomeOf(
  { exits, cut, fake }: Evidence,
  kills: number,
  counted: bigint | null,
): Outcome {
  if (kills > 0 || (counted !== null && counted > 0n)) return "oom_kill";
  if (cut === "interrupt") return "interrupted";
  if (cut === "time") return "survived";
  if (fake || exits.every(({ code }) => code === 0)) return "survived";
  // Of the kernel's innocence there must be a witness.
  const byHand = exits.some(({ signal }) => signal === "SIGKILL" || signal === "SIGTERM");
  return byHand && counted !== null ? "user_kill" : "failed";
}

/** Where anything may come of the options, only a failure is not as expected. */
function isExpected(outcome: Outcome, expected: Expectation | null): boolean {
  switch (expected) {
    case "oom_kill":
    case "user_kill":
      return outcome === expected;
    case "survive":
      return outcome === "survived";
    case null:
      return outcome !== "failed";
  }
}

function endedOf(
  { pid, code, signal }: Exit,
  victims: ReadonlySet<number>,
  counted: bigint | null,
  logged: number | null,
): Ended {
  const told = victims.has(pid);
  // Without a log the counter alone convicts whoever died of SIGKILL.
  const known = logged !== null || counted !== null;
  const convicted = told || (logged === null && signal === "SIGKILL" && (counted ?? 0n) > 0n);
  return { pid, exit_code: code, signal, oom_killed: known ? convicted : null };
}

function agreement(
  counted: bigint | null,
  logged: number | null,
  repeated: number,
): boolean | null {
  return counted === null || logged === null ? null : counted === BigInt(logged + repeated);
}

function crossingsOf(
  events: readonly OomkitEvent[],
  began: number,
  last: number | undefined,
): Crossing[] {
  const first = new Map<number, number>();
  for (const event of events) {
    if (event.type !== "threshold" || event.direction !== "above") continue;
    if (!first.has(event.threshold)) first.set(event.threshold, momentOf(event.ts));
  }
  return [...first].sort(([a], [b]) => a - b).map(([threshold, at]) => ({
    threshold,
    after_ms: round(at - began),
    left_ms: last === undefined ? null : round(last - at),
  }));
}

/** Milliseconds since the epoch, with the microseconds that `Date` drops. */
export function momentOf(ts: string): number {
  const micros = /\.\d{3}(\d{3})\d*Z$/.exec(ts)?.[1];
  return Date.parse(ts) + (micros === undefined ? 0 : Number(micros) / 1000);
}
