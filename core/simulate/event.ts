/**
 * What a simulation tells besides the events of the watch: one JSON line each, docs/schema/simulate.schema.json. Sizes are
 * bytes, times milliseconds, and what is not known is `null`.
 */

import { type OomkitEvent, timestamp } from "../events/event.ts";
import type { AnsweredSignal, Ending, Kind } from "./allocation.ts";

interface Head {
  readonly v: 2;
  /** RFC 3339. */
  readonly ts: string;
  /** Cgroup path. */
  readonly cgroup: string;
}

export interface Start {
  readonly type: "start";
  readonly hierarchy: 1 | 2;
  /** Why nothing is allocated and the files are only made up; `null` for a real cgroup. */
  readonly fake: string | null;
  /** The folder of the fake tree, for `--root`. */
  readonly root: string | null;
  readonly limit: number | null;
  readonly limit_owner: string | null;
  readonly kind: Kind;
  /** Bytes a second, all processes together; `null` for as fast as it goes. */
  readonly rate: number | null;
  readonly step: number;
  readonly stop_at: number | null;
  /** Of the allocators. */
  readonly pids: readonly number[];
  readonly swap_off: boolean | null;
  /** v2 `memory.oom.group`. */
  readonly group_kill: boolean;
  /** How the watch learns of things. */
  readonly sources: readonly string[];
}

export interface Crossing {
  /** Bytes. */
  readonly threshold: number;
  /** From the first page on until the watch told of it. */
  readonly after_ms: number;
  /** From then on until the last page that was touched: what user space had to act. Negative when it was told late. */
  readonly left_ms: number | null;
}

export interface Ended {
  readonly pid: number;
  /** As a shell tells it: 137 after SIGKILL. */
  readonly exit_code: number;
  readonly signal: string | null;
  /** The kernel's OOM killer did it; `null` when neither counter nor log can be read. */
  readonly oom_killed: boolean | null;
}

/** `user_kill`: somebody in user space ended it by a signal, and the kernel's killer had nothing to do. */
export type Outcome = "oom_kill" | "user_kill" | "survived" | "interrupted" | "failed";
export type Expectation = "oom_kill" | "user_kill" | "survive";

export interface Verdict {
  readonly type: "verdict";
  readonly outcome: Outcome;
  /** `--expect`, or what the options lead to; `null` when anything may come of them. */
  readonly expected: Expectation | null;
  readonly as_expected: boolean;
  /** What ended it: the processes themselves (or the kernel), `--for`, or a signal to this program. */
  readonly ended_by: "itself" | "time" | "interrupt";
  readonly fake: boolean;
  readonly processes: readonly Ended[];
  /** The kernel's counter; `memory.oom.group` has it count some victims more than once. */
  readonly oom_kill_count: bigint | null;
  /** Victims that the kernel log names; `null` when it cannot be read. */
  readonly oom_kill_log_lines: number | null;
  readonly group_kills: bigint | null;
  /** Counter and log tell the same; `null` when there is only one of them. */
  readonly sources_agree: boolean | null;
  readonly limit: number | null;
  readonly limit_owner: string | null;
  readonly peak: number | null;
  /** How often the limit was hit. */
  readonly limit_hits: bigint | null;
  /** From the first page to the last. */
  readonly lasted_ms: number | null;
  readonly crossings: readonly Crossing[];
}

export type SimulationBody =
  | Start
  | Verdict
  | { readonly type: "leftover"; readonly removed: boolean; readonly reason: string | null }
  | { readonly type: "allocator_started"; readonly pid: number; readonly usage: number | null }
  | {
    readonly type: "step";
    readonly pid: number | null;
    /** By that process; `null` on a fake tree. */
    readonly allocated: number | null;
    /** Of the cgroup. */
    readonly usage: number | null;
  }
  | { readonly type: "signal"; readonly pid: number; readonly signal: AnsweredSignal }
  | { readonly type: "finished"; readonly pid: number; readonly reason: Ending }
  | {
    readonly type: "exit";
    readonly pid: number;
    readonly exit_code: number;
    readonly signal: string | null;
  };

export type OwnEvent = Head & SimulationBody;
export type SimulationEvent = OwnEvent | OomkitEvent;
export type EmitEvent = (event: SimulationEvent) => void;
/**
 * Every look at the usage of the cgroup, of which the steps that are told are a few.
 * @param at milliseconds since the epoch; of several processes not always in order.
 * @param usage bytes.
 */
export type OnUsage = (at: number, usage: number) => void;

/** Milliseconds since the epoch, by the clock of the watch's events. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

/** Holds back what is told before the start, so that this comes first. */
export function startFirst(emitEvent: EmitEvent): EmitEvent {
  let waiting: SimulationEvent[] | undefined = [];
  return (event) => {
    if (waiting !== undefined && event.type !== "start") return void waiting.push(event);
    emitEvent(event);
    for (const held of waiting ?? []) emitEvent(held);
    waiting = undefined;
  };
}

/** @param at milliseconds since the epoch. */
export function simulationEvent<B extends SimulationBody>(
  at: number,
  cgroup: string,
  body: B,
): Head & B {
  return { v: 2, ts: timestamp(at), cgroup, ...body };
}
