/** When a ward is looked at next, unless something wakes for it before. */

import { isThere } from "../../cgroup/cgroup.ts";
import { noSuspensionLog, type SuspensionLog } from "../../control/suspension_log.ts";
import { EPOLLPRI, type JoinedEpoll } from "../../kernel/epoll.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { hasEnded } from "../../kernel/process.ts";
import { sleepMicroseconds } from "../../kernel/scheduling.ts";
import { allArmed, initialLevelStates, nextTriggerAt } from "../../policy/levels.ts";
import { maxPollInterval, nextPollIn } from "../../policy/poll_interval.ts";
import { evaluateLevels } from "../levels.ts";
import { isExcluded, keyOf, type PolicySet } from "../policy.ts";
import {
  byHeadroom,
  type CgroupState,
  clock,
  closeCgroupState,
  closeSelection,
  fdShortage,
  msUntilLimitAtPeakRate,
  openCgroupState,
  reportHead,
  resolvePolicy,
  updateTrend,
  valueOf,
} from "./cgroup_state.ts";
import { createCpuFollower, MAX_MS_TO_LIMIT_TO_FOLLOW, noCpuFollower } from "./cpu_follower.ts";
import { createKillExecutor, MAX_SELECTION_AGE_MS } from "./kill.ts";
import type { CgroupSpec, GuardSettings, Report, WakeSource } from "./protocol.ts";
import type { SampleWriter } from "./sample_ring.ts";

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
  /** See `core/guard/thread/cpu_follower.ts`. */
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

/* Who is meant by what the epoll set tells the sentry. */

/** Those of the main thread's eventfds are below this; above it lie those of memory.events, one for each ward. */
export const FIRST_MONITOR_TOKEN = 0x40000000;

interface Meant {
  readonly state: CgroupState;
  readonly by: WakeSource;
  /** It tells that the kernel reclaims, which concerns only who is full of page cache. */
  readonly isHint: boolean;
}

export interface Tokens {
  /** The eventfds in its terms, which are in the epoll set already. */
  bind(state: CgroupState): void;
  unbind(state: CgroupState): void;
  /** Its memory.events, where it has them. */
  follow(state: CgroupState): void;
  leave(state: CgroupState): void;
  /** `undefined` when it was unbound since. */
  meant(token: number): Meant | undefined;
  /** Until memory.events is read it wakes again; an eventfd is told of once for each time that it rings. */
  take(token: number): void;
}

export function createTokens(epoll: Pick<JoinedEpoll, "add" | "remove">): Tokens {
  const all = new Map<number, Meant>();
  const tokenOf = ({ id }: CgroupState) => FIRST_MONITOR_TOKEN + id;
  return {
    bind(state) {
      for (const { token, isHint } of state.settings.eventfds) {
        all.set(token, { state, by: "eventfd", isHint });
      }
    },
    unbind(state) {
      for (const { token } of state.settings.eventfds) all.delete(token);
    },
    follow(state) {
      if (state.events === undefined) return;
      all.set(tokenOf(state), { state, by: "pollpri", isHint: false });
      // To have read it is what arms it: kernel, fs/kernfs/file.c, kernfs_generic_poll.
      state.events.text();
      epoll.add(state.events.fd, EPOLLPRI, tokenOf(state));
    },
    leave(state) {
      if (state.events === undefined) return;
      all.delete(tokenOf(state));
      epoll.remove(state.events.fd);
    },
    meant: (token) => all.get(token),
    take(token) {
      const { state, by } = all.get(token) ?? {};
      if (by === "pollpri") state?.events?.text();
    },
  };
}

/*
 * Looks, decides and strikes. It runs in a thread of its own in which nothing else happens: no directory is listed here for
 * its own sake, nothing is armed, printed or sent to anybody but the main thread, and that after the deed.
 */

export interface MonitorLoop {
  /** This thread has SCHED_FIFO. */
  enableCpuFollowing(): void;
  /** What wards are meant by the number of their plan from now on. */
  reload(policies: PolicySet): void;
  add(spec: CgroupSpec): void;
  updateSettings(id: number, settings: Partial<GuardSettings>): void;
  remove(id: number): void;
  /** Waits, and does what is to be done; how often it was woken by the main thread meanwhile. */
  runOnce(): number;
  close(): void;
}

/** But no longer than this after a notification: growth may have ended. */
const MAX_BUSY_POLL_MS = 2;
/** A blow takes 1 ms, and those at rest are thousands: so long nothing new is heard (milliseconds). */
const MAX_MS_PER_TURN = 1;
/** At the end for those who were just killed: who is on his way out would be told to live (milliseconds). */
const MAX_MS_FOR_EXITS = 100;
/** No two hints within this time (milliseconds). */
const MIN_MS_BETWEEN_HINTS = 2;

