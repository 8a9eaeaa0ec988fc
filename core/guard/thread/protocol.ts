/** What the main thread and the monitor thread send each other. All of it can be cloned. */

import type { Cgroup } from "../../cgroup/cgroup.ts";
import type { Hierarchy } from "../../cgroup/hierarchy.ts";
import { versionOf } from "../../cgroup/versions.ts";
import type {
  ActionBody,
  ActionSkippedBody,
  KillBody,
  LevelReachedBody,
} from "../../events/event.ts";
import type { SharedEpoll } from "../../kernel/epoll.ts";
import type { LevelBytes, Mode } from "../../policy/levels.ts";
import type { PolicySet } from "../policy.ts";
import type { SampleRing } from "./sample_ring.ts";

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

/** How a cgroup is guarded; changes with its limit. */
export interface GuardSettings {
  /** Index into the policies. */
  readonly policy: number;
  /** Bytes. */
  readonly limit: number;
  readonly levelBytes: LevelBytes;
  readonly mode: Mode;
  /** In mode `throttle`: what the main thread has set, and the value before; absent after it was restored. */
  readonly memoryHigh?: { readonly before: string; readonly set: string } | undefined;
  /** Bytes, see `oomTotalBytesOf`. */
  readonly oomTotalBytes: number;
  /** The machine has swap. */
  readonly canSwap: boolean;
  /** v1 notifications that are armed; the tokens are those of the epoll set. */
  readonly eventfds: readonly {
    readonly token: number;
    /** Of memory.pressure_level: the kernel reclaims, which matters only to a cgroup that is full of page cache. */
    readonly isReclaimNotification: boolean;
  }[];
  /** What is armed later, or only when usage reaches `from` (bytes); absent when nothing is left. */
  readonly unarmed?: {
    readonly from: number;
    /** Levels above `from` are not notified yet, so that usage above it is polled. */
    readonly hasLevels: boolean;
  } | undefined;
}

/** The part of the settings that changes while notifications are armed. */
export type ArmedNotifications = Pick<GuardSettings, "eventfds" | "unarmed">;

/** One guarded cgroup. */
export interface CgroupSpec extends GuardSettings {
  readonly id: number;
  /** Its usage and limit count: the guarded cgroup, or an ancestor with a tighter limit. */
  readonly limitOwner: FlatCgroup;
  /** The guarded cgroup: victims are selected in it and below. */
  readonly scope: FlatCgroup;
}

/** The loop makes a turn at least this often, also at rest (milliseconds). */
export const MAX_MS_BETWEEN_HEARTBEATS = 5000;

export type Command =
  | {
    readonly type: "begin";
    readonly policies: PolicySet;
    readonly epoll: SharedEpoll;
    readonly stateDirectory: string;
    /** Incremented at each turn of the loop, also an idle one, so that a thread that hangs is recognized. */
    readonly heartbeat: Int32Array;
    /** For a recording. */
    readonly samples: SampleRing | undefined;
  }
  /** Later settings refer to these; cgroups keep their policy until their settings are updated. */
  | { readonly type: "policies"; readonly policies: PolicySet }
  | { readonly type: "add"; readonly spec: CgroupSpec }
  /** The limit has changed, and with it the notifications. */
  | { readonly type: "update_settings"; readonly id: number; readonly settings: GuardSettings }
  /** More of them are armed, or others for a new limit. */
  | { readonly type: "armed"; readonly id: number; readonly notifications: ArmedNotifications }
  | { readonly type: "remove"; readonly id: number }
  /** In mode `hold-near-limit` its allocators have waited too long; in `throttle` memory.high was restored. */
  | { readonly type: "leave_to_kernel"; readonly id: number }
  | { readonly type: "stop" };

/** What caused a poll: the eventfd of a threshold or of memory.pressure_level, POLLPRI on memory.events, PSI, or the time. */
export type WakeSource = "eventfd" | "pollpri" | "psi" | "poll";

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
    /** If false, the first kill is the slowest. */
    readonly warmedUp: boolean;
  }
  | ReportHead & { readonly type: "level_reached"; readonly body: LevelReachedBody }
  /** `stat` is memory.stat at the decision. */
  | ReportHead & { readonly type: "kill"; readonly kill: KillBody; readonly stat: string }
  /** To be emitted, and nothing else. */
  | ReportHead & { readonly type: "event"; readonly body: ActionBody | ActionSkippedBody }
  | ReportHead & {
    readonly type: "fallback";
    /** Every cgroup, this one, or this one so that it is not guarded at all. */
    readonly affects: "all" | "cgroup" | "lost_cgroup";
    readonly requested: string;
    readonly fallback: string;
    readonly reason: string;
  }
  /** memory.high is lifted, or set again. */
  | ReportHead & { readonly type: "throttle"; readonly isLifted: boolean }
  /** Usage has reached the point from which all notifications are to be armed. */
  | ReportHead & { readonly type: "unarmed_reached" }
  /** The cgroup was removed. */
  | ReportHead & { readonly type: "gone" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly reason: string };
