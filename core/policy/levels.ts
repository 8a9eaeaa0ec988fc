/** The three levels of a guard: where they lie below a limit, which one is reached, and when one triggers. Pure. */

const MIB = 1024 ** 2;

/** Distance of the imminent level from the limit: `limit × ratio`, between `min` and `max` bytes. */
export interface Margin {
  readonly ratio: number;
  readonly min: number;
  readonly max: number;
  /** `min` yields to this share of the limit: otherwise a healthy process in a small cgroup is killed. Absent where `min` was requested. */
  readonly maxShare?: number;
}

/** An eighth: of a limit of 8 MiB the usual minimum of 1 MiB, and of 4 MiB half of that. */
const MAX_SHARE = 1 / 8;

/** The margin of oom-guard: enough where a notification wakes the guard (docs/performance.md, race). */
export const NOTIFY_MARGIN: Margin = {
  ratio: 0.02,
  min: MIB,
  max: 30 * MIB,
  maxShare: MAX_SHARE,
};

/**
 * Above memory.high the kernel slows the allocator in proportion to the overage (mm/memcontrol.c, calculate_overage). A 64 MiB
 * cgroup passes a 2 % margin in 40 ms and a 5 % margin in 0.85 s, which is longer than a lost notification plus a poll every
 * 100 ms. Because the delay depends on the proportion, `max` is not a few MiB.
 */
export const THROTTLE_MARGIN: Margin = {
  ratio: 0.05,
  min: 3 * MIB,
  max: 512 * MIB,
  maxShare: MAX_SHARE,
};

/**
 * Of the machine: when less is available, the kernel has begun to take the pages of running programs away, long before it kills.
 * earlyoom sends SIGKILL at the same 5 %.
 */
export const MACHINE_MARGIN: Margin = { ratio: 0.05, min: 16 * MIB, max: 512 * MIB };

/** Fills in what `given` leaves out. If only one bound is given and contradicts the other's default, the default yields. */
export function marginOf(defaults: Margin, given: Partial<Margin>): Margin {
  const min = given.min ?? Math.min(defaults.min, given.max ?? Infinity);
  const { maxShare } = defaults;
  return {
    ratio: given.ratio ?? defaults.ratio,
    min,
    max: given.max ?? Math.max(defaults.max, min),
    ...(given.min === undefined && maxShare !== undefined && { maxShare }),
  };
}

export type Level = "warn" | "critical" | "imminent";
export const LEVELS: readonly Level[] = ["warn", "critical", "imminent"];

/** Bytes at which each level begins. */
export type LevelBytes = Readonly<Record<Level, number>>;

/**
 * How a guard gains time at the limit. `notify` changes nothing; `throttle` sets memory.high (v2); `hold` disables the kernel's
 * OOM killer (v1), `hold-near-limit` only while usage is near the limit. All changes are restored.
 */
export const MODES = ["notify", "throttle", "hold-near-limit", "hold"] as const;
export type Mode = (typeof MODES)[number];

/** `warn` and `critical` are percent of the limit. */
export interface LevelPolicy {
  readonly warn: number;
  readonly critical: number;
  readonly margin: Margin;
}

function marginBytesOf(limit: number, { ratio, min, max, maxShare = Infinity }: Margin): number {
  const lower = Math.min(min, Math.floor(limit * maxShare));
  return Math.min(max, Math.max(lower, Math.floor(limit * ratio)));
}

/** Bytes that each CPU charges ahead of their use: 64 pages (mm/memcontrol.c, MEMCG_CHARGE_BATCH). */
const CHARGE_BATCH_PAGES = 64;

/**
 * The smallest margin with which `throttle` is safe: where CPUs charge more ahead than that, usage is above memory.high, or at the limit,
 * before the kernel throttles.
 *
 * @param pageSize bytes. @returns bytes.
 */
export const minThrottleMargin = (cpus: number, pageSize: number): number =>
  Math.min(cpus, MAX_FILLING_CPUS) * CHARGE_BATCH_PAGES * pageSize;

/**
 * No level lies above the imminent one, also where the margin of a small limit begins below the percentages.
 *
 * @param limit bytes.
 * @returns `undefined` when there is no limit, or the margin leaves nothing of it.
 */
export function levelBytesOf(
  limit: number,
  { warn, critical, margin }: LevelPolicy,
): LevelBytes | undefined {
  const imminent = limit - marginBytesOf(limit, margin);
  if (!Number.isFinite(limit) || imminent <= 0) return undefined;
  const share = (percent: number) => Math.min(imminent, Math.floor(limit * percent / 100));
  return { warn: share(warn), critical: share(critical), imminent };
}

/** The levels of a guard policy; the default of the mode completes the margin. */
interface PolicyLevels {
  readonly levels: Omit<LevelPolicy, "margin"> & { readonly margin: Partial<Margin> };
}

const marginIn = ({ levels }: PolicyLevels, mode: Mode): Margin =>
  marginOf(mode === "throttle" ? THROTTLE_MARGIN : NOTIFY_MARGIN, levels.margin);

