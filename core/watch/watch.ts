/** Placeholder signatures; see the following commit. */

import type { Interests } from "../cgroup/dialect.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import type { OomkitEvent } from "../report/event.ts";

export interface WatchOptions {
  readonly targets: readonly Cgroup[];
  /** Also everything beneath the targets, and what appears there later. */
  readonly recursive: boolean;
  /** Thresholds in bytes, or in percent of the effective limit, are worked out per cgroup. */
  readonly thresholds: readonly ({ readonly bytes: number } | { readonly percent: number })[];
  readonly pressure: Interests["pressure"];
  readonly psi: Interests["psi"];
  /** Milliseconds: read at this pace instead of being notified. */
  readonly poll?: number;
}

export interface Watching {
  /** For the start-up line: which sources are in use, and why not others. */
  readonly sources: readonly string[];
  /** Resolves when nothing is left to watch. */
  readonly done: Promise<void>;
  /** Reads everything once more, tells what is left to tell, ends with the summary, and frees everything. */
  stop(): Promise<OomkitEvent & { type: "summary" }>;
}

/** Arms everything before it returns: what happens afterwards is told. Events come in order, from one loop. */
export declare function startWatch(
  options: WatchOptions,
  emit: (event: OomkitEvent) => void,
): Watching;
