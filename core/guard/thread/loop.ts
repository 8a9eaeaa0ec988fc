/**
 * The loop of the monitor thread: waits for a notification or the next poll, reads usage, evaluates levels, advances kill cycles.
 * v1 thresholds are registered and events emitted on the main thread; reports are posted at the end of a turn, after any kill.
 */

import { mayBeThere } from "../../cgroup/cgroup.ts";
import { SuspensionLog } from "../../control/journal.ts";
import { wallClock } from "../../kernel/clock.ts";
import { EPOLLPRI, type JoinedEpoll } from "../../kernel/epoll.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { hasEnded } from "../../kernel/process.ts";
import { sleepMicroseconds } from "../../kernel/scheduling.ts";
import {
  evaluateLevels,
  isFarFromLevel,
  msUntilNear,
  resetDecision,
} from "../../policy/kill_cycle.ts";
import { allArmed, nextTriggerAt } from "../../policy/levels.ts";
import { maxPollInterval, nextPollIn, nextRound } from "../../policy/poll_interval.ts";
import { msUntilLimitAtPeakRate, updateTrend } from "../../policy/usage_trend.ts";
import { tooFewDescriptors } from "../../watch/triggers.ts";
import {
  isExcluded,
  keyOf,
  type PolicySet,
  type ResolvedPolicy,
  resolvePolicy,
} from "../policy.ts";
import {
  byHeadroom,
  type CgroupState,
  closeCgroupState,
  observe,
  openCgroupState,
  pressureOf,
  readMetric,
  reportHead,
  resetThrottle,
} from "./cgroup_state.ts";
import { rankingOf } from "./cgroup_ranking.ts";
import { CpuFollower } from "./cpu_follower.ts";
import { KillExecutor } from "./kill_executor.ts";
import {
  followMachineLimit,
  machineIntervalFor,
  policyUnderPressure,
  updatePressure,
} from "./machine_state.ts";
import { OomKillerSwitch } from "./oom_killer_switch.ts";
import {
  type ArmedNotifications,
  type CgroupSpec,
  type GuardSettings,
  MAX_MS_BETWEEN_HEARTBEATS,
  type Report,
  type WakeSource,
} from "./protocol.ts";
import type { SampleWriter } from "./sample_ring.ts";
import { ThrottleSwitch } from "./throttle_switch.ts";

/**
 * Maximum poll interval of a notified cgroup, in which a lost notification is found, and that of a throttled one at rest
 * (milliseconds).
 */
const MAX_MS_BETWEEN_POLLS = 1000;
/** A notified cgroup is polled this many times less often; its polls find a lost notification (seen once, on 6.18). */
const NOTIFIED_POLL_FACTOR = 4;
/**
 * A notified cgroup below all levels is at rest after usage has stayed within this share of the limit for so long (milliseconds; both
 * estimates): then each threshold above has to be lost before growth is seen late.
 */
const MS_TO_REST = 10_000;
const MAX_SHARE_AT_REST = 1 / 64;
/** Poll interval of a cgroup at rest: a multiple of that of a round, so that they share a wake-up (milliseconds). */
const REST_POLL_MS = 5000;
/** epoll_wait(2) takes whole milliseconds. */
const MIN_MS_BETWEEN_POLLS = 1;
/**
 * A poll takes about 2 µs (docs/performance.md): while levels above their usage are armed, the polls of many cgroups take a fifth of a
 * core.
 */
const MS_BETWEEN_POLLS_PER_UNARMED = 0.01;
/** If the imminent level is crossed sooner than this, the cgroup is polled without a pause (milliseconds). */
const BUSY_POLL_WITHIN_MS = 1;
/** Maximum time of that after a notification, because growth may have ended (milliseconds). */
const MAX_BUSY_POLL_MS = 2;
/**
 * Poll interval instead of none when this thread shares the allocator's CPU, so that the allocator runs (milliseconds). An estimate:
 * an unthrottled allocator takes 130 KiB in it, at the 2.5 GiB/s of docs/performance.md.
 */
