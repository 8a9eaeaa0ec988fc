/** What the two threads of a guard say to each other. Everything can be cloned. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { v1 } from "../cgroup/v1.ts";
import { v2 } from "../cgroup/v2.ts";
import type { SharedEpoll } from "../kernel/epoll.ts";
import type { Bounds, Level } from "../policy/bounds.ts";
import type { End } from "../policy/engagement.ts";
import type { Process } from "../snapshot.ts";
import type { SharedLooks } from "./look_ring.ts";
import type { Deed, Mode, Plans } from "./plan.ts";

/** A cgroup without what cannot be cloned. */
export interface FlatCgroup extends Omit<Cgroup, "hierarchy"> {
  readonly hierarchy: Omit<Hierarchy, "dialect"> & { readonly version: 1 | 2 };
}

export function flatten({ hierarchy: { dialect, ...rest }, ...cgroup }: Cgroup): FlatCgroup {
  return { ...cgroup, hierarchy: { ...rest, version: dialect.version } };
}

/** Each message brings a copy of the hierarchy; a thousand cgroups share one. */
const hierarchies = new Map<string, Hierarchy>();

export function unflatten({ hierarchy, ...cgroup }: FlatCgroup): Cgroup {
  const key = JSON.stringify(hierarchy);
  const { version, ...rest } = hierarchy;
  const shared = hierarchies.get(key) ?? { ...rest, dialect: version === 1 ? v1 : v2 };
  hierarchies.set(key, shared);
  return { ...cgroup, hierarchy: shared };
}

/** How a cgroup is guarded, which changes with its limit. */
export interface WardTerms {
  /** Which of the plans that were told. */
  readonly plan: number;
  /** Bytes. */
  readonly limit: number;
  readonly bounds: Bounds;
  readonly mode: Mode;
  /** What badness is weighed against, bytes: see `oomCapacity`. */
  readonly capacity: number;
  /** Usage thresholds of v1, armed already; the tokens are those of the epoll set. */
  readonly eventfds: readonly {
    readonly token: number;
    /** It tells that the kernel reclaims, which concerns only who is full of page cache. */
    readonly isHint: boolean;
  }[];
}

/** One guarded cgroup. */
export interface WardSpec extends WardTerms {
  readonly id: number;
  /** Whose usage and limit count: the cgroup itself, or an ancestor whose limit is the tighter one. */
  readonly measured: FlatCgroup;
  /** Where victims are taken from: the cgroup that was named, and everything beneath it. */
  readonly scope: FlatCgroup;
}

export type Order =
  | {
    readonly order: "begin";
    readonly plans: Plans;
    readonly epoll: SharedEpoll;
    readonly stateFolder: string;
    /** Rises with each turn: a sentry that hangs can be told from one that has nothing to do. */
    readonly heartbeat: Int32Array;
    /** Where somebody records them. */
    readonly looks: SharedLooks | undefined;
  }
  /** From now on wards name these; those that are there keep theirs until they are told otherwise. */
  | { readonly order: "plans"; readonly plans: Plans }
  | { readonly order: "adopt"; readonly ward: WardSpec }
  /** Its limit has changed, and with it what is armed. */
  | { readonly order: "rebound"; readonly id: number; readonly terms: WardTerms }
  | { readonly order: "drop"; readonly id: number }
  | { readonly order: "stop" };

/** A process as it was weighed. */
export interface Weighed {
  readonly pid: number;
  readonly comm: string;
  readonly cmdline: readonly string[];
  readonly cgroup: string;
  readonly rss: number | undefined;
  readonly oomScoreAdj: number | undefined;
  /** Bytes, see `rankVictims`. */
  readonly badness: number;
  readonly standing: "preferred" | "ordinary" | "avoided" | "spared";
  readonly because: string | undefined;
}

/** How one blow at a victim went. Times are milliseconds since the crossing was seen. */
export interface Blow {
  readonly deed: Deed;
  readonly level: Level;
  readonly signal: "SIGTERM" | "SIGKILL";
  readonly victim: Weighed | undefined;
  /** Of `container`: what was ended as a whole. */
  readonly container: string | undefined;
  readonly candidates: readonly Weighed[];
  /** Bytes of usage as it was decided, and as the blow was over. */
  readonly before: number;
  readonly after: number | undefined;
  readonly limit: number;
  readonly threshold: number;
  /** memory.stat as it was decided. */
  readonly stat: string;
  readonly outcome: "died" | "alive" | "would" | "failed";
  /** Why it failed. */
  readonly reason: string | undefined;
  readonly struckAfter: number;
  readonly diedAfter: number | undefined;
  readonly freedAfter: number | undefined;
}

/** What made the sentry look: a threshold's eventfd, POLLPRI on memory.events, or the time. */
export type Wake = "eventfd" | "pollpri" | "poll";

interface Report {
  readonly id: number;
  readonly wake: Wake;
  /** Milliseconds since the epoch, with a fraction. */
  readonly at: number;
}

export type Message =
  | {
    readonly say: "ready";
    /** How the thread is scheduled, and why not better. */
    readonly scheduling: string;
    /** False where the way was not rehearsed, so that the first time is the slowest. */
    readonly rehearsed: boolean;
  }
  | Report & {
    readonly say: "level";
    readonly level: Level;
    readonly usage: number;
    readonly value: number;
    /** Bytes per second; `undefined` after a single look. */
    readonly rate: number | undefined;
  }
  | Report & { readonly say: "blow"; readonly blow: Blow }
  | Report & {
    readonly say: "reclaimed";
    readonly level: Level;
    readonly before: number;
    readonly after: number;
    readonly lasted: number;
  }
  | Report & {
    readonly say: "let_go";
    readonly level: Level;
    readonly why: End;
    readonly usage: number;
    readonly reclaimable: number | undefined;
  }
  /** Unless it is guarded in spite of it, it cannot be guarded. */
  | Report & {
    readonly say: "refused";
    readonly isGuarded: boolean;
    readonly wanted: string;
    readonly using: string;
    readonly why: string;
  }
  /** The cgroup is there no longer. */
  | Report & { readonly say: "gone" }
  | { readonly say: "stopped" }
  | { readonly say: "failed"; readonly why: string };

export function weighed(
  process: Process,
  rest: Pick<Weighed, "badness" | "standing" | "because">,
): Weighed {
  const { pid, comm, cmdline, cgroup, rss, oomScoreAdj } = process;
  return { pid, comm, cmdline, cgroup, rss, oomScoreAdj, ...rest };
}
