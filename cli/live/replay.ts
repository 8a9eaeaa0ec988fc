/** A recording in the live view: which moment is shown, and the rows and events of that moment. Pure. */

import { timeLeft } from "../../core/collect/live_usage.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { AnyEvent } from "../../core/record/format.ts";
import { indexAt, type Timeline, type Track } from "../../core/record/timeline.ts";
import { counted, type Counts, killsIn, NO_COUNTS, removedRowMs, type Row } from "./rows.ts";
import type { LogEntry, ReplayCommand, ReplayFacts } from "./view.ts";

/** Intervals of the usage over time, as for a live cgroup. */
const INTERVALS = 60;
const MAX_HISTORY_MS = 180_000;
const MIN_HISTORY_MS = 100;
const RATE_MS = 4000;
/** A step within less time looks like a rate of gigabytes a second. */
const MIN_RATE_MS = 100;
const MINUTE_MS = 60_000;
/** A step passes at most this share of the recording, and at least to the next moment. */
const STEPS = 1000;
const MAX_SPEED = 64;

interface CountsAt {
  readonly at: number;
  readonly counts: Counts;
}

interface Kill {
  readonly at: number;
  readonly path: string;
}

export class Replay {
  #at: number;
  #speed = 1;
  #isPlaying = false;
  readonly #totals: CountsAt[] = [];
  readonly #counts = new Map<string, CountsAt[]>();
  readonly #kills: Kill[] = [];
  readonly #log: { readonly at: number; readonly entry: LogEntry }[] = [];

  /** @param facts the sentence of an event; `undefined` for one that is not shown */
  constructor(
    private readonly timeline: Timeline,
    facts: (event: AnyEvent) => string | undefined,
  ) {
    this.#at = timeline.from;
    for (const { at, event } of timeline.events) {
      this.#count(at, event);
      const text = facts(event);
      if (text === undefined) continue;
      const entry = { ...event, ts: new Date(at).toISOString() } as unknown as OomkitEvent;
      this.#log.push({ at, entry: { event: entry, facts: text } });
    }
  }

  get isPlaying(): boolean {
    return this.#isPlaying;
  }