const BUSY_POLL_MS_ON_SHARED_CPU = 0.05;
/** The thread sleeps out a wait of at most this, which epoll_wait(2) would make 1 ms (milliseconds). */
const MAX_SLEEP_MS = 0.1;
/**
 * If the limit is reached sooner than this at the peak rate, this thread follows the allocator to its CPU (milliseconds). An
 * estimate: a host that has lent out the CPU delays a wake-up by 3 ms (docs/performance.md).
 */
const MAX_MS_TO_LIMIT_TO_FOLLOW = 100;
/** If the next poll is at least this far away, no allocator is near a level and the thread leaves the CPU (milliseconds, an estimate). */
const MIN_MS_TO_POLL_TO_LEAVE_CPU = 100;
/** Maximum time of one turn before epoll_wait(2) is called again (milliseconds). A kill takes 1 ms; idle cgroups may be thousands. */
const MAX_MS_PER_TURN = 1;
/** Maximum wait at shutdown for killed processes to exit: one that is still exiting would be reported as survived (milliseconds). */
const MAX_MS_FOR_EXITS = 100;
/** Poll interval of that wait (milliseconds). */
const EXIT_POLL_MS = 0.05;
/** Minimum time between two reads caused by memory.pressure_level (milliseconds). */
const MIN_MS_BETWEEN_RECLAIM_READS = 2;
/** Minimum time between two reads of memory.stat to find out whether memory.high can be lifted (milliseconds). */
const MIN_MS_BETWEEN_CACHE_LOOKS = 500;
/** Usage that is unknown for longer is reported: the cgroup is not guarded meanwhile (milliseconds, an estimate). */
const MAX_MS_UNREADABLE = 2000;
/** While cgroups are read for their order, which takes as long at once ({@link CgroupRanking}): half of the time is for other work. */
const MS_BETWEEN_PARTS_OF_READING = 10;
/** Tokens of the main thread's eventfds are below this; those of memory.events, one for each cgroup, are above. */
const FIRST_MONITOR_TOKEN = 0x40000000;

/** What an epoll token stands for. */
interface TokenSource {
  readonly state: CgroupState;
  readonly wakeSource: WakeSource;
  /** Of memory.pressure_level: the kernel reclaims, which matters only to a cgroup that is full of page cache. */
  readonly isReclaimNotification: boolean;
}

export class MonitorLoop {
  readonly #killExecutor: KillExecutor;
  readonly #oomKiller: OomKillerSwitch;
  readonly #throttle = new ThrottleSwitch((report) => void this.#outbox.push(report));
  #policies: PolicySet;
  #resolved: readonly ResolvedPolicy[];
  readonly #states = new Map<number, CgroupState>();
  readonly #sources = new Map<number, TokenSource>();
  /** Due before the next round. A wake-up looks only at these: it costs the same with ten cgroups and with ten thousand. */
  readonly #dueBeforeNextRound = new Set<CgroupState>();
  /** Start of the next round; a round polls every due cgroup, a turn is one {@link runOnce}. */
  #nextRoundAt = -Infinity;
  /** When a cgroup that waits for a round is due first. The rounds before are left out. */
  #firstDueInRound = -Infinity;
  /** The cgroups that the present round has not polled yet; it may take several turns. */
  #round: CgroupState[] = [];
  /** Absent without SCHED_FIFO: the thread would share the allocator's CPU instead of preempting it. */
  #cpuFollower: CpuFollower | undefined;
  /** The fallback is reported for the first cgroup only; thousands may follow. */
  #reportedFdShortage = false;
  /** Posted at the end of each turn. */
  readonly #outbox: Report[] = [];

