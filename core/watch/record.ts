/** Writes what a watch reads to a recording. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { identify } from "../cgroup/identity.ts";
import { recordingClock } from "../record/clock.ts";
import type { RecordedCgroup, RecordSink } from "../record/format.ts";
import { type Sampler, startSampler } from "../record/sampler.ts";
import { finite } from "./change_detector.ts";
import type { WatchedCgroup } from "./watched_cgroup.ts";

export class WatchRecorder {
  readonly #sampler: Sampler;
  /** With the last line that described each. */
  readonly #recorded = new Map<WatchedCgroup, { readonly id: number; description: string }>();
  #nextId = 1;

  constructor(
    private readonly sink: RecordSink,
    watchedCgroups: ReadonlyMap<string, WatchedCgroup>,
  ) {
    const recorded = this.#recorded;
    this.#sampler = startSampler(sink, function* () {
      for (const watched of watchedCgroups.values()) {
        // A cgroup that has not been read yet is not described.
        const found = recorded.get(watched);
        if (found) yield { id: found.id, cgroup: watched.cgroup };
      }
    });
  }

  /**
   * Writes its description when that has changed, and its usage.
   *
   * @param at `recordingClock()` before it was read: to emit the events takes longer than that.
   */
  snapshot(watched: WatchedCgroup, at: number): void {
    const before = this.#recorded.get(watched);
    const found = before ?? { id: this.#nextId++, description: "" };
    this.#recorded.set(watched, found);
    const line = lineOf(found.id, watched);
    const description = JSON.stringify(line);
    if (description !== found.description) {
      found.description = description;
      this.sink.line({ ...line, at: recordingClock() });
    }
    const { usage, peak } = watched.memory;
    if (usage === undefined) return;
    // The first one shows from where on the kernel's peak rises: the command may end before the sampler reads it.
    const first = before === undefined && peak !== undefined ? { peak } : {};
    this.sink.line({ type: "snapshot", at, id: found.id, usage, ...first });
  }

  removed(watched: WatchedCgroup): void {
    const found = this.#recorded.get(watched);
    if (found) this.sink.line({ type: "gone", at: recordingClock(), id: found.id });
    this.#recorded.delete(watched);
  }

  stop(): void {
    this.#sampler.stop();
  }
}

function lineOf(id: number, { cgroup, memory }: WatchedCgroup): Omit<RecordedCgroup, "at"> {
  const { path } = cgroup;
  const { containerId, podUid } = identify(path);
  const { bytes, owner } = readEffectiveLimit(cgroup);
  return {
    type: "cgroup",
    id,
    path,
    usage_cgroup: path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    limit: finite(bytes),
    limit_owner: owner ?? null,
    reference_lines: memory.thresholds.map(({ bytes }) => ({ name: "threshold", bytes })),
    policy: null,
    mode: null,
    oom_total_bytes: null,
  };
}
