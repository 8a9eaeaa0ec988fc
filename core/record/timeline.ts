/** A recording by time: what was known of each cgroup at any moment of the run. Pure. */

import type {
  AnyEvent,
  RecordedCgroup,
  RecordedSnapshot,
  RecordingHead,
  RecordingLine,
} from "./format.ts";

interface TimedEvent {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly event: AnyEvent;
}

export class Timeline {
  readonly head: RecordingHead;
  /** By path. */
  readonly cgroups = new Map<string, Track>();
  readonly events: TimedEvent[] = [];
  /** Whether it has its end; not when the program was killed, still runs, or the recording was full. */
  readonly isWhole: boolean;
  /** The times of all samples and events, sorted, each once. */
  readonly moments: readonly number[];

  /** @param lines of a recording, the head first, in any order after it. */
  static async read(lines: AsyncIterable<RecordingLine>): Promise<Timeline> {
    const all: RecordingLine[] = [];
    for await (const line of lines) all.push(line);
    return new Timeline(all);
  }

  constructor(lines: readonly RecordingLine[]) {
    this.head = lines[0] as RecordingHead;
    this.isWhole = lines.some((line) => line.type === "end" && line.reason === "ended");
    const byId = new Map<number, Track>();
    const moments = new Set<number>();
    for (const line of lines) {
      switch (line.type) {
        case "cgroup": {
          const track = byId.get(line.id) ?? this.cgroups.get(line.path) ?? new Track(line.path);
          byId.set(line.id, track);
          this.cgroups.set(line.path, track);
          track.descriptions.push(line);
          break;
        }
        case "snapshot":
          byId.get(line.id)!.samples.push(line);
          moments.add(line.at);
          break;
        case "gone":
          byId.get(line.id)!.removals.push(line);
          break;
        case "event":
          this.events.push(line);
          moments.add(line.at);
      }
    }
    // The samples of a watch and of its allocators arrive late.
    this.events.sort(byTime);
    for (const track of this.cgroups.values()) track.sort();
    this.moments = moments.size === 0 ? [this.head.at] : [...moments].sort((a, b) => a - b);
  }

  get from(): number {
    return this.moments[0]!;
  }

  get to(): number {
    return this.moments.at(-1)!;
  }
}

const byTime = (a: { readonly at: number }, b: { readonly at: number }) => a.at - b.at;

/** One cgroup; also one that was created again after its removal. */
export class Track {
  readonly descriptions: RecordedCgroup[] = [];
  readonly samples: RecordedSnapshot[] = [];
  readonly removals: { readonly at: number }[] = [];

  constructor(readonly path: string) {}

  sort(): void {
    for (const list of [this.descriptions, this.samples, this.removals]) list.sort(byTime);
  }

  /** The description in force; the first one until then. */
  description(at: number): RecordedCgroup {
    return this.descriptions[Math.max(0, indexAt(this.descriptions, at))]!;
  }

  /** The last sample; a value that does not change is not recorded again. */
  sample(at: number): RecordedSnapshot | undefined {
    return this.samples[indexAt(this.samples, at)];
  }

  /** When it was removed, unless it was sampled again since. */
  removedAt(at: number): number | undefined {
    const removal = this.removals[indexAt(this.removals, at)]?.at;
    const sampled = this.sample(at)?.at;
    return removal === undefined || sampled === undefined || sampled > removal
      ? undefined
      : removal;
  }

  /** The first sample of the cgroup that the last sample is of: since the removal of one before it. */
  firstSample(at: number): RecordedSnapshot | undefined {
    const last = this.sample(at);
    if (last === undefined) return undefined;
    const removal = this.removals.findLast((each) => each.at < last.at)?.at ?? -Infinity;
    return this.samples[indexAt(this.samples, removal) + 1];
  }

  /** The highest usage of each of `count` equal intervals that end at `at`, oldest first; `undefined` while there is no cgroup. */
  peaks(at: number, intervalMs: number, count: number): (number | undefined)[] {
    return Array.from({ length: count }, (_, index) => {
      const to = at - (count - 1 - index) * intervalMs;
      const from = to - intervalMs;
      const last = indexAt(this.samples, to);
      // The value at the start counts as well, except that of a cgroup that was removed by then.
      const held = indexAt(this.samples, from);
      const first = Math.max(0, this.removedAt(from) === undefined ? held : held + 1);
      let peak: number | undefined;
      for (let each = first; each <= last; each++) {
        peak = Math.max(peak ?? 0, this.samples[each]!.usage);
      }
      return peak;
    });
  }
}

/** The index of the last element at or before `at`; -1 before the first. */
export function indexAt(sorted: readonly { readonly at: number }[], at: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]!.at <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