  constructor(
    policies: PolicySet,
    private readonly epoll: JoinedEpoll,
    private readonly post: (report: Report) => void,
    private readonly suspensions = new SuspensionLog(),
    private readonly samples?: SampleWriter,
  ) {
    this.#policies = policies;
    this.#resolved = policies.all.map(resolvePolicy);
    this.#oomKiller = new OomKillerSwitch(
      suspensions,
      (state) => this.#killExecutor.selectIfShared(state),
    );
    this.#killExecutor = new KillExecutor({
      states: () => this.#states.values(),
      isExcluded: (path) => isExcluded(this.#policies, path),
      report: (report) => void this.#outbox.push(report),
      leaveToKernel: (state) => this.#oomKiller.leaveToKernel(state),
      suspensions,
      samples,
    });
  }

  /** Requires SCHED_FIFO. */
  enableCpuFollowing(): void {
    this.#cpuFollower = new CpuFollower();
  }

  /** Replaces the policies that the settings of cgroups refer to. */
  reload(policies: PolicySet): void {
    this.#policies = policies;
    // An unchanged policy keeps its identity, so that a kill cycle under it continues.
    const before = this.#resolved;
    this.#resolved = policies.all.map((policy) => {
      const key = keyOf(policy);
      return before.find((each) => each.key === key) ?? resolvePolicy(policy);
    });
    // Other processes may be excluded now.
    for (const state of this.#states.values()) {
      if (!state.decision.killCycle) this.#killExecutor.dropSelection(state);
    }
  }

  add(spec: CgroupSpec): void {
    const { id } = spec;
    this.remove(id);
    const state = this.#open(spec);
    if (state === undefined) {
      return this.post({ type: "gone", id, wakeSource: "poll", at: wallClock() });
    }
    this.#states.set(id, state);
    this.#prepareSuspensions(state);
    if (!state.files.directory && !state.limitOwner.machine && !this.#reportedFdShortage) {
      this.#reportedFdShortage = true;
      const fallback = ["control files kept open", "control files opened at each poll"] as const;
      this.#reportFallback(id, "all", ...fallback, tooFewDescriptors());
    }
    // Not among those that are read and sorted at each turn: at the start it is one of thousands.
    this.#round.push(state);
    this.#bindEventfds(state);
    this.#watchEvents(state);
  }

  updateSettings(id: number, settings: Partial<GuardSettings>): void {
    const state = this.#states.get(id);
    if (state === undefined) return;
    this.#unbindEventfds(state);
    state.settings = { ...state.settings, ...settings };
    const policy = this.#resolved[state.settings.policy]!;
    if (policy !== state.policy) {
      this.#killExecutor.reset(state, performance.now());
      resetDecision(state.decision);
      state.pressure = pressureOf(policy);
      state.ranking = rankingOf(policy.preferences, state.scope, state.limitOwner);
    }
    state.policy = policy;
    resetThrottle(state);
    if (state.settings.mode !== "hold-near-limit") this.#oomKiller.release(state);
    this.#prepareSuspensions(state);
    this.#bindEventfds(state);
    state.schedule.hasAskedToArm = false;
    state.schedule.nextPollAt = -Infinity;
    this.#dueBeforeNextRound.add(state);
  }

  updateNotifications(id: number, notifications: ArmedNotifications): void {
    const state = this.#states.get(id);
    if (state === undefined) return;
    this.#unbindEventfds(state);
    state.settings = { ...state.settings, ...notifications };
    this.#bindEventfds(state);
    state.schedule.hasAskedToArm = false;
    // A threshold that was crossed before it was armed does not notify.
    state.schedule.nextPollAt = -Infinity;
    this.#dueBeforeNextRound.add(state);
  }

  /** Its allocators have waited too long, or nothing can be killed and memory.high was restored. */
  leaveToKernel(id: number): void {
    const state = this.#states.get(id);
    if (state === undefined) return;
    if (state.settings.mode === "throttle") {
      state.settings = { ...state.settings, memoryHigh: undefined };
      resetThrottle(state);
    } else this.#oomKiller.leaveToKernel(state);
  }

  remove(id: number): void {
    const state = this.#states.get(id);
    if (state === undefined) return;
    this.#killExecutor.finish(state, performance.now());
    this.#oomKiller.release(state);
    this.#states.delete(id);
    this.#dueBeforeNextRound.delete(state);
    this.#unbindEventfds(state);
    if (state.files.events) {
      this.#sources.delete(FIRST_MONITOR_TOKEN + id);
      this.epoll.remove(state.files.events.fd);
    }
    closeCgroupState(state);
  }

  /** One turn: waits, and polls what is due. @returns how often the main thread has woken it meanwhile. */
  runOnce(): number {
    let next = this.#round.length > 0
      ? -Infinity
      : Math.min(this.#roundDueAt(), performance.now() + MAX_MS_BETWEEN_HEARTBEATS);
    for (const { schedule } of this.#dueBeforeNextRound) {
      if (schedule.nextPollAt < next) next = schedule.nextPollAt;
    }
    const { events, woken } = this.epoll.block(this.#prepareWait(next));
    const now = performance.now();
    for (const { token } of events) this.#onEvent(token, now);
    const isDue = ({ schedule }: CgroupState) => schedule.nextPollAt <= now;
    const urgent = byHeadroom([...this.#dueBeforeNextRound].filter(isDue));
    if (now >= this.#roundDueAt()) {
      // Aligned with the idle polls, which use the same function: those do not fall between two rounds.
      const nextRoundAt = nextRound(now, MAX_MS_BETWEEN_POLLS);
      this.#nextRoundAt = nextRoundAt;
      const all = [...this.#states.values()];
      this.#round = all.filter((state) => isDue(state) && !this.#dueBeforeNextRound.has(state));
      // Not due in this round, but before the next one.
      this.#firstDueInRound = Infinity;
      for (const state of all) {
        const { nextPollAt } = state.schedule;
        if (nextPollAt > now) this.#enlist(state);
      }
    }
    // What is left waits for the next turn, where cgroups with less headroom may come first. The polls get as much time as the sorting
    // took, which reads all that are due: else the time for thousands would grow with the square of their number.
    const sortedAt = performance.now();
    const until = Math.max(now + MAX_MS_PER_TURN, 2 * sortedAt - now);
    const hasTime = () => performance.now() < until;
    for (let n = 0; n < urgent.length && (n === 0 || hasTime()); n++) this.#poll(urgent[n]!, now);
    for (let state = this.#round.pop(); state; state = hasTime() ? this.#round.pop() : undefined) {
      if (this.#states.get(state.id) === state) this.#poll(state, now);
    }
    // Re-arm after the kill; the read is not urgent.
    for (const { token } of events) this.#rearmEvents(token);
    this.#postReports();
    return woken;
  }

  close(): void {
    const until = performance.now() + MAX_MS_FOR_EXITS;
    while (isKilling(this.#states.values()) && performance.now() < until) {
      sleepMicroseconds(1000 * EXIT_POLL_MS);
    }
    for (const id of [...this.#states.keys()]) this.remove(id);
    this.#postReports();
    this.suspensions.close();
  }

  #postReports(): void {
    for (const report of this.#outbox.splice(0)) this.post(report);
  }

  #onEvent(token: number, now: number): void {
    const source = this.#sources.get(token);
    // The cgroup may have been removed since.
    if (source === undefined) return;
    const { state, wakeSource, isReclaimNotification } = source;
    const { schedule, decision, policy, memory } = state;
    this.#dueBeforeNextRound.add(state);
    if (!isReclaimNotification) schedule.nextPollAt = -Infinity;
    // A process that reads many files causes hundreds of these notifications a second.
    else if (decision.killCycle || policy.metric !== "usage") {
      schedule.nextPollAt = Math.min(
        schedule.nextPollAt,
        memory.usageAt + MIN_MS_BETWEEN_RECLAIM_READS,
      );
    }
    if (wakeSource === "eventfd" && !isReclaimNotification) {
      schedule.busyPollUntil = now + MAX_BUSY_POLL_MS;
    }
    if (!decision.killCycle) schedule.wakeSource = wakeSource;
  }

  /** Leaves the allocator's CPU if nothing is near, and sleeps out a wait too short for epoll_wait(2). @returns its timeout. */
  #prepareWait(next: number): number {
    const now = performance.now();
    const left = next - now;
    if (left >= MIN_MS_TO_POLL_TO_LEAVE_CPU) this.#cpuFollower?.leave();
    else this.#cpuFollower?.releaseIfIdle(now);
    if (left > MAX_SLEEP_MS) return Math.ceil(left);
    if (left > 0) sleepMicroseconds(Math.ceil(1000 * left));
    return 0;
  }

  #poll(state: CgroupState, now: number): void {
    const { schedule, hold } = state;
    this.#readAndStep(state, now);
    this.#throttle.update(state, now);
    // Without memory.high nothing wakes the guard at the level.
    if (state.throttle.isLifted && !state.decision.killCycle) {
      schedule.nextPollAt = Math.min(schedule.nextPollAt, schedule.lookAgainAt);
    }
    if (hold.isDisabled && hold.until > now) {
      schedule.nextPollAt = Math.min(schedule.nextPollAt, hold.until);
    }
    if (!state.decision.killCycle) schedule.wakeSource = "poll";
    this.#dueBeforeNextRound.delete(state);
    if (this.#states.has(state.id)) this.#enlist(state);
  }

  /** For the time at which it is due. */
  #enlist(state: CgroupState): void {
    const { nextPollAt } = state.schedule;
    if (nextPollAt < this.#nextRoundAt) this.#dueBeforeNextRound.add(state);
    else if (nextPollAt < this.#firstDueInRound) this.#firstDueInRound = nextPollAt;
  }

  #roundDueAt(): number {
    return Math.max(this.#nextRoundAt, this.#firstDueInRound);
  }

  #readAndStep(state: CgroupState, now: number): void {
    const { memory, schedule, decision } = state;
    const usage = state.files.usageFile.number();
    if (usage === undefined) return this.#onUnreadable(state, now);
    schedule.unreadableSince = undefined;
    followMachineLimit(state);
    // Usage is NaN before the first sample, which counts as growth.
    const isGrowing = !(usage <= memory.usage);
    const hasChanged = usage !== memory.usage;
    if (hasChanged) this.#updateRest(state, usage, now);
    updateTrend(memory, usage, now);
    updatePressure(state, now);
    this.#askToArm(state);
    this.#updateFar(state, now);
    this.#switchOomKiller(state, now);
    if (decision.killCycle) schedule.nextPollAt = this.#killExecutor.runStep(state, now);
    else if (isGrowing || !isIdle(state)) this.#evaluate(state, now, hasChanged);
    else {
      schedule.nextPollAt = nextIdlePollAt(state, now, this.#counts());
      if (hasChanged) this.samples?.level(state, now, usage, []);
    }
  }

  /** Growth during a rest may be of the last moment: its rate is computed over the interval of a cgroup that is not at rest. */
  #updateRest({ memory, schedule, settings, policy }: CgroupState, usage: number, now: number) {
    const { rest } = schedule;
    if (isAtRest(schedule, now)) {
      const interval = notifiedPollInterval(policy, this.#states.size);
      memory.usageAt = Math.max(memory.usageAt, now - interval);
    }
    const isNear = Math.abs(usage - rest.usage) <= settings.limit * MAX_SHARE_AT_REST;
    if (!isNear) schedule.rest = { usage, since: now };
  }

  /** Once for all that is left. */
  #askToArm(state: CgroupState): void {
    const { memory, schedule, settings: { unarmed } } = state;
    if (unarmed === undefined || schedule.hasAskedToArm || memory.usage < unarmed.from) return;
    schedule.hasAskedToArm = true;
    this.#outbox.push({ type: "unarmed_reached", ...reportHead(state) });
  }

  #counts(): Counts {
    return { guarded: this.#states.size, dueBeforeNextRound: this.#dueBeforeNextRound.size };
  }

  /** In a kill cycle each step does it. */
  #updateFar(state: CgroupState, now: number): void {
    const { memory, schedule, decision, settings: { levelBytes } } = state;
    if (memory.usage < levelBytes.critical) schedule.farSince = undefined;
    else if (!decision.killCycle && isToBeLookedAt(state, now)) {
      const observation = observe(state, now, "none");
      const isFar = isFarFromLevel(observation, decision.unreclaimed);
      schedule.farSince = isFar ? schedule.farSince ?? now : undefined;
      schedule.lookAgainAt = now + msUntilNear(observation);
    }
  }

  /** Before anything else: the next page may be the last. */
  #switchOomKiller(state: CgroupState, now: number): void {
    if (state.settings.mode !== "hold-near-limit") return;
    const refused = this.#oomKiller.update(state, now);
    if (refused === undefined) return;
    this.#reportFallback(state.id, "cgroup", "hold-near-limit", "notify", refused);
  }

  #evaluate(state: CgroupState, now: number, hasChanged: boolean): void {
    const { memory, schedule, decision, pinned } = state;
    const { settings: { levelBytes, limit }, policy } = state;
    const metricValue = readMetric(state, now);
    const { reached, levels } = evaluateLevels(
      decision,
      policyUnderPressure(state),
      levelBytes,
      metricValue,
      now,
    );
    if (decision.killCycle) {
      this.samples?.triggered(levels);
      schedule.nextPollAt = this.#killExecutor.runStep(state, now);
    } else {
      if (policy.kills && reached) {
        this.#killExecutor.prepareSelection(state, now, reached, levels.includes("critical"));
      } else if (!reached) state.ranking?.keepBaseline(now);
      if (hasChanged || levels.length > 0) this.samples?.level(state, now, metricValue, levels);
    }
    if (!reached) this.#killExecutor.releaseStaleSelection(state, now);
    for (const level of levels) {
      const { usage, rate } = memory;
      const body = {
        type: "level_reached",
        level,
        usage,
        metric_value: metricValue,
        metric: policy.metric,
        level_bytes: levelBytes[level],
        limit,
        rate: rate === undefined ? null : Math.round(rate),
      } as const;
      this.#outbox.push({ type: "level_reached", ...reportHead(state), body });
    }
    if (decision.killCycle) return this.#cpuFollower?.leave();
    const [first] = pinned.selection?.victims ?? [];
    const isFollowed = policy.kills && reached !== undefined &&
      msUntilLimitAtPeakRate(memory, limit) < MAX_MS_TO_LIMIT_TO_FOLLOW;
    if (first && isFollowed) this.#cpuFollower?.follow(first.pid, now);
    const sharesCpu = this.#cpuFollower?.sharesCpu ?? false;
    const pollAt = nextPollAt(state, metricValue, now, this.#counts(), sharesCpu);
    schedule.nextPollAt = state.ranking?.isReading
      ? Math.min(pollAt, now + MS_BETWEEN_PARTS_OF_READING)
      : pollAt;
  }

  /** One read may fail, for example with ENOMEM, while the cgroup is still there. */
  #onUnreadable(state: CgroupState, now: number): void {
    if (!mayBeThere(state.limitOwner)) {
      const head = reportHead(state);
      this.remove(state.id);
      return void this.#outbox.push({ type: "gone", ...head });
    }
    // Exponential back-off.
    const since = state.schedule.unreadableSince ??= now;
    const failingFor = now - since;
    if (failingFor >= MAX_MS_UNREADABLE) {
      const reason = "its memory usage is unknown";
      this.#reportFallback(state.id, "cgroup", "guard", "waiting for a known usage", reason);
    }
    const wait = Math.min(MAX_MS_BETWEEN_POLLS, Math.max(MIN_MS_BETWEEN_POLLS, failingFor));
    state.schedule.nextPollAt = now + wait;
  }

  /** `undefined` also when the cgroup is there but descriptors run short. */
  #open(spec: CgroupSpec): CgroupState | undefined {
    try {
      return openCgroupState(spec, this.#resolved[spec.policy]!);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.#reportFallback(spec.id, "lost_cgroup", "guard", "none", error.message);
      return undefined;
    }
  }

  #reportFallback(
    id: number,
    affects: "all" | "cgroup" | "lost_cgroup",
    requested: string,
    fallback: string,
    reason: string,
  ): void {
    const head = { id, wakeSource: "poll", at: wallClock() } as const;
    this.post({ type: "fallback", ...head, affects, requested, fallback, reason });
  }

  #prepareSuspensions({ policy }: CgroupState): void {
    if (policy.kills && !policy.dryRun) this.suspensions.prepare();
  }

  /** The main thread has added them to the epoll set. */
  #bindEventfds(state: CgroupState): void {
    const wakeSource = state.limitOwner.machine ? "psi" : "eventfd";
    for (const { token, isReclaimNotification } of state.settings.eventfds) {
      this.#sources.set(token, { state, wakeSource, isReclaimNotification });
    }
  }

  #unbindEventfds({ settings }: CgroupState): void {
    for (const { token } of settings.eventfds) this.#sources.delete(token);
  }

  #watchEvents(state: CgroupState): void {
    const { id, files: { events } } = state;
    if (events === undefined) return;
    const token = FIRST_MONITOR_TOKEN + id;
    this.#sources.set(token, { state, wakeSource: "pollpri", isReclaimNotification: false });
    // The first read arms it: kernel, fs/kernfs/file.c, kernfs_generic_poll.
    events.text();
    try {
      this.epoll.add(events.fd, EPOLLPRI, token);
      state.schedule.hasEvents = true;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.#sources.delete(token);
      this.#reportFallback(id, "cgroup", "memory.events notification", "poll", error.message);
    }
  }

  /** The eventfds are registered with EPOLLET; memory.events is level-triggered until it is read. */
  #rearmEvents(token: number): void {
    const { state, wakeSource } = this.#sources.get(token) ?? {};
    if (wakeSource === "pollpri") state?.files.events?.text();
  }
}

