/** When a ward is looked at next, unless something wakes for it before. */

import { allArmed, nextTriggerAt } from "../policy/levels.ts";
import { maxPollInterval, nextPollIn } from "../policy/pace.ts";
import type { CgroupState } from "./ward.ts";

/** How long it may be that nothing wakes, where everything notifies: what is lost is found by then (milliseconds). */
export const MAX_MS_BETWEEN_POLLS = 1000;
/** So many times more seldom what notifies is looked at, in case that it does not (seen once, on 6.18). */
const NOTIFIED_POLL_FACTOR = 4;
/** epoll_wait(2) takes whole milliseconds. */
export const MIN_MS_BETWEEN_POLLS = 1;
/** What would be crossed sooner than this is not slept for. */
const BUSY_POLL_WITHIN_MS = 1;
/** So long an allocator runs whose CPU this thread shares, between two looks (milliseconds). */
export const CPU_SHARING_STEP_MS = 0.05;

/** Who else is there, and where this thread waits. */
export interface PollContext {
  /** How many wards there are. */
  readonly count: number;
  /** See `core/guard/shadow.ts`. */
  readonly sharesCpu: boolean;
}

/** Milliseconds of the clock that `now` is of. */
export function nextPollAt(
  state: CgroupState,
  metricValue: number,
  now: number,
  pollContext: PollContext,
): number {
  const { settings: { levelBytes, limit }, policy } = state;
  const { metric, triggerPolicy, acting, kills } = policy;
  const { rate = 0 } = metric === "usage" ? state : { rate: state.valueRate };
  const longest = longestFor(state, metricValue, pollContext.count);
  const left = levelBytes.imminent - metricValue;
  const isNear = kills && left > 0 && 1000 * left < BUSY_POLL_WITHIN_MS * rate;
  // On his CPU nothing would move while it is looked without a pause.
  if (isNear && now < state.busyPollUntil) {
    return pollContext.sharesCpu ? now + CPU_SHARING_STEP_MS : now;
  }
  const above = [levelBytes.warn, levelBytes.critical, levelBytes.imminent, limit].find((at) =>
    at > metricValue
  );
  const wait = nextPollIn((above ?? Infinity) - metricValue, rate, longest, MIN_MS_BETWEEN_POLLS);
  const again = nextTriggerAt(state.levelStates, levelBytes, metricValue, triggerPolicy, acting);
  const at = wait < longest ? now + wait : nextRound(now, longest);
  return Math.max(state.retryAt, Math.min(at, Math.max(now, again)));
}

/** Nothing is told, held or under way of it. */
export function isIdle(
  { usage, settings: { levelBytes }, levelStates, selection, killCycle }: CgroupState,
): boolean {
  return usage < levelBytes.warn && allArmed(levelStates) && selection === undefined &&
    killCycle === undefined;
}

/** The same as {@link dueAt} of one that is at rest and does not grow. */
export function nextIdlePollAt(state: CgroupState, now: number, { count }: PollContext): number {
  return Math.max(state.retryAt, nextRound(now, longestFor(state, 0, count)));
}

/** Those at rest are looked at together, in one turn. */
const nextRound = (now: number, every: number) => every * (Math.floor(now / every) + 1);

function longestFor({ settings, policy }: CgroupState, metricValue: number, count: number): number {
  const unaided = policy.poll ?? maxPollInterval(count);
  // What the kernel notifies of is usage, which may stand still while the working set in it grows.
  const isNotified = settings.eventfds.some(({ isHint }) => !isHint) &&
    (policy.metric === "usage" || metricValue < settings.levelBytes.warn);
  return isNotified ? Math.min(MAX_MS_BETWEEN_POLLS, NOTIFIED_POLL_FACTOR * unaided) : unaided;
}