export function createMonitorLoop(
  first: PolicySet,
  epoll: JoinedEpoll,
  post: (message: Report) => void,
  suspensions: SuspensionLog = noSuspensionLog,
  samples?: SampleWriter,
): MonitorLoop {
  let policies = first;
  let resolved = first.all.map(resolvePolicy);
  const states = new Map<number, CgroupState>();
  /** Those that are to be looked at before the next round: a wake costs the same with ten cgroups and with ten thousand. */
  const soon = new Set<CgroupState>();
  /** When all are gone through. */
  let roundAt = -Infinity;
  /** Who has not had his turn in it. */
  let round: CgroupState[] = [];
  const tokens = createTokens(epoll);
  let cpuFollower = noCpuFollower;
  /** Said of the first one; there are thousands to follow. */
  let reportedFdShortage = false;
  const outbox: Report[] = [];
  const report = (message: Report) => void outbox.push(message);

  const killExecutor = createKillExecutor({
    states: states.values.bind(states),
    isExcluded: (path) => isExcluded(policies, path),
    say: report,
    suspensions,
    samples,
  });

  const poll = (state: CgroupState, now: number) => {
    look(state, now);
    if (!state.killCycle) state.wakeSource = "poll";
    if (state.nextPollAt < roundAt && states.has(state.id)) soon.add(state);
    else soon.delete(state);
  };

  const look = (state: CgroupState, now: number) => {
    const usage = state.usageFile.number();
    if (usage === undefined) {
      // One read may fail for want of memory; what it guards is there all the same. As long again as it has failed already.
      const wait = Math.min(
        MAX_MS_BETWEEN_POLLS,
        Math.max(MIN_MS_BETWEEN_POLLS, now - state.usageAt),
      );
      return isThere(state.limitOwner) ? void (state.nextPollAt = now + wait) : vanish(state);
    }
    const isGrowing = !(usage <= state.usage);
    const isNews = usage !== state.usage;
    updateTrend(state, usage, now);
    if (state.killCycle) killExecutor.runStep(state, now);
    else if (isGrowing || !isIdle(state)) watchLevels(state, now, isNews);
    else {
      state.nextPollAt = nextIdlePollAt(state, now, pollContext());
      if (isNews) samples?.level(state, now, usage, []);
    }
  };

  const pollContext = () => ({ count: states.size, sharesCpu: cpuFollower.sharesCpu });

  const watchLevels = (state: CgroupState, now: number, isNews: boolean) => {
    const { settings: { levelBytes }, policy: { kills } } = state;
    const metricValue = valueOf(state, now);
    const { reached, levels } = evaluateLevels(state, levelBytes, metricValue, now);
    if (state.killCycle) {
      samples?.triggered(levels);
      killExecutor.runStep(state, now);
    } else {
      if (kills && reached) {
        killExecutor.selection(state, now, reached, levels.includes("critical"));
      }
      if (isNews || levels.length > 0) samples?.level(state, now, metricValue, levels);
    }
    if (!reached) {
      if (state.selection && now - state.selection.at > MAX_SELECTION_AGE_MS) closeSelection(state);
      if (state.selection === undefined) state.statFile.rest();
      state.failure = undefined;
      state.retryDelay = 0;
    }
    for (const level of levels) {
      const { usage, rate } = state;
      report({ type: "level_reached", ...reportHead(state), level, usage, metricValue, rate });
    }
    if (state.killCycle) return cpuFollower.leave();
    const [first] = state.selection?.victims ?? [];
    const isFollowed = kills && reached !== undefined &&
      msUntilLimitAtPeakRate(state) < MAX_MS_TO_LIMIT_TO_FOLLOW;
    if (first && isFollowed) cpuFollower.follow(first.pid, now);
    state.nextPollAt = nextPollAt(state, metricValue, now, pollContext());
  };

  /** The kernel reclaims hundreds of times a second from who reads many files. */
  const pollSoon = (state: CgroupState) => {
    if (!state.killCycle && state.policy.metric === "usage") return;
    state.nextPollAt = Math.min(state.nextPollAt, state.usageAt + MIN_MS_BETWEEN_HINTS);
  };

  const vanish = (state: CgroupState) => {
    const head = reportHead(state);
    remove(head.id);
    report({ type: "gone", ...head });
  };

  const reportFallback = (
    id: number,
    isGuarded: boolean,
    words: readonly [string, string, string],
  ) => {
    const [requested, fallback, why] = words;
    post({
      type: "fallback",
      id,
      wakeSource: "poll",
      at: clock(),
      isGuarded,
      requested,
      fallback,
      why,
    });
  };

  /** Where descriptors run short it is there, and yet cannot be guarded. */
  const open = (spec: CgroupSpec): CgroupState | undefined => {
    try {
      return openCgroupState(spec, resolved[spec.policy]!);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      reportFallback(spec.id, false, ["a guard", "nothing", error.message]);
      return undefined;
    }
  };

  const remove = (id: number) => {
    const state = states.get(id);
    if (state === undefined) return;
    killExecutor.cancel(state, performance.now());
    states.delete(id);
    soon.delete(state);
    tokens.unbind(state);
    tokens.leave(state);
    closeCgroupState(state);
  };

  const timeoutUntil = (next: number): number => {
    const now = performance.now();
    const left = next - now;
    if (left >= MAX_MS_TO_LIMIT_TO_FOLLOW) cpuFollower.leave();
    else cpuFollower.releaseIfIdle(now);
    if (!cpuFollower.sharesCpu || left > CPU_SHARING_STEP_MS) return Math.max(0, Math.ceil(left));
    if (left > 0) sleepMicroseconds(1000 * CPU_SHARING_STEP_MS);
    return 0;
  };

  return {
    enableCpuFollowing: () => void (cpuFollower = createCpuFollower()),
    reload(next) {
      policies = next;
      // Who is asked for the same goes on with what he is at.
      resolved = next.all.map((policy) => {
        const key = keyOf(policy);
        return resolved.find((each) => each.key === key) ?? resolvePolicy(policy);
      });
      // Others may be kept now.
      for (const state of states.values()) if (!state.killCycle) closeSelection(state);
    },
    add(spec) {
      remove(spec.id);
      const state = open(spec);
      if (state === undefined) {
        return void post({ type: "gone", id: spec.id, wakeSource: "poll", at: clock() });
      }
      states.set(spec.id, state);
      if (state.policy.kills && !state.policy.dryRun) suspensions.prepare();
      if (!state.directory && !reportedFdShortage) {
        reportFallback(spec.id, reportedFdShortage = true, fdShortage());
      }
      soon.add(state);
      tokens.bind(state);
      tokens.follow(state);
    },
    updateSettings(id, settings) {
      const state = states.get(id);
      if (state === undefined) return;
      tokens.unbind(state);
      state.settings = { ...state.settings, ...settings };
      const next = resolved[state.settings.policy]!;
      // What is under way was begun under other orders.
      if (next !== state.policy) {
        killExecutor.cancel(state, performance.now());
        closeSelection(state);
        // What was told, and put off, was so under other orders.
        state.levelStates = initialLevelStates;
        state.failure = undefined;
        state.retryAt = -Infinity;
      }
      state.policy = next;
      if (next.kills && !next.dryRun) suspensions.prepare();
      tokens.bind(state);
      state.nextPollAt = -Infinity;
      soon.add(state);
    },
    remove,
    runOnce() {
      let next = round.length > 0 ? -Infinity : roundAt;
      for (const state of soon) if (state.nextPollAt < next) next = state.nextPollAt;
      const { events, woken } = epoll.block(timeoutUntil(next));
      const now = performance.now();
      for (const { token } of events) {
        const meant = tokens.meant(token);
        if (meant === undefined) continue;
        soon.add(meant.state);
        if (meant.isHint) pollSoon(meant.state);
        else meant.state.nextPollAt = -Infinity;
        if (meant.by === "eventfd" && !meant.isHint) {
          meant.state.busyPollUntil = now + MAX_BUSY_POLL_MS;
        }
        if (!meant.state.killCycle) meant.state.wakeSource = meant.by;
      }
      const isDue = ({ nextPollAt }: CgroupState) => nextPollAt <= now;
      const urgent = byHeadroom([...soon].filter(isDue));
      if (now >= roundAt) {
        // On the grid of those at rest, so that they are not between two rounds.
        roundAt = MAX_MS_BETWEEN_POLLS * (Math.floor(now / MAX_MS_BETWEEN_POLLS) + 1);
        round = [...states.values()].filter((state) => isDue(state) && !soon.has(state));
        // Whose time comes before the next round, though not before this one.
        const isSooner = ({ nextPollAt }: CgroupState) => nextPollAt > now && nextPollAt < roundAt;
        for (const state of states.values()) if (isSooner(state)) soon.add(state);
      }
      // Who is left has his turn with who has come since, and who may have less left.
      const hasTime = () => performance.now() - now < MAX_MS_PER_TURN;
      for (let n = 0; n < urgent.length && (n === 0 || hasTime()); n++) poll(urgent[n]!, now);
      for (let state = round.pop(); state; state = hasTime() ? round.pop() : undefined) {
        if (states.get(state.id) === state) poll(state, now);
      }
      // The deed comes first.
      for (const { token } of events) tokens.take(token);
      for (const message of outbox.splice(0)) post(message);
      return woken;
    },
    close() {
      const until = performance.now() + MAX_MS_FOR_EXITS;
      while (isKilling(states.values()) && performance.now() < until) {
        sleepMicroseconds(1000 * CPU_SHARING_STEP_MS);
      }
      for (const id of [...states.keys()]) remove(id);
      // There is no turn any more that would.
      for (const message of outbox.splice(0)) post(message);
      suspensions.close();
    },
  };
}

/** Whether anybody who was sent SIGKILL is still there. */
const isKilling = (states: Iterable<CgroupState>) =>
  [...states].some(({ pendingKills }) =>
    pendingKills.some(({ kill, victim }) => kill.signal === "SIGKILL" && !hasEnded(victim.pidfd))
  );