/** Numbers of cgroups. */
interface Counts {
  readonly guarded: number;
  readonly dueBeforeNextRound: number;
}

/** Milliseconds of the clock that `now` is of. @param sharesCpu see `cpu_follower.ts`. */
function nextPollAt(
  state: CgroupState,
  metricValue: number,
  now: number,
  counts: Counts,
  sharesCpu: boolean,
): number {
  const { memory, settings: { levelBytes, limit }, policy, decision, schedule } = state;
  const { metric, triggerPolicy, acting, kills } = policy;
  const rate = (metric === "usage" ? memory.rate : memory.metricRate) ?? 0;
  const longest = longestFor(state, metricValue, now, counts);
  const left = levelBytes.imminent - metricValue;
  const isNear = kills && left > 0 && 1000 * left < BUSY_POLL_WITHIN_MS * rate;
  // On a shared CPU the allocator would not run during a busy poll.
  if (isNear && (now < schedule.busyPollUntil || isAboveArmed(state))) {
    return sharesCpu ? now + BUSY_POLL_MS_ON_SHARED_CPU : now;
  }
  const above = [levelBytes.warn, levelBytes.critical, levelBytes.imminent, limit].find((at) =>
    at > metricValue
  );
  const wait = nextPollIn((above ?? Infinity) - metricValue, rate, longest, MIN_MS_BETWEEN_POLLS);
  const again = nextTriggerAt(decision.levelStates, levelBytes, metricValue, triggerPolicy, acting);
  const at = wait < longest ? now + wait : nextRound(now, longest);
  return Math.max(decision.retryAt, Math.min(at, Math.max(now, again)));
}

