/**
 * Reads usage, its peak, page cache and pressure of every recorded cgroup several times a second: no decision needs them, but a chart
 * does. Bounded in cost: with many cgroups each is read less often.
 */

import { type Cgroup, tryReader } from "../cgroup/cgroup.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { parseReclaimStat, parseSize } from "../parse/cgroupfs.ts";
import { recordingClock } from "./clock.ts";
import type { RecordedSnapshot, RecordSink } from "./format.ts";

export interface Sampled {
  /** The cgroup's id in the recording. */
  readonly id: number;
  readonly cgroup: Cgroup;
}

export interface Sampler {
  /** Reads all once more, as far as one turn allows. */
  stop(): void;
}

/** More often than this is not visible in a chart of minutes. */
const MS_BETWEEN_TURNS = 250;
/** A read takes about 0.2 ms: at this pace all of them together take a twentieth of a core. */
const MIN_MS_BETWEEN_READS = 4;
const MAX_READS_PER_TURN = Math.ceil(MS_BETWEEN_TURNS / MIN_MS_BETWEEN_READS);

export function startSampler(recordSink: RecordSink, sampled: () => Iterable<Sampled>): Sampler {
  /** What was last written, by id. */
  const last = new Map<number, string>();
  let remaining: Sampled[] = [];
  const readNext = () => {
    if (remaining.length === 0) {
      remaining = [...sampled()];
      for (const id of last.keys()) if (!remaining.some((each) => each.id === id)) last.delete(id);
    }
    for (const each of remaining.splice(0, MAX_READS_PER_TURN)) {
      const snapshot = read(each);
      if (snapshot === undefined) continue;
      const text = JSON.stringify(snapshot);
      if (last.get(each.id) === text) continue;
      last.set(each.id, text);
      recordSink.line({ ...snapshot, at: recordingClock() });
    }
  };
  readNext();
  const timer = setInterval(readNext, MS_BETWEEN_TURNS);
  return {
    stop() {
      clearInterval(timer);
      remaining = [];
      readNext();
    },
  };
}

/** `undefined` when the cgroup is gone. */
function read({ id, cgroup }: Sampled): Omit<RecordedSnapshot, "at"> | undefined {
  const { version } = cgroup.hierarchy;
  const readFile = tryReader(cgroup);
  // Before usage: a peak above usage is then one that no sample has shown.
  const peak = parseSize(readFile(version.peakFile));
  const usage = parseSize(readFile(version.usageFile));
  if (usage === undefined) return undefined;
  const { inactiveFile, reclaimable } = parseReclaimStat(readFile("memory.stat") ?? "");
  const pressure = version.pressure(readFile);
  return omitUndefined({
    type: "snapshot" as const,
    id,
    usage,
    peak,
    inactive_file: inactiveFile,
    reclaimable,
    some: pressure?.some?.avg10,
    full: pressure?.full?.avg10,
    sampled: true as const,
  });
}