  /** @returns the cgroup of the kill that it moved to */
  control(command: ReplayCommand): string | undefined {
    const { from, to } = this.timeline;
    switch (command) {
      case "play":
        if (!this.#isPlaying && this.#at >= to) this.#at = from;
        this.#isPlaying = !this.#isPlaying;
        return undefined;
      case "faster":
      case "slower": {
        const speed = this.#speed * (command === "faster" ? 2 : 1 / 2);
        this.#speed = Math.max(1 / MAX_SPEED, Math.min(MAX_SPEED, speed));
        return undefined;
      }
    }
    this.#isPlaying = false;
    switch (command) {
      case "step":
      case "step-back":
        this.#step(command === "step" ? 1 : -1);
        return undefined;
      case "minute":
        this.#at = Math.min(to, this.#at + MINUTE_MS);
        return undefined;
      case "minute-back":
        this.#at = Math.max(from, this.#at - MINUTE_MS);
        return undefined;
      case "next-kill":
      case "previous-kill": {
        const kill = command === "next-kill"
          ? this.#kills.find(({ at }) => at > this.#at)
          : this.#kills.findLast(({ at }) => at < this.#at);
        if (kill) this.#at = kill.at;
        return kill?.path;
      }
    }
  }

  /** @param ms since the last call */
  advance(ms: number): void {
    if (!this.#isPlaying) return;
    this.#at = Math.min(this.timeline.to, this.#at + ms * this.#speed);
    if (this.#at >= this.timeline.to) this.#isPlaying = false;
  }

  /** To the next moment of the recording, or over a small share of it. */
  #step(direction: 1 | -1): void {
    const { moments, from, to } = this.timeline;
    const target = this.#at + direction * (to - from) / STEPS;
    const next = direction > 0
      ? moments.find((at) => at > this.#at && at >= target) ?? to
      : moments.findLast((at) => at < this.#at && at <= target) ?? from;
    this.#at = next;
  }

  #count(at: number, event: AnyEvent): void {
    const before = this.#totals.at(-1)?.counts ?? NO_COUNTS;
    const checked = countable(event);
    const after = checked === undefined ? before : counted(before, checked);
    if (checked === undefined || after === before) return;
    this.#totals.push({ at, counts: after });
    const own = this.#counts.get(event.cgroup) ?? [];
    own.push({ at, counts: counted(own.at(-1)?.counts ?? NO_COUNTS, checked) });
    this.#counts.set(event.cgroup, own);
    if (killsIn(after) > killsIn(before)) this.#kills.push({ at, path: event.cgroup });
  }

  get totals(): Counts {
    return countsAt(this.#totals, this.#at);
  }

  facts(): ReplayFacts {
    const { from, to, head, isWhole } = this.timeline;
    return {
      from,
      to,
      at: this.#at,
      isPlaying: this.#isPlaying,
      speed: this.#speed,
      kills: this.#kills.map(({ at }) => at),
      isWhole,
      source: `${head.command} on ${head.host}`,
      isOfGuard: head.command === "guard",
      historySeconds: this.#historyMs() / 1000,
    };
  }

  log(max: number): readonly LogEntry[] {
    const end = indexAt(this.#log, this.#at) + 1;
    return this.#log.slice(Math.max(0, end - max), end).map(({ entry }) => entry);
  }

  /** A short recording as a whole. */
  #historyMs(): number {
    const { from, to } = this.timeline;
    return Math.max(MIN_HISTORY_MS, Math.min(MAX_HISTORY_MS, to - from));
  }

  rows(): Row[] {
    return this.timeline.cgroups.values().flatMap((track) => this.#rowOf(track)).toArray();
  }

  #rowOf(track: Track): Row[] {
    const at = this.#at;
    const sample = track.sample(at);
    if (sample === undefined) return [];
    const counts = countsAt(this.#counts.get(track.path) ?? [], at);
    const removedAt = track.removedAt(at);
    if (removedAt !== undefined && at - removedAt >= removedRowMs(counts)) return [];
    const { limit: bytes, reference_lines: marks, mode } = track.description(at);
    const { usage, some, full } = sample;
    const limit = bytes ?? Infinity;
    const headroom = bytes === null ? undefined : Math.max(0, bytes - usage);
    const rate = rateOf(track, at) ?? sample.rate;
    const cache = lastKnown(track, at, "inactive_file");
    const stalled = (avg10: number) => ({ avg10, avg60: 0, avg300: 0, total: 0n });
    return [{
      path: track.path,
      usage,
      workingSet: cache === undefined ? undefined : Math.max(0, usage - cache),
      limit,
      headroom,
      rate,
      timeLeft: timeLeft(headroom, rate),
      marks,
      history: track.peaks(at, this.#historyMs() / INTERVALS, INTERVALS),
      counts,
      isRemoved: removedAt !== undefined,
      ...removedAt === undefined ? {} : { removedFor: (at - removedAt) / 1000 },
      ...mode === null ? {} : { mode },
      ...some === undefined
        ? {}
        : { pressure: { some: stalled(some), ...full !== undefined && { full: stalled(full) } } },
    }];
  }
}

const countsAt = (list: readonly CountsAt[], at: number): Counts =>
  list[indexAt(list, at)]?.counts ?? NO_COUNTS;

/** Samples before this one are not looked at for a value that was not read each time. */
const MAX_SAMPLES_BACK = 200;

function lastKnown(track: Track, at: number, field: "inactive_file"): number | undefined {
  const last = indexAt(track.samples, at);
  const first = track.firstSample(at);
  for (let index = last; index >= 0 && index > last - MAX_SAMPLES_BACK; index--) {
    const sample = track.samples[index]!;
    if (sample[field] !== undefined) return sample[field];
    if (sample === first) break;
  }
  return undefined;
}

/** Bytes a second over the last seconds. */
function rateOf(track: Track, at: number): number | undefined {
  const from = Math.max(at - RATE_MS, track.firstSample(at)!.at);
  const before = track.sample(from)!;
  const elapsed = at - from;
  return elapsed >= MIN_RATE_MS
    ? 1000 * (track.sample(at)!.usage - before.usage) / elapsed
    : undefined;
}

/** What is counted of an event. It is text from outside: its fields are not trusted. */
function countable(event: AnyEvent): OomkitEvent | undefined {
  const { type, count, outcome, victim, usage_before, limit } = event as Record<string, unknown>;
  const number = (value: unknown) => typeof value === "number" ? value : undefined;
  const isVictim = typeof victim === "object" && victim !== null && "comm" in victim &&
    "pid" in victim && typeof victim.comm === "string" && typeof victim.pid === "number";
  if (!["max", "oom", "oom_kill", "action"].includes(String(type))) return undefined;
  return {
    type,
    outcome,
    cgroup: event.cgroup,
    count: number(count) ?? 1,
    victim: isVictim ? victim : null,
    usage_before: number(usage_before),
    limit: number(limit),
  } as unknown as OomkitEvent;
}