/**
 * Whether it matters how much of the cgroup, above the critical level, is page cache. Not before the OOM killer is disabled: to read
 * memory.stat takes time.
 */
function isToBeLookedAt(
  { settings: { mode }, hold, throttle, schedule, memory }: CgroupState,
  now: number,
): boolean {
  if (mode === "hold-near-limit") return hold.isDisabled || schedule.farSince !== undefined;
  return mode === "throttle" &&
    (throttle.isLifted || now - memory.statAt >= MIN_MS_BETWEEN_CACHE_LOOKS);
}

/** Nothing is triggered, selected or in progress. */
function isIdle({ memory, settings, decision, pinned }: CgroupState): boolean {
  return memory.usage < settings.levelBytes.warn && allArmed(decision.levelStates) &&
    pinned.selection === undefined && decision.killCycle === undefined;
}

/** The same as {@link nextPollAt} for an idle cgroup that does not grow. */
function nextIdlePollAt(state: CgroupState, now: number, counts: Counts): number {
  return Math.max(state.decision.retryAt, nextRound(now, longestFor(state, 0, now, counts)));
}

const isAtRest = ({ rest }: CgroupState["schedule"], now: number): boolean =>
  now - rest.since >= MS_TO_REST;

/** Levels between its usage and its limit are not notified yet: only a poll sees the next page. */
const isAboveArmed = ({ settings: { unarmed }, policy: { kills }, memory }: CgroupState): boolean =>
  kills && unarmed?.hasLevels === true && memory.usage >= unarmed.from;

