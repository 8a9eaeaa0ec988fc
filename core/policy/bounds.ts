/** Where the levels of a guard lie below a limit. Pure. */

const MIB = 1024 ** 2;

/** How far below the limit the last level lies: `limit × ratio`, but no less than `min` and no more than `max` bytes. */
export interface Margin {
  readonly ratio: number;
  readonly min: number;
  readonly max: number;
}

/** oom-guard's: enough where crossing the threshold wakes (docs/performance.md, race). */
export const NOTIFY_MARGIN: Margin = { ratio: 0.02, min: MIB, max: 30 * MIB };

/**
 * Behind memory.high the kernel slows the allocator the more, the further it is above, in proportion to memory.high
 * (kernel, mm/memcontrol.c, calculate_overage): 2 % let a 64 MiB cgroup through to its limit in 40 ms, 5 % hold it for 0.85 s,
 * longer than a wake that is lost and a poll every 100 ms. For the same reason there is no cap of a few MiB.
 */
export const THROTTLE_MARGIN: Margin = { ratio: 0.05, min: 3 * MIB, max: 512 * MIB };

/** What is given of a margin, and the usual for the rest; where only one end is given the other one makes room. */
export function marginOf(defaultPolicy: Margin, given: Partial<Margin>): Margin {
  const min = given.min ?? Math.min(defaultPolicy.min, given.max ?? Infinity);
  return {
    ratio: given.ratio ?? defaultPolicy.ratio,
    min,
    max: given.max ?? Math.max(defaultPolicy.max, min),
  };
}

export type Level = "warn" | "critical" | "imminent";
export const LEVELS: readonly Level[] = ["warn", "critical", "imminent"];

/** Bytes, each where its level begins. */
export type LevelBytes = Readonly<Record<Level, number>>;

/** @param warn percent of the limit. @param critical percent of the limit. */
export interface LevelPolicy {
  readonly warn: number;
  readonly critical: number;
  readonly margin: Margin;
}

/**
 * `undefined` when the margin leaves nothing of the limit, or there is no limit. The threshold is the last of the three, also
 * where a small limit's margin begins below the percentages.
 *
 * @param limit bytes.
 */
export function levelBytesOf(
  limit: number,
  { warn, critical, margin }: LevelPolicy,
): LevelBytes | undefined {
  const kept = Math.min(margin.max, Math.max(margin.min, Math.floor(limit * margin.ratio)));
  const imminent = limit - kept;
  if (!Number.isFinite(limit) || imminent <= 0) return undefined;
  const share = (percent: number) => Math.min(imminent, Math.floor(limit * percent / 100));
  return { warn: share(warn), critical: share(critical), imminent };
}

/** Kernel, mm/memcontrol-v1.c: thresholds are looked at once per 128 page events of a CPU (THRESHOLDS_EVENTS_TARGET), here of 4 KiB. */
const NOTIFICATION_LAG_PER_CPU = 128 * 4096;
/** More CPUs than this do not fill one cgroup at the same time in earnest. */
const MAX_FILLING_CPUS = 4;

/**
 * The kernel tells of a crossing after up to 512 KiB have been taken beyond it, on each CPU. Told of this mark, a guard is awake
 * by the time that `threshold` is crossed, and has not spent its margin on being told.
 *
 * @returns bytes.
 */
export function notificationThreshold(imminent: number, cpus: number): number {
  return Math.max(1, imminent - Math.min(cpus, MAX_FILLING_CPUS) * NOTIFICATION_LAG_PER_CPU);
}

/** The highest level that `value` has reached; `undefined` below all of them. */
export function levelOf(levelBytes: LevelBytes, value: number): Level | undefined {
  return LEVELS.findLast((level) => value >= levelBytes[level]);
}
