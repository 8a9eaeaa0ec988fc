/**
 * The events of a simulation besides those of its watch: docs/schema/simulate.schema.json. Sizes are bytes, times
 * milliseconds, and an unknown value is `null`.
 */

import { type Body, makeEvent, type OomkitEvent, timestamp } from "../events/event.ts";
import type { AnsweredSignal, Kind, StopReason } from "./allocator_protocol.ts";

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
  /** Why nothing is allocated and the cgroup is fake; `null` for a real one. */
  readonly fake_reason: string | null;
  /** The directory of the fake tree, for `--root`. */
  readonly fake_root: string | null;
  readonly limit: number | null;
  readonly limit_owner: string | null;
  readonly kind: Kind;
  /** Bytes per second of all processes together; `null`: as fast as possible. */
  readonly rate: number | null;
  readonly step: number;
  readonly stop_at: number | null;
  /** The allocators. */
  readonly pids: readonly number[];
  readonly swap_off: boolean | null;
  /** v2 `memory.oom.group`. */
  readonly group_kill: boolean;
  /** The machine itself is filled. */
  readonly machine: boolean;
  /** Where the events of the watch come from. */
  readonly sources: readonly string[];
}

export interface ThresholdReached {
  /** Bytes. */
  readonly threshold: number;
  /** From the first page until the watch reported that usage crossed the threshold. */
  readonly after_start_ms: number;
  /** From the threshold event until the last page: the time user space had to act. Negative when the event came later. */
  readonly before_peak_ms: number | null;
}

export interface ProcessExit {
  readonly pid: number;
  /** As a shell reports it: 137 after SIGKILL. */
  readonly exit_code: number;
  readonly signal: string | null;
  /** The kernel's OOM killer did it; `null` when neither counter nor log can be read. */
  readonly oom_killed: boolean | null;
}

/** `user_kill`: a signal from user space ended the process before an OOM kill. */
export type Outcome = "oom_kill" | "user_kill" | "survived" | "interrupted" | "failed";
export type Expectation = "oom_kill" | "user_kill" | "survived";

export interface Verdict {
  readonly type: "verdict";
  readonly outcome: Outcome;
  /** `--expect`, or what the options lead to; `null` when several outcomes are possible. */
  readonly expected: Expectation | null;
  readonly as_expected: boolean;
  /** All processes exited (or were killed), `--for` was over, or oomkit got a signal. */
  readonly ended_by: "exit" | "timeout" | "interrupt";
  readonly fake: boolean;
  readonly processes: readonly ProcessExit[];
  /** The kernel's counter; a group kill may count a victim more than once. */
  readonly oom_kill_count: bigint | null;
  /** Victims that the kernel log names; `null` when it cannot be read. */
  readonly oom_kill_log_lines: number | null;
  readonly group_kills: bigint | null;
  /** Counter and log agree; `null` when one of them cannot be read. */
  readonly sources_agree: boolean | null;
  readonly limit: number | null;
  readonly limit_owner: string | null;
  readonly peak: number | null;
  /** How often the limit was hit. */
  readonly limit_hits: bigint | null;
  /** From the first page to the last. */
  readonly duration_ms: number | null;
  readonly thresholds: readonly ThresholdReached[];
  /** `null` unless the machine was filled. */
  readonly machine: MachineVerdict | null;
}

/** How a machine that was filled fared. */
export interface MachineVerdict {
  readonly memory: number;
  readonly swap: number;
  /** The lowest MemAvailable that was read, less huge pages. */
  readonly available_min: number | null;
  /** The longest time between two ticks of a process that sleeps for 1 ms. */
  readonly longest_pause_ms: number | null;
  /** What was first; `null` where nothing was killed. `other`: a signal that no guard has reported. */
  readonly killed_by: {
    readonly kind: "kernel" | "guard" | "other";
    readonly pid: number | null;
    readonly name: string | null;
  } | null;
}

/** The cgroup of an earlier run that was killed. */
export interface StaleCgroup {
  readonly type: "stale_cgroup";
  readonly removed: boolean;
  /** Why it could not be removed. */
  readonly reason: string | null;
}

export type SimulationBody =
  | Start
  | Verdict
  | StaleCgroup
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
  | { readonly type: "finished"; readonly pid: number; readonly reason: StopReason }
  | {
    readonly type: "exit";
    readonly pid: number;
    readonly exit_code: number;
    readonly signal: string | null;
  };

export type OwnEvent = Head & SimulationBody;
export type StartEvent = Head & Start;
export type VerdictEvent = Head & Verdict;
export type SimulationEvent = OwnEvent | OomkitEvent;
export type EmitEvent = (event: SimulationEvent) => void;
/**
 * Gets every sample of the cgroup's usage; step events show only some of them.
 * @param at milliseconds since the epoch; not always in order when there are several processes.
 * @param usage bytes.
 */
export type OnUsage = (at: number, usage: number) => void;

/** Milliseconds since the epoch, by the clock of the watch's events. */
export function clock(): number {
  return performance.timeOrigin + performance.now();
}

/** @param at milliseconds since the epoch. */
export function simulationEvent<B extends SimulationBody>(
  at: number,
  cgroup: string,
  body: B,
): Head & B {
  return { v: 2, ts: timestamp(at), cgroup, ...body };
}

/** What a simulation requested and did not get. */
export type Degradation = Omit<Extract<Body, { readonly type: "degraded" }>, "type">;

/** Passes on the events of a simulation and of its watch, the start first, and keeps those of the watch for the verdict. */
export class EventStream {
  readonly watchEvents: OomkitEvent[] = [];
  /** Events that came before the start. */
  #early: SimulationEvent[] | undefined = [];

  constructor(private readonly cgroup: string, private readonly output: EmitEvent) {}

  /** @param at milliseconds since the epoch. */
  readonly emit = (at: number, body: SimulationBody): void =>
    this.#pass(simulationEvent(at, this.cgroup, body));

  readonly emitWatched = (event: OomkitEvent): void => {
    this.watchEvents.push(event);
    // The verdict takes the place of the summary.
    if (event.type !== "summary") this.#pass(event);
  };

  emitDegraded(degradation: Degradation): void {
    this.#pass(makeEvent(clock(), this.cgroup, "none", { type: "degraded", ...degradation }));
  }

  #pass(event: SimulationEvent): void {
    if (this.#early !== undefined && event.type !== "start") return void this.#early.push(event);
    this.output(event);
    for (const early of this.#early ?? []) this.output(early);
    this.#early = undefined;
  }
}