function longestFor(state: CgroupState, metricValue: number, now: number, counts: Counts): number {
  const { settings: { eventfds, levelBytes }, policy, schedule } = state;
  if (state.limitOwner.machine) return machineIntervalFor(state, state.memory.usage);
  if (isAboveArmed(state)) {
    const interval = MS_BETWEEN_POLLS_PER_UNARMED * counts.dueBeforeNextRound;
    return Math.min(
      unnotifiedPollInterval(policy, counts.guarded),
      Math.max(MIN_MS_BETWEEN_POLLS, interval),
    );
  }
  // Notifications are of usage, which may stand still while the working set in it grows.
  const isNotified = eventfds.some(({ isReclaimNotification }) => !isReclaimNotification) &&
    (policy.metric === "usage" || metricValue < levelBytes.warn);
  const rests = isAtRest(schedule, now) && isIdle(state);
  if (isNotified) return rests ? REST_POLL_MS : notifiedPollInterval(policy, counts.guarded);
  return rests && isThrottledInTime(state)
    ? MAX_MS_BETWEEN_POLLS
    : unnotifiedPollInterval(policy, counts.guarded);
}

/**
 * v2: memory.events wakes this thread at memory.high, which is the imminent level, and no level below it has an action: growth from rest
 * may be seen late.
 */
function isThrottledInTime({ settings, policy, schedule, throttle }: CgroupState): boolean {
  const { poll, metric, acting } = policy;
  return settings.mode === "throttle" && settings.memoryHigh !== undefined && !throttle.isLifted &&
    schedule.hasEvents && poll === undefined && metric === "usage" &&
    !acting.has("warn") && !acting.has("critical");
}

const unnotifiedPollInterval = ({ poll }: ResolvedPolicy, count: number): number =>
  poll ?? maxPollInterval(count);

const notifiedPollInterval = (policy: ResolvedPolicy, count: number): number =>
  Math.min(MAX_MS_BETWEEN_POLLS, NOTIFIED_POLL_FACTOR * unnotifiedPollInterval(policy, count));

/** Whether a process that was sent SIGKILL has not exited. */
const isKilling = (states: Iterable<CgroupState>) =>
  [...states].some(({ pinned }) =>
    pinned.kills.some(({ kill, victim }) => kill.signal === "SIGKILL" && !hasEnded(victim.pidfd))
  );
