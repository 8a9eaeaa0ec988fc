/** What a watch reads, as lines of a recording. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { identify } from "../cgroup/identity.ts";
import { recordingClock } from "../record/clock.ts";
import type { RecordedCgroup, Recorder } from "../record/format.ts";
import { startSampler } from "../record/sampler.ts";
import type { Member } from "./member.ts";
import type { Observer } from "./observe.ts";
import { finite } from "./tally.ts";

export interface WatchRecording {
  /** The same observer; what it reads is recorded. */
  around(observer: Observer): Observer;
  gone(member: Member): void;
  stop(): void;
}

interface Known {
  readonly id: number;
  /** The line that described it last. */
  described: string;
}

export function recordWatch(
  recorder: Recorder | undefined,
  members: ReadonlyMap<string, Member>,
): WatchRecording {
  if (recorder === undefined) return { around: (observer) => observer, gone() {}, stop() {} };
  const known = new Map<Member, Known>();
  let nextId = 1;

  const knownOf = (member: Member): Known => {
    const found = known.get(member) ?? { id: nextId++, described: "" };
    known.set(member, found);
    return found;
  };

  const describe = (member: Member) => {
    const found = knownOf(member);
    const line = lineOf(found.id, member);
    const described = JSON.stringify(line);
    if (described === found.described) return;
    found.described = described;
    recorder.line({ ...line, at: recordingClock() });
  };

  /** @param at before it was read: telling takes longer than that. */
  const look = (member: Member, at: number) => {
    describe(member);
    const { usage } = member;
    if (usage === undefined) return;
    recorder.line({ type: "snapshot", at, id: knownOf(member).id, usage });
  };

  const sampler = startSampler(recorder, function* () {
    for (const member of members.values()) {
      // Who has not been looked at yet is not described.
      const found = known.get(member);
      if (found) yield { id: found.id, cgroup: member.cgroup };
    }
  });

  return {
    around: (observer) => ({
      ...observer,
      refresh(member, source, now) {
        const at = recordingClock();
        const isThere = observer.refresh(member, source, now);
        if (isThere) look(member, at);
        return isThere;
      },
      glance(member, now) {
        const before = member.usage;
        const at = recordingClock();
        observer.glance(member, now);
        if (member.usage !== before) look(member, at);
      },
    }),
    gone(member) {
      const found = known.get(member);
      if (found) recorder.line({ type: "gone", at: recordingClock(), id: found.id });
      known.delete(member);
    },
    stop: sampler.stop,
  };
}

function lineOf(id: number, { cgroup, thresholds }: Member): Omit<RecordedCgroup, "at"> {
  const { path } = cgroup;
  const { containerId, podUid } = identify(path);
  const { bytes, owner } = readEffectiveLimit(cgroup);
  return {
    type: "cgroup",
    id,
    path,
    measured: path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    limit: finite(bytes),
    limit_owner: owner ?? null,
    marks: thresholds.map(({ bytes }) => ({ name: "threshold", bytes })),
    plan: null,
    mode: null,
    capacity: null,
  };
}
