/**
 * Samples of the monitor thread on their way to a recording, in memory that both threads share. The writer neither allocates
 * nor waits; if the samples are not drained in time, the newest are lost and counted.
 */

import type { Observation } from "../../policy/kill_cycle.ts";
import type { ReclaimStat } from "../../parse/cgroupfs.ts";
import { type Level, LEVELS } from "../../policy/levels.ts";
import type { UnreclaimableTrend, UsageTrend } from "../../policy/usage_trend.ts";
import { DECISIONS, type RecordedDecision } from "../../record/decisions.ts";

/** Can be posted to another thread. */
export interface SampleRing {
  readonly numbers: Float64Array<SharedArrayBuffer>;
  /** How many samples were ever written, drained and lost, each modulo 2^32. */
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** One sample, as it was decided by. Sizes are bytes, rates bytes per second. */
export interface UsageSample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Of the cgroup. */
  readonly id: number;
  readonly usage: number;
  readonly metricValue: number;
  readonly reclaimable: number | undefined;
  /** This and the next four: absent outside of a kill cycle. */
  readonly swappable: number | undefined;
  readonly kernelMemory: number | undefined;
  readonly writeback: number | undefined;
  readonly reclaimed: number | undefined;
  readonly peakRate: number | undefined;
  /** False outside of a kill cycle. */
  readonly oomKillerDisabled: boolean;
  readonly rate: number | undefined;
  readonly unreclaimableRate: number | undefined;
  /** Absent outside of a kill cycle, as is the decision. */
  readonly victim: Observation["victim"] | undefined;
  readonly decision: RecordedDecision | undefined;
  readonly triggered: readonly Level[];
}

/** A busy poll takes about 20,000 samples a second, and they are drained ten times a second. */
const SLOTS = 16_384;
const FIELDS = 16;
const WRITTEN = 0;
const DRAINED = 1;
const LOST = 2;
const VICTIMS = ["none", "alive", "dead"] as const;

/** 2 MB. */
export function createSampleRing(): SampleRing {
  const bytes = SLOTS * FIELDS * Float64Array.BYTES_PER_ELEMENT;
  return {
    numbers: new Float64Array(new SharedArrayBuffer(bytes)),
    counts: new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT)),
  };
}

/** The part of `CgroupState` that is sampled. */
interface SampledState {
  readonly id: number;
  readonly memory: Pick<UsageTrend & UnreclaimableTrend, "usage" | "rate" | "statAt"> & {
    readonly reclaimStat: ReclaimStat;
  };
}

/** For the monitor thread only. */
export class SampleWriter {
  readonly #numbers: SampleRing["numbers"];
  readonly #counts: SampleRing["counts"];
  #written = 0;
  #triggeredBits = 0;

  /** @param origin what to add to `now` to get milliseconds since the epoch. */
  constructor({ numbers, counts }: SampleRing, readonly origin: number) {
    this.#numbers = numbers;
    this.#counts = counts;
  }

  /** The levels that the next sample has triggered. */
  triggered(levels: readonly Level[]): void {
    this.#triggeredBits = 0;
    for (let n = 0; n < levels.length; n++) this.#triggeredBits |= 1 << LEVELS.indexOf(levels[n]!);
  }

  /** A sample outside of a kill cycle. */
  level(
    { id, memory }: SampledState,
    now: number,
    metricValue: number,
    triggered: readonly Level[],
  ): void {
    this.triggered(triggered);
    // An earlier reading of memory.stat may be out of date.
    const reclaimable = memory.statAt === now ? memory.reclaimStat.reclaimable : undefined;
    this.#write(id, now, memory.usage, metricValue, reclaimable, memory.rate, undefined, -1, -1);
  }

  /** A sample within a kill cycle, after its step. */
  observation(id: number, now: number, seen: Observation, decision: RecordedDecision): void {
    const { usage, metricValue, reclaimable, rate, unreclaimableRate } = seen;
    const victim = VICTIMS.indexOf(seen.victim);
    const at = DECISIONS.indexOf(decision);
    const { swappable, kernelMemory, writeback, reclaimed, peakRate, oomKillerDisabled } = seen;
    const reclaim = [swappable, kernelMemory, writeback, reclaimed, peakRate] as const;
    const head = [id, now, usage, metricValue, reclaimable, rate, unreclaimableRate] as const;
    this.#write(...head, victim, at, ...reclaim, oomKillerDisabled);
  }

  #write(
    id: number,
    now: number,
    usage: number,
    metricValue: number,
    reclaimable = NaN,
    rate = NaN,
    unreclaimableRate = NaN,
    victim: number,
    decision: number,
    swappable = NaN,
    kernelMemory = NaN,
    writeback = NaN,
    reclaimed = NaN,
    peakRate = NaN,
    oomKillerDisabled = false,
  ): void {
    const triggered = this.#triggeredBits;
    this.#triggeredBits = 0;
    if (((this.#written - Atomics.load(this.#counts, DRAINED)) | 0) >= SLOTS) {
      Atomics.add(this.#counts, LOST, 1);
      return;
    }
    const numbers = this.#numbers;
    const at = (this.#written & (SLOTS - 1)) * FIELDS;
    numbers[at] = this.origin + now;
    numbers[at + 1] = id;
    numbers[at + 2] = usage;
    numbers[at + 3] = metricValue;
    numbers[at + 4] = reclaimable;
    numbers[at + 5] = rate;
    numbers[at + 6] = unreclaimableRate;
    numbers[at + 7] = victim;
    numbers[at + 8] = decision;
    numbers[at + 9] = triggered;
    numbers[at + 10] = swappable;
    numbers[at + 11] = kernelMemory;
    numbers[at + 12] = writeback;
    numbers[at + 13] = reclaimed;
    numbers[at + 14] = peakRate;
    numbers[at + 15] = oomKillerDisabled ? 1 : 0;
    this.#written = (this.#written + 1) | 0;
    // Publishes the fields above to the reader.
    Atomics.store(this.#counts, WRITTEN, this.#written);
  }
}

/** Passes all samples to `take`, the oldest first. @returns how many were lost since the last call. */
export function drainSamples(
  { numbers, counts }: SampleRing,
  take: (sample: UsageSample) => void,
): { readonly lost: number } {
  const written = Atomics.load(counts, WRITTEN);
  let drained = Atomics.load(counts, DRAINED);
  const optional = (value: number) => Number.isNaN(value) ? undefined : value;
  for (; drained !== written; drained = (drained + 1) | 0) {
    const at = (drained & (SLOTS - 1)) * FIELDS;
    const field = (n: number) => numbers[at + n]!;
    take({
      at: field(0),
      id: field(1),
      usage: field(2),
      metricValue: field(3),
      reclaimable: optional(field(4)),
      swappable: optional(field(10)),
      kernelMemory: optional(field(11)),
      writeback: optional(field(12)),
      reclaimed: optional(field(13)),
      peakRate: optional(field(14)),
      oomKillerDisabled: field(15) === 1,
      rate: optional(field(5)),
      unreclaimableRate: optional(field(6)),
      victim: VICTIMS[field(7)],
      decision: DECISIONS[field(8)],
      triggered: LEVELS.filter((_, n) => field(9) & (1 << n)),
    });
  }
  Atomics.store(counts, DRAINED, drained);
  return { lost: Atomics.exchange(counts, LOST, 0) };
}
