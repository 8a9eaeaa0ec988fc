/** What a watch follows, and what it reports about it. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import type { Interests } from "../cgroup/version.ts";
import type { Body, Source } from "../events/event.ts";
import type { RecordSink } from "../record/format.ts";
import type { FallbackReport } from "./fallbacks.ts";
import type { Scope } from "./scopes.ts";

export interface WatchOptions {
  /** In the same hierarchy; at least one, or one of `awaited`. */
  readonly scopes: readonly Scope[];
  /** Targets of a guard that do not exist now. */
  readonly awaited?: readonly Cgroup[];
  /** In bytes, or in percent of each cgroup's effective limit. */
  readonly thresholds: readonly ({ readonly bytes: number } | { readonly percent: number })[];
  readonly pressureLevels: Interests["pressureLevels"];
  readonly psi: Interests["psi"];
  /** Milliseconds: read at this interval instead of being notified. */
  readonly poll?: number;
  /** Of a guard, which ends and starts watches: what it has reported is not reported again. */
  readonly fallbacks?: FallbackReport;
  /** Gets what is read of the cgroups; the caller records the events. */
  readonly recordSink?: RecordSink;
  /** Called before each cgroup is armed at the start, which takes a while for thousands of cgroups. */
  readonly onTarget?: (count: number) => void;
  /** Called when a target was removed, a moment before that is reported, or one that is awaited may have been created. */
  readonly onTargetsChanged?: () => void;
  /** Called after the work of each wake-up, also one without an event, as by an unrelated line of the kernel log. */
  readonly afterWake?: () => void;
}

/** Emits an event of one cgroup, stamped with the current time. */
export type EmitBody = (cgroup: string, source: Source, body: Body) => void;
