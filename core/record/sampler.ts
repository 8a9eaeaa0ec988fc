/**
 * Reads what a run does not need to decide, but who looks at it later wants to see: usage, page cache and pressure some times a
 * second. Beside whatever is urgent, and bounded: with many cgroups each has its turn more seldom.
 */

import { type Cgroup, tryReader } from "../cgroup/cgroup.ts";
import { parseKeyed } from "../parse/cgroupfs.ts";
import { parseBytes } from "../parse/cgroupfs.ts";
import { recordingClock } from "./clock.ts";
import type { RecordedSnapshot, RecordSink } from "./format.ts";

export interface Sampled {
  /** That of the recording. */
  readonly id: number;
  readonly cgroup: Cgroup;
}

export interface Sampler {
  /** Reads all once more, as far as there is time for it. */
  stop(): void;
}

/** Four times a second is more than an eye follows in a chart of minutes (milliseconds). */
const SAMPLE_MS = 250;
/** A read takes some 0.2 ms: at this pace all of them together take a twentieth of a core (milliseconds). */
const SAMPLE_MS_EACH = 4;
/** In one go. */
const MAX_AT_ONCE = Math.ceil(SAMPLE_MS / SAMPLE_MS_EACH);

export function startSampler(recordSink: RecordSink, sampled: () => Iterable<Sampled>): Sampler {
  const last = new Map<number, string>();
  let waiting: Sampled[] = [];
  const sample = () => {
    if (waiting.length === 0) {
      waiting = [...sampled()];
      for (const id of last.keys()) if (!waiting.some((each) => each.id === id)) last.delete(id);
    }
    for (const each of waiting.splice(0, MAX_AT_ONCE)) {
      const seen = look(each);
      if (seen === undefined) continue;
      // What stands still takes no room.
      const key = JSON.stringify(seen);
      if (last.get(each.id) === key) continue;
      last.set(each.id, key);
      recordSink.line({ ...seen, at: recordingClock() });
    }
  };
  sample();
  const timer = setInterval(sample, SAMPLE_MS);
  return {
    stop() {
      clearInterval(timer);
      waiting = [];
      sample();
    },
  };
}

/** `undefined` when it is gone. */
function look({ id, cgroup }: Sampled): Omit<RecordedSnapshot, "at"> | undefined {
  const read = tryReader(cgroup);
  const { version: dialect } = cgroup.hierarchy;
  const usage = parseBytes(read(dialect.usageFile));
  if (usage === undefined) return undefined;
  const rows = parseKeyed(read("memory.stat") ?? "");
  // The rows of v1 that count what lies beneath are named so.
  const bytes = (key: string) => parseBytes(rows.get(`total_${key}`) ?? rows.get(key));
  const inactive_file = bytes("inactive_file");
  const active_file = bytes("active_file");
  const pressure = dialect.pressure(read);
  return {
    type: "snapshot",
    id,
    usage,
    ...(inactive_file !== undefined && { inactive_file }),
    ...(inactive_file !== undefined && active_file !== undefined &&
      { reclaimable: inactive_file + active_file }),
    ...(pressure?.some && { some: pressure.some.avg10 }),
    ...(pressure?.full && { full: pressure.full.avg10 }),
    sampled: true,
  };
}
