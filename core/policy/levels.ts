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

/* When a level is told of and acted on: once, until usage has fallen well below it again. Pure. */

export interface TriggerPolicy {
  /** How far usage must fall below a level before the level counts as left, as a fraction of that level. */
  readonly hysteresis: number;
  /** Milliseconds between two times of the same level. */
  readonly cooldown: number;
  /** Also while usage stays above, each time the cooldown is over. */
  readonly repeat: boolean;
}

interface LevelState {
  readonly armed: boolean;
  /** Milliseconds; `-Infinity` when it never rang. */
  readonly lastTriggeredAt: number;
}

export type LevelStates = Readonly<Record<Level, LevelState>>;

const initialState: LevelState = { armed: true, lastTriggeredAt: -Infinity };
export const initialLevelStates: LevelStates = {
  warn: initialState,
  critical: initialState,
  imminent: initialState,
};

/** Whether every level would be told of when it is reached. */
export const allArmed = (levelStates: LevelStates): boolean =>
  LEVELS.every((level) => levelStates[level].armed);

/**
 * The levels to tell of and to act on now, the lowest first: the highest one reached, and, where that has no actions of its own,
 * the nearest one below it that has some, so that to jump past a level, or to stay above it, is not to escape it. Each goes by
 * its own bell: who climbs slowly is not acted on twice. All others below are passed over, as nobody needs a warning beside a
 * critical one.
 *
 * The last level is one like the others, since no kill waits for a bell: see `core/guard/thread/loop.ts`.
 *
 * @param value bytes, in the base that the bounds are in.
 * @param now milliseconds of any clock that does not go backwards.
 * @param acting the levels that have actions.
 */
export function triggeredLevels(
  levelStates: LevelStates,
  levelBytes: LevelBytes,
  value: number,
  now: number,
  triggerPolicy: TriggerPolicy,
  acting: ReadonlySet<Level>,
): { readonly levelStates: LevelStates; readonly levels: readonly Level[] } {
  const eligible = eligibleLevels(levelBytes, value, acting);
  const levelsNow: Level[] = [];
  const next = { ...levelStates };
  for (const level of LEVELS) {
    const levelState = levelStates[level];
    if (value < levelBytes[level] * (1 - triggerPolicy.hysteresis)) {
      next[level] = { ...levelState, armed: true };
    }
    if (value < levelBytes[level]) continue;
    if (!eligible.includes(level)) next[level] = { ...levelState, armed: false };
    else if (now >= nextTriggerAtOf(levelState, triggerPolicy)) {
      levelsNow.push(level);
      next[level] = { armed: false, lastTriggeredAt: now };
    }
  }
  return { levelStates: next, levels: levelsNow };
}

/** When {@link ring} may have something to say though usage has not changed; `Infinity` when it has not. */
export function nextTriggerAt(
  levelStates: LevelStates,
  levelBytes: LevelBytes,
  value: number,
  triggerPolicy: TriggerPolicy,
  acting: ReadonlySet<Level>,
): number {
  const eligible = eligibleLevels(levelBytes, value, acting);
  return Math.min(...eligible.map((level) => nextTriggerAtOf(levelStates[level], triggerPolicy)));
}

function eligibleLevels(
  levelBytes: LevelBytes,
  value: number,
  acting: ReadonlySet<Level>,
): readonly Level[] {
  const reached = levelOf(levelBytes, value);
  if (reached === undefined) return [];
  const doer = LEVELS.slice(0, LEVELS.indexOf(reached) + 1).findLast((level) => acting.has(level));
  return doer === undefined || doer === reached ? [reached] : [doer, reached];
}

function nextTriggerAtOf(
  { armed, lastTriggeredAt }: LevelState,
  { cooldown, repeat }: TriggerPolicy,
): number {
  return armed || repeat ? lastTriggeredAt + cooldown : Infinity;
}
