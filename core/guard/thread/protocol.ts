/** What the two threads of a guard say to each other. Everything can be cloned. */

import type { Cgroup } from "../../cgroup/cgroup.ts";
import type { Hierarchy } from "../../cgroup/hierarchy.ts";
import { versionOf } from "../../cgroup/versions.ts";
import type { SharedEpoll } from "../../kernel/epoll.ts";
import type { Level, LevelBytes } from "../../policy/levels.ts";
import type { SkipReason } from "../../policy/kill_cycle.ts";
import type { Process } from "../../snapshot.ts";
import type { SampleRing } from "./sample_ring.ts";
import type { KillAction } from "../../policy/actions.ts";
import type { Mode, PolicySet } from "../policy.ts";

/** A cgroup without what cannot be cloned. */
export interface FlatCgroup extends Omit<Cgroup, "hierarchy"> {
  readonly hierarchy: Omit<Hierarchy, "version"> & { readonly version: 1 | 2 };
}

export function flatten({ hierarchy: { version, ...rest }, ...cgroup }: Cgroup): FlatCgroup {
  return { ...cgroup, hierarchy: { ...rest, version: version.number } };
}

/** Each message brings a copy of the hierarchy; a thousand cgroups share one. */
const hierarchies = new Map<string, Hierarchy>();

export function unflatten({ hierarchy, ...cgroup }: FlatCgroup): Cgroup {
  const key = JSON.stringify(hierarchy);
  const { version, ...rest } = hierarchy;
  const shared = hierarchies.get(key) ?? { ...rest, version: versionOf(version) };
  hierarchies.set(key, shared);
  return { ...cgroup, hierarchy: shared };
}

/** How a cgroup is guarded, which changes with its limit. */
export interface GuardSettings {
  /** Which of the plans that were told. */
  readonly policy: number;
  /** Bytes. */
  readonly limit: number;
  readonly levelBytes: LevelBytes;
  readonly mode: Mode;
  /** What badness is weighed against, bytes: see `oomCapacity`. */
  readonly oomTotalBytes: number;
  /** Usage thresholds of v1, armed already; the tokens are those of the epoll set. */
  readonly eventfds: readonly {
    readonly token: number;
    /** It tells that the kernel reclaims, which concerns only who is full of page cache. */
    readonly isHint: boolean;
  }[];
}

/** One guarded cgroup. */
export interface CgroupSpec extends GuardSettings {
  readonly id: number;
  /** Whose usage and limit count: the cgroup itself, or an ancestor whose limit is the tighter one. */
  readonly limitOwner: FlatCgroup;
  /** Where victims are taken from: the cgroup that was named, and everything beneath it. */
  readonly scope: FlatCgroup;
}

export type Command =
  | {
    readonly type: "begin";
    readonly policies: PolicySet;
    readonly epoll: SharedEpoll;
    readonly stateFolder: string;
    /** Rises with each turn: a sentry that hangs can be told from one that has nothing to do. */
    readonly heartbeat: Int32Array;
    /** Where somebody records them. */
    readonly samples: SampleRing | undefined;
  }
  /** From now on wards name these; those that are there keep theirs until they are told otherwise. */
  | { readonly type: "policies"; readonly policies: PolicySet }
  | { readonly type: "add"; readonly state: CgroupSpec }
  /** Its limit has changed, and with it what is armed. */
  | { readonly type: "update_settings"; readonly id: number; readonly settings: GuardSettings }
  | { readonly type: "remove"; readonly id: number }
  | { readonly type: "stop" };

/** A process as it was weighed. */
export interface ScoredProcess {
  readonly pid: number;
  readonly comm: string;
  readonly cmdline: readonly string[];
  readonly cgroup: string;
  readonly rss: number | undefined;
  readonly oomScoreAdj: number | undefined;
  /** Bytes, see `rankVictims`. */
  readonly badness: number;
  readonly preference: "prefer" | "none" | "avoid" | "excluded";
  readonly preferenceReason: string | undefined;
}

/** How one blow at a victim went. Times are milliseconds since the crossing was seen. */
export interface KillReport {
  readonly killAction: KillAction;
  readonly level: Level;
  readonly signal: "SIGTERM" | "SIGKILL";
  readonly victim: ScoredProcess | undefined;
  /** Of `container`: what was ended as a whole. */
  readonly killedCgroup: string | undefined;
  readonly candidates: readonly ScoredProcess[];
  /** Bytes of usage as it was decided, and as the blow was over. */
  readonly before: number;
  readonly after: number | undefined;
  readonly limit: number;
  readonly levelBytes: number;
  /** memory.stat as it was decided. */
  readonly stat: string;
  readonly outcome: "killed" | "survived" | "dry_run" | "failed";
  /** Why it failed. */
  readonly reason: string | undefined;
  readonly signalLatencyMs: number;
  readonly exitLatencyMs: number | undefined;
  readonly freeLatencyMs: number | undefined;
}

/** What made the sentry look: a threshold's eventfd, POLLPRI on memory.events, or the time. */
export type WakeSource = "eventfd" | "pollpri" | "poll";

interface ReportHead {
  readonly id: number;
  readonly wakeSource: WakeSource;
  /** Milliseconds since the epoch, with a fraction. */
  readonly at: number;
}

export type Report =
  | {
    readonly type: "ready";
    /** How the thread is scheduled, and why not better. */
    readonly scheduling: string;
    /** False where the way was not rehearsed, so that the first time is the slowest. */
    readonly warmedUp: boolean;
  }
  | ReportHead & {
    readonly type: "level_reached";
    readonly level: Level;
    readonly usage: number;
    readonly metricValue: number;
    /** Bytes per second; `undefined` after a single look. */
    readonly rate: number | undefined;
  }
  | ReportHead & { readonly type: "kill"; readonly kill: KillReport }
  | ReportHead & {
    readonly type: "reclaimed";
    readonly level: Level;
    readonly before: number;
    readonly after: number;
    readonly lasted: number;
  }
  | ReportHead & {
    readonly type: "action_skipped";
    readonly level: Level;
    readonly why: SkipReason;
    readonly usage: number;
    readonly reclaimable: number | undefined;
  }
  /** Unless it is guarded in spite of it, it cannot be guarded. */
  | ReportHead & {
    readonly type: "fallback";
    readonly isGuarded: boolean;
    readonly requested: string;
    readonly fallback: string;
    readonly why: string;
  }
  /** The cgroup is there no longer. */
  | ReportHead & { readonly type: "gone" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly why: string };

export function scored(
  process: Process,
  rest: Pick<ScoredProcess, "badness" | "preference" | "preferenceReason">,
): ScoredProcess {
  const { pid, comm, cmdline, cgroup, rss, oomScoreAdj } = process;
  return { pid, comm, cmdline, cgroup, rss, oomScoreAdj, ...rest };
}
