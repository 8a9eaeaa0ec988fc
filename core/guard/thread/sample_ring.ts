/**
 * Looks of the sentry on their way to who records them: numbers in memory that both threads share. The sentry writes without
 * allocating anything and without ever waiting; where nobody takes them out in time the newest are lost, and counted.
 */

import { type Level, LEVELS } from "../../policy/levels.ts";
import type { Observation } from "../../policy/kill_cycle.ts";
import { DECISIONS, type RecordedDecision } from "../../record/format.ts";

/** What can be told to another thread. */
export interface SampleRing {
  readonly numbers: Float64Array<SharedArrayBuffer>;
  /** How many were ever put in, were ever taken out, and were lost: each modulo 2^32. */
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** One look, as the decision had it. Sizes are bytes, rates bytes a second. */
export interface UsageSample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly state: number;
  readonly usage: number;
  /** Of the base. */
  readonly metricValue: number;
  readonly reclaimable: number | undefined;
  readonly rate: number | undefined;
  readonly unreclaimableRate: number | undefined;
  /** Absent where nothing is to die yet. */
  readonly victim: Observation["victim"] | undefined;
  readonly decision: RecordedDecision | undefined;
  readonly triggered: readonly Level[];
}

/** The sentry's end. All are called in its thread. */
export interface SampleWriter {
  /** Below the level at which something dies, or where nothing does. */
  level(state: SampledState, now: number, metricValue: number, triggered: readonly Level[]): void;
  /** Where something is to die, after that which was done. */
  observation(
    state: SampledState,
    now: number,
    observation: Observation,
    decision: RecordedDecision,
  ): void;
  /** Levels that were told of at the look that goes on. */
  triggered(levels: readonly Level[]): void;
}

/** What is taken from a ward, see `core/guard/thread/cgroup_state.ts`. */
interface SampledState {
  readonly id: number;
  readonly usage: number;
  readonly rate: number | undefined;
  readonly pageCache: { readonly reclaimable?: number };
  readonly statAt: number;
}

/** A sentry that looks without a pause does so some 20,000 times a second, and they are taken out ten times a second. */
const SLOTS = 16_384;
const FIELDS = 10;
const PUT = 0;
const TAKEN = 1;
const LOST = 2;
const VICTIMS = ["none", "alive", "dead"] as const;

/** 1.3 MB. */
export function createSampleRing(): SampleRing {
  return {
    numbers: new Float64Array(
      new SharedArrayBuffer(SLOTS * FIELDS * Float64Array.BYTES_PER_ELEMENT),
    ),
    counts: new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT)),
  };
}

/** @param origin what to add to `now` to have milliseconds since the epoch. */
export function createSampleWriter({ numbers, counts }: SampleRing, origin: number): SampleWriter {
  let put = 0;
  let waiting = 0;
  const bitsOf = (levels: readonly Level[]) => {
    let bits = 0;
    for (let n = 0; n < levels.length; n++) bits |= 1 << LEVELS.indexOf(levels[n]!);
    return bits;
  };
  const write = (
    state: SampledState,
    now: number,
    usage: number,
    metricValue: number,
    reclaimable: number | undefined,
    rate: number | undefined,
    unreclaimableRate: number | undefined,
    victim: number,
    decision: number,
  ) => {
    const triggered = waiting;
    waiting = 0;
    if (((put - Atomics.load(counts, TAKEN)) | 0) >= SLOTS) {
      Atomics.add(counts, LOST, 1);
      return;
    }
    const at = (put & (SLOTS - 1)) * FIELDS;
    numbers[at] = origin + now;
    numbers[at + 1] = state.id;
    numbers[at + 2] = usage;
    numbers[at + 3] = metricValue;
    numbers[at + 4] = reclaimable ?? NaN;
    numbers[at + 5] = rate ?? NaN;
    numbers[at + 6] = unreclaimableRate ?? NaN;
    numbers[at + 7] = victim;
    numbers[at + 8] = decision;
    numbers[at + 9] = triggered;
    put = (put + 1) | 0;
    // What was written above is there for whoever sees this.
    Atomics.store(counts, PUT, put);
  };
  return {
    triggered: (levels) => void (waiting = bitsOf(levels)),
    level(state, now, metricValue, triggered) {
      waiting = bitsOf(triggered);
      // What was read of memory.stat before this look may be otherwise by now.
      const reclaimable = state.statAt === now ? state.pageCache.reclaimable : undefined;
      write(state, now, state.usage, metricValue, reclaimable, state.rate, undefined, -1, -1);
    },
    observation(state, now, observation, decision) {
      const { usage, metricValue, reclaimable, rate, unreclaimableRate } = observation;
      const victim = VICTIMS.indexOf(observation.victim);
      const killAction = DECISIONS.indexOf(decision);
      write(
        state,
        now,
        usage,
        metricValue,
        reclaimable,
        rate,
        unreclaimableRate,
        victim,
        killAction,
      );
    },
  };
}

/** All that are there now, the oldest first; and how many were lost since it was asked last. */
export function drainSamples(
  { numbers, counts }: SampleRing,
  take: (sample: UsageSample) => void,
): { readonly lost: number } {
  const put = Atomics.load(counts, PUT);
  let taken = Atomics.load(counts, TAKEN);
  const known = (metricValue: number) => Number.isNaN(metricValue) ? undefined : metricValue;
  for (; taken !== put; taken = (taken + 1) | 0) {
    const at = (taken & (SLOTS - 1)) * FIELDS;
    const field = (n: number) => numbers[at + n]!;
    take({
      at: field(0),
      state: field(1),
      usage: field(2),
      metricValue: field(3),
      reclaimable: known(field(4)),
      rate: known(field(5)),
      unreclaimableRate: known(field(6)),
      victim: VICTIMS[field(7)],
      decision: DECISIONS[field(8)],
      triggered: LEVELS.filter((_, n) => field(9) & (1 << n)),
    });
  }
  Atomics.store(counts, TAKEN, taken);
  return { lost: Atomics.exchange(counts, LOST, 0) };
}
