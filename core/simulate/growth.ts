/** How the usage of a fake cgroup moves over time, and what a kernel would count meanwhile. Pure. */

export const SHAPES = ["linear", "steps", "saw-tooth", "leak"] as const;
/**
 * `linear` and `steps` grow up to the limit; `saw-tooth` is a program with a garbage collector that frees in time; `leak` is
 * one that frees a little less each time.
 */
export type Shape = typeof SHAPES[number];

export interface Curve {
  readonly shape: Shape;
  /** Bytes. */
  readonly limit: number;
  /** Bytes per second while usage grows. */
  readonly rate: number;
  /** Bytes: usage stops growing there, and nothing is killed. */
  readonly stopAt?: number;
  /** Milliseconds from a kill until growth starts again, as in a restarted container; absent: it does not. */
  readonly restart?: number;
}

export interface Moment {
  /** Bytes. */
  readonly usage: number;
  /** The highest usage so far. */
  readonly peak: number;
  /** How often the limit was hit, an allocation failed, and a process was killed so far. */
  readonly max: bigint;
  readonly oom: bigint;
  readonly oomKill: bigint;
  /** Whether there is a process now. */
  readonly alive: boolean;
}

/** Shares of the limit: where the garbage collector runs, what it leaves, and how much more a leak keeps each time. */
const COLLECT_AT = 0.9;
const KEPT = 0.4;
const LEAKED = 0.1;
const STEPS = 8;
/** At the limit the kernel reclaims several times before it kills. */
const MAX_PER_OOM = 5n;

/** @param elapsed milliseconds since the start; never negative. */
export function growthAt(curve: Curve, elapsed: number): Moment {
  const life = lifetime(curve);
  const period = curve.restart === undefined ? Infinity : life + curve.restart;
  const round = period === Infinity ? 0 : Math.floor(elapsed / period);
  const within = period === Infinity ? elapsed : elapsed - round * period;
  const alive = within < life;
  const kills = BigInt(round) + (alive ? 0n : 1n);
  const usage = alive ? usageAt(curve, within) : 0;
  return {
    usage,
    peak: kills > 0n ? curve.limit : peakAt(curve, within),
    max: kills * MAX_PER_OOM,
    oom: kills,
    oomKill: kills,
    alive,
  };
}

/** Milliseconds until the limit is hit; `Infinity` when it never is. */
export function lifetime(curve: Curve): number {
  const { shape, limit, rate, stopAt = Infinity } = curve;
  if (stopAt < limit) return Infinity;
  if (shape === "saw-tooth") return Infinity;
  if (shape !== "leak") return limit / rate * 1000;
  let life = 0;
  for (let tooth = 0;; tooth++) {
    const { from, to } = toothOf(curve, tooth);
    if (from >= to) return life + (limit - from) / rate * 1000;
    life += (to - from) / rate * 1000;
  }
}

function usageAt(curve: Curve, elapsed: number): number {
  const { shape, limit, rate } = curve;
  const grown = rate * elapsed / 1000;
  const step = limit / STEPS;
  if (shape === "linear") return bounded(curve, grown);
  return bounded(
    curve,
    shape === "steps" ? Math.floor(grown / step) * step : teethAt(curve, grown),
  );
}

const bounded = ({ limit, stopAt = Infinity }: Curve, usage: number) =>
  Math.floor(Math.min(usage, stopAt, limit));

/** Where usage starts and ends to grow between two collections. A leak ends at the limit once nothing can be collected. */
function toothOf({ shape, limit }: Curve, tooth: number): { from: number; to: number } {
  const to = COLLECT_AT * limit;
  if (tooth === 0) return { from: 0, to };
  const kept = KEPT + (shape === "leak" ? LEAKED * (tooth - 1) : 0);
  return { from: Math.min(kept * limit, to), to };
}

/** @param grown all bytes allocated so far, including those that were collected. */
function teethAt(curve: Curve, grown: number): number {
  let left = grown;
  for (let tooth = 0;; tooth++) {
    const { from, to } = toothOf(curve, tooth);
    if (left < to - from || from >= to) return from + left;
    left -= to - from;
    // From the second tooth on, a saw-tooth repeats itself.
    if (curve.shape === "saw-tooth" && tooth > 0) left %= to - from;
  }
}

function peakAt(curve: Curve, elapsed: number): number {
  const { shape, limit, rate } = curve;
  if (shape === "linear" || shape === "steps") return usageAt(curve, elapsed);
  const grown = rate * elapsed / 1000;
  const collected = grown >= COLLECT_AT * limit ? COLLECT_AT * limit : 0;
  return bounded(curve, Math.max(collected, teethAt(curve, grown)));
}