/** The same for a guard policy. @param limit bytes. @param mode the requested mode. */
export function levelBytesIn(
  policy: PolicyLevels,
  limit: number,
  mode: Mode,
): LevelBytes | undefined {
  return levelBytesOf(limit, { ...policy.levels, margin: marginIn(policy, mode) });
}

/** Bytes between the imminent level and the limit. @param limit bytes. @param mode the requested mode. */
export const marginBytesIn = (policy: PolicyLevels, limit: number, mode: Mode): number =>
  marginBytesOf(limit, marginIn(policy, mode));

/** The kernel checks v1 thresholds once per 128 page events of a CPU (mm/memcontrol-v1.c, THRESHOLDS_EVENTS_TARGET). */
const PAGES_PER_THRESHOLD_CHECK = 128;
/** More CPUs than this hardly ever fill one cgroup at the same time. */
export const MAX_FILLING_CPUS = 4;

/**
 * Usage can pass a v1 threshold by 128 pages on each CPU before the kernel signals it: 512 KiB with 4 KiB pages. An eventfd
 * armed at this lower value wakes the guard by the time that `imminent` is crossed, so that the lag does not use up the margin.
 *
 * @param pageSize bytes. @returns bytes.
 */
export function notificationThreshold(imminent: number, cpus: number, pageSize: number): number {
  const lag = PAGES_PER_THRESHOLD_CHECK * pageSize;
  return Math.max(1, imminent - Math.min(cpus, MAX_FILLING_CPUS) * lag);
}

/** Whether memory.high at the imminent level throttles: the kernel keeps usage a little below it. */
export const isThrottledAt = (usage: number, limit: number, { imminent }: LevelBytes): boolean =>
  usage >= imminent - (limit - imminent) / 4;

/** The highest level that `value` has reached; `undefined` below all of them, and for NaN. */
export function levelOf(levelBytes: LevelBytes, value: number): Level | undefined {
  return LEVELS.findLast((level) => value >= levelBytes[level]);
}

/** The highest level of `levels` that is not above `reached`. */
export function highestUpTo(reached: Level, levels: ReadonlySet<Level>): Level | undefined {
  return LEVELS.slice(0, LEVELS.indexOf(reached) + 1).findLast((level) => levels.has(level));
}

/** When a level that is reached triggers: once, until usage has fallen well below it again. */
export interface TriggerPolicy {
  /** A level re-arms when usage falls below it by this fraction of the level. */
  readonly hysteresis: number;
  /** Minimum milliseconds between two triggers of the same level. */
  readonly cooldown: number;
  /** Also trigger while usage stays above the level, each time the cooldown is over. */
  readonly repeat: boolean;
}

interface LevelState {
  readonly armed: boolean;
  /** Milliseconds; `-Infinity` before the first trigger. */
  readonly lastTriggeredAt: number;
}

export type LevelStates = Readonly<Record<Level, LevelState>>;

const initialState: LevelState = { armed: true, lastTriggeredAt: -Infinity };
export const initialLevelStates: LevelStates = {
  warn: initialState,
  critical: initialState,
  imminent: initialState,
};

export const allArmed = (levelStates: LevelStates): boolean =>
  LEVELS.every((level) => levelStates[level].armed);

/**
 * The levels to report and to act on now, the lowest first: the highest one reached, and, if that has no actions, the nearest
 * one below that has some. Otherwise a jump past a level, or a stay above it, would skip its actions. Each level keeps its own
 * state, so a slow climb does not trigger the lower one twice. All other levels below are disarmed without a report.
 *
 * The imminent level is no exception: a kill does not wait for a trigger (see `evaluateLevels` in `kill_cycle.ts`).
 *
 * @param value bytes, of the metric that `levelBytes` is of.
 * @param now milliseconds of a monotonic clock.
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
  const levels: Level[] = [];
  const next = { ...levelStates };
  for (const level of LEVELS) {
    const levelState = levelStates[level];
    if (value < levelBytes[level] * (1 - triggerPolicy.hysteresis)) {
      next[level] = { ...levelState, armed: true };
    }
    if (value < levelBytes[level]) continue;
    if (!eligible.includes(level)) next[level] = { ...levelState, armed: false };
    else if (now >= nextTriggerAtOf(levelState, triggerPolicy)) {
      levels.push(level);
      next[level] = { armed: false, lastTriggeredAt: now };
    }
  }
  return { levelStates: next, levels };
}

/** When {@link triggeredLevels} may next return a level although usage does not change; `Infinity` for never. */
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
  const actor = highestUpTo(reached, acting);
  return actor === undefined || actor === reached ? [reached] : [actor, reached];
}

function nextTriggerAtOf(
  { armed, lastTriggeredAt }: LevelState,
  { cooldown, repeat }: TriggerPolicy,
): number {
  return armed || repeat ? lastTriggeredAt + cooldown : Infinity;
}
