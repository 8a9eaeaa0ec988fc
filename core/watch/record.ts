/** What a watch reads, as lines of a recording. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { identify } from "../cgroup/identity.ts";
import { recordingClock } from "../record/clock.ts";
import type { RecordedCgroup, RecordSink } from "../record/format.ts";
import { startSampler } from "../record/sampler.ts";
import type { WatchedCgroup } from "./watched_cgroup.ts";
import type { CgroupDiffer } from "./diff.ts";
import { finite } from "./diff.ts";

export interface WatchRecording {
  /** The same observer; what it reads is recorded. */
  around(differ: CgroupDiffer): CgroupDiffer;
  gone(watched: WatchedCgroup): void;
  stop(): void;
}

interface Known {
  readonly id: number;
  /** The line that described it last. */
  described: string;
}

export function recordWatch(
  recordSink: RecordSink | undefined,
  watchedCgroups: ReadonlyMap<string, WatchedCgroup>,
): WatchRecording {
  if (recordSink === undefined) return { around: (differ) => differ, gone() {}, stop() {} };
  const known = new Map<WatchedCgroup, Known>();
  let nextId = 1;

  const knownOf = (watched: WatchedCgroup): Known => {
    const found = known.get(watched) ?? { id: nextId++, described: "" };
    known.set(watched, found);
    return found;
  };

  const describe = (watched: WatchedCgroup) => {
    const found = knownOf(watched);
    const line = lineOf(found.id, watched);
    const described = JSON.stringify(line);
    if (described === found.described) return;
    found.described = described;
    recordSink.line({ ...line, at: recordingClock() });
  };

  /** @param at before it was read: telling takes longer than that. */
  const look = (watched: WatchedCgroup, at: number) => {
    describe(watched);
    const { usage } = watched;
    if (usage === undefined) return;
    recordSink.line({ type: "snapshot", at, id: knownOf(watched).id, usage });
  };

  const sampler = startSampler(recordSink, function* () {
    for (const watched of watchedCgroups.values()) {
      // Who has not been looked at yet is not described.
      const found = known.get(watched);
      if (found) yield { id: found.id, cgroup: watched.cgroup };
    }
  });

  return {
    around: (differ) => ({
      ...differ,
      refresh(watched, source, now) {
        const at = recordingClock();
        const isThere = differ.refresh(watched, source, now);
        if (isThere) look(watched, at);
        return isThere;
      },
      pollUsage(watched, now) {
        const before = watched.usage;
        const at = recordingClock();
        differ.pollUsage(watched, now);
        if (watched.usage !== before) look(watched, at);
      },
    }),
    gone(watched) {
      const found = known.get(watched);
      if (found) recordSink.line({ type: "gone", at: recordingClock(), id: found.id });
      known.delete(watched);
    },
    stop: sampler.stop,
  };
}

function lineOf(id: number, { cgroup, thresholds }: WatchedCgroup): Omit<RecordedCgroup, "at"> {
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
    reference_lines: thresholds.map(({ bytes }) => ({ name: "threshold", bytes })),
    policy: null,
    mode: null,
    oom_total_bytes: null,
  };
}
