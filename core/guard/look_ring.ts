/**
 * Looks of the sentry on their way to who records them: numbers in memory that both threads share. The sentry writes without
 * allocating anything and without ever waiting; where nobody takes them out in time the newest are lost, and counted.
 */

import { type Level, LEVELS } from "../policy/bounds.ts";
import type { Sight } from "../policy/engagement.ts";
import { DEEDS, type RecordedDeed } from "../record/format.ts";

/** What can be told to another thread. */
export interface SharedLooks {
  readonly numbers: Float64Array<SharedArrayBuffer>;
  /** How many were ever put in, were ever taken out, and were lost: each modulo 2^32. */
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** One look, as the decision had it. Sizes are bytes, rates bytes a second. */
export interface Look {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly ward: number;
  readonly usage: number;
  /** Of the base. */
  readonly value: number;
  readonly reclaimable: number | undefined;
  readonly rate: number | undefined;
  readonly unreclaimableRate: number | undefined;
  /** Absent where nothing is to die yet. */
  readonly victim: Sight["victim"] | undefined;
  readonly did: RecordedDeed | undefined;
  readonly rang: readonly Level[];
}

/** The sentry's end. All are called in its thread. */
export interface Looks {
  /** Below the level at which something dies, or where nothing does. */
  level(ward: Watched, now: number, value: number, rang: readonly Level[]): void;
  /** Where something is to die, after that which was done. */
  sight(ward: Watched, now: number, sight: Sight, did: RecordedDeed): void;
  /** Levels that were told of at the look that goes on. */
  rang(levels: readonly Level[]): void;
}

/** What is taken from a ward, see `core/guard/ward.ts`. */
interface Watched {
  readonly id: number;
  readonly usage: number;
  readonly rate: number | undefined;
  readonly cache: { readonly reclaimable?: number };
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
export function shareLooks(): SharedLooks {
  return {
    numbers: new Float64Array(
      new SharedArrayBuffer(SLOTS * FIELDS * Float64Array.BYTES_PER_ELEMENT),
    ),
    counts: new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT)),
  };
}

/** @param origin what to add to `now` to have milliseconds since the epoch. */
export function putLooks({ numbers, counts }: SharedLooks, origin: number): Looks {
  let put = 0;
  let waiting = 0;
  const bitsOf = (levels: readonly Level[]) => {
    let bits = 0;
    for (let n = 0; n < levels.length; n++) bits |= 1 << LEVELS.indexOf(levels[n]!);
    return bits;
  };
  const write = (
    ward: Watched,
    now: number,
    usage: number,
    value: number,
    reclaimable: number | undefined,
    rate: number | undefined,
    unreclaimableRate: number | undefined,
    victim: number,
    did: number,
  ) => {
    const rang = waiting;
    waiting = 0;
    if (((put - Atomics.load(counts, TAKEN)) | 0) >= SLOTS) {
      Atomics.add(counts, LOST, 1);
      return;
    }
    const at = (put & (SLOTS - 1)) * FIELDS;
    numbers[at] = origin + now;
    numbers[at + 1] = ward.id;
    numbers[at + 2] = usage;
    numbers[at + 3] = value;
    numbers[at + 4] = reclaimable ?? NaN;
    numbers[at + 5] = rate ?? NaN;
    numbers[at + 6] = unreclaimableRate ?? NaN;
    numbers[at + 7] = victim;
    numbers[at + 8] = did;
    numbers[at + 9] = rang;
    put = (put + 1) | 0;
    // What was written above is there for whoever sees this.
    Atomics.store(counts, PUT, put);
  };
  return {
    rang: (levels) => void (waiting = bitsOf(levels)),
    level(ward, now, value, rang) {
      waiting = bitsOf(rang);
      // What was read of memory.stat before this look may be otherwise by now.
      const reclaimable = ward.statAt === now ? ward.cache.reclaimable : undefined;
      write(ward, now, ward.usage, value, reclaimable, ward.rate, undefined, -1, -1);
    },
    sight(ward, now, sight, did) {
      const { usage, value, reclaimable, rate, unreclaimableRate } = sight;
      const victim = VICTIMS.indexOf(sight.victim);
      const deed = DEEDS.indexOf(did);
      write(ward, now, usage, value, reclaimable, rate, unreclaimableRate, victim, deed);
    },
  };
}

/** All that are there now, the oldest first; and how many were lost since it was asked last. */
export function takeLooks(
  { numbers, counts }: SharedLooks,
  take: (look: Look) => void,
): { readonly lost: number } {
  const put = Atomics.load(counts, PUT);
  let taken = Atomics.load(counts, TAKEN);
  const known = (value: number) => Number.isNaN(value) ? undefined : value;
  for (; taken !== put; taken = (taken + 1) | 0) {
    const at = (taken & (SLOTS - 1)) * FIELDS;
    const field = (n: number) => numbers[at + n]!;
    take({
      at: field(0),
      ward: field(1),
      usage: field(2),
      value: field(3),
      reclaimable: known(field(4)),
      rate: known(field(5)),
      unreclaimableRate: known(field(6)),
      victim: VICTIMS[field(7)],
      did: DEEDS[field(8)],
      rang: LEVELS.filter((_, n) => field(9) & (1 << n)),
    });
  }
  Atomics.store(counts, TAKEN, taken);
  return { lost: Atomics.exchange(counts, LOST, 0) };
}
