/**
 * Follows cgroups: one epoll set for all notifications, one timer for all polls. A wake leads to a fresh read, and what
 * is told is the difference to the last one, so that coalesced, spurious and lost notifications do no harm.
 */

import { wallClock } from "../kernel/clock.ts";
import type { LinksAbove } from "../cgroup/ancestry.ts";
import { type Cgroup, parentOf } from "../cgroup/cgroup.ts";
import type { Interests } from "../cgroup/dialect.ts";
import {
  type Body,
  makeEvent,
  type OomkitEvent,
  type Source,
  type Tally,
} from "../report/event.ts";
import { sweepEvery } from "../policy/pace.ts";
import type { Recorder } from "../record/format.ts";
import { createCensus } from "./census.ts";
import { coversOf, everyTarget } from "./covers.ts";
import { createDeadChildren } from "./dead_children.ts";
import { createKills, LOG_GRACE_MS, type Told } from "./kills.ts";
import { createMember, disarm, hasTarget, type Member, notePids } from "./member.ts";
import { createObserver } from "./observe.ts";
import { recordWatch } from "./recording.ts";
import { createRemovals } from "./removals.ts";
import { type Batch, openSources } from "./sources.ts";
import { createSweeps } from "./sweeps.ts";
import { tallyOf } from "./tally.ts";

export interface WatchOptions {
  readonly targets: readonly Cgroup[];
  /** Also everything beneath the targets, and what appears there later. */
  readonly recursive: boolean;
  /** In bytes, or in percent of each cgroup's effective limit. */
  readonly thresholds: readonly ({ readonly bytes: number } | { readonly percent: number })[];
  readonly pressure: Interests["pressure"];
  readonly psi: Interests["psi"];
  /** Milliseconds: read at this pace instead of being notified. */
  readonly poll?: number;
  /** Gets what is read of the cgroups; the events are its caller's. */
  readonly recorder?: Recorder;
  /** Called before each cgroup is armed at the start, which takes a while where there are thousands. */
  readonly onTarget?: (count: number) => void;
}

export type Summary = OomkitEvent & { readonly type: "summary" };

export interface Watching {
  /** For the start-up line: which sources are in use, and why not others. */
  readonly sources: readonly string[];
  /** Who is followed now. */
  cgroups(): Cgroup[];
  /** Resolves when no target is left; rejects when `emit` throws. */
  readonly done: Promise<void>;
  /** Reads everything once more, tells what is left to tell, ends with the summary, and frees everything. */
  stop(): Promise<Summary>;
}

/** Longer than a queued hint takes to arrive (milliseconds). */
const QUIET_MS = 20;
const STOP_WITHIN_MS = 2000;

/** Arms everything before it returns: what happens afterwards is told, in order. */
export function startWatch(
  options: WatchOptions,
  emit: (event: OomkitEvent) => void,
): Watching {
  const started = performance.now();
  const hierarchy = options.targets[0]!.hierarchy;
  const members = new Map<string, Member>();
  const retired = new Set<Member>();
  const finished: Tally[] = [];
  const parents = createDeadChildren();
  const done = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let timerAt = Infinity;
  /** Notifications are not known to be lost, but a watcher that trusts them alone would never know. */
  let sweepAt = started + sweepEvery(0, false);
  let closed = false;
  /** When something last woke us. */
  let wokenAt = started;

  const tell = (cgroup: string, source: Source, body: Body) =>
    emit(makeEvent(wallClock(), cgroup, source, body));

  const sources = openSources(options, hierarchy, tell);
  const covers = coversOf(options);
  const tellKill = ({ cgroup, member, kill, inferred }: Told) => {
    if (member) member.victims += 1;
    if (kill && member && member.goneAt === undefined) {
      // The OOM was notified before its kill was logged, but the log may have been read first.
      sources.collect(member);
      look(member, member.source);
    }
    const source = kill ? "kmsg" : inferred ? "parent" : member?.source ?? "poll";
    observer.tellKill(cgroup, member, kill, inferred, source);
  };
  const kills = createKills({
    members: function* () {
      yield* retired;
      yield* members.values();
    },
    covers,
    ahead: parents.ahead,
    hasLog: sources.log !== undefined,
    tell: tellKill,
  });
  const recording = recordWatch(options.recorder, members);
  const observer = recording.around(createObserver(options, kills, tell, () => members.size));

  const add = (cgroup: Cgroup, isNew: boolean) => {
    // A kill logged before this cannot be its own, unless its counter says so.
    readLog();
    const isTarget = options.targets.some(({ path }) => path === cgroup.path);
    const pool = parents.expect(parentOf(cgroup));
    const member = createMember(cgroup, { isTarget, wide: !options.recursive, isNew, pool });
    if (member === undefined) return;
    if (options.recursive) parents.expect(cgroup, isNew);
    members.set(cgroup.path, member);
    kills.adopt(member);
    if (isNew) tell(cgroup.path, sources.trees.source, { type: "created" });
    observer.setThresholds(member);
    sources.arm(member);
    if (isNew) notePids(member, performance.now());
    // What happened while it was being armed raised no notification.
    look(member, "poll");
  };

  const look = (member: Member, source: Source, known?: LinksAbove) => {
    if (member.goneAt !== undefined) return;
    member.nextLook = Infinity;
    if (!observer.refresh(member, source, performance.now())) return retire(member);
    if (observer.effectiveChanged(member, known)) sources.rearmThresholds(member);
  };

  const readLog = () => {
    for (const kill of sources.log?.read() ?? []) kills.logged(kill, performance.now());
  };

  const removals = createRemovals({
    retired,
    parents,
    sources,
    kills,
    readLog,
    tell,
    tellOom: (member, count, source) => observer.tellOom(member, count, source),
  });
  const bury = (member: Member) => {
    removals.bury(member);
    finished.push(...[tallyOf(member)].filter((tally) => tally !== undefined));
    if (!hasTarget(members.values()) && !hasTarget(retired)) done.resolve();
  };
  const retire = (member: Member) => {
    members.delete(member.cgroup.path);
    recording.gone(member);
    removals.retire(member);
  };

  const census = createCensus({
    ...options,
    hierarchy,
    members,
    parents,
    covers,
    add: (cgroup) => add(cgroup, true),
    retire,
    // watchFs tells of files too, and nothing is left that could be asked what it was.
    haunt: (path) => sources.trees.source === "inotify" && removals.haunt(hierarchy, path),
  });

  const sweep = () => {
    sweepAt = performance.now() + sweepEvery(members.size, sources.trees.tellsAll());
    census.take(undefined);
    sweeps.begin(members.values());
    sweeps.goOn();
  };
  const sweeps = createSweeps((member, known) => look(member, "poll", known));

  const take = ({ touched, changed, overflow }: Batch) => {
    for (const dir of changed) census.take(dir);
    for (const [member, hint] of touched) {
      look(member, hint.source);
      // A removal signals every eventfd: what is gone has no pressure.
      if (member.goneAt === undefined) observer.tellPressure(member, hint);
    }
    if (overflow) sweep();
  };

  /** What is known by now, though nobody was woken for it yet. */
  const catchUp = (parent: Cgroup) => {
    take(sources.drain());
    census.retireGone(parent);
    readLog();
  };

  const settle = () => {
    // Before the log is read: what is not in it by now is late, however long this program stands still in between.
    const now = performance.now();
    readLog();
    parents.settle(catchUp);
    let next = Math.min(sweepAt, now + sweeps.pause(), kills.settle(now));
    for (const member of [...retired]) {
      // A kill without a cgroup may still turn out to be the one that is missing.
      const isOpen = kills.waiting() && member.pool !== undefined && member.pool.untold() > 0n;
      const at = member.goneAt! + LOG_GRACE_MS * (isOpen ? 2 : 1);
      if (at <= now) bury(member);
      else next = Math.min(next, at);
    }
    for (const each of members.values()) next = Math.min(next, each.nextLook, each.nextGlance);
    if (closed || (timer !== undefined && timerAt <= next)) return;
    clearTimeout(timer);
    timerAt = next;
    timer = setTimeout(guarded(tick), Math.max(1, next - now));
  };

  const tick = () => {
    timer = undefined;
    const now = performance.now();
    if (sweepAt <= now) sweep();
    else sweeps.goOn();
    for (const member of members.values()) {
      if (member.nextLook <= now) look(member, member.source);
      if (member.nextGlance <= now) observer.glance(member, now);
    }
    settle();
  };

  /** What throws outside of anybody's call ends the watch instead of the process. */
  const guarded = <A extends unknown[]>(action: (...args: A) => void) => (...args: A) => {
    try {
      action(...args);
    } catch (error) {
      done.reject(error);
    }
  };

  sources.trees.start(guarded((dir: string | undefined) => {
    if (closed) return;
    wokenAt = performance.now();
    census.take(dir);
    settle();
  }));
  for (const cgroup of everyTarget(options)) {
    if (!members.has(cgroup.path)) add(cgroup, false);
  }
  if (members.size === 0) done.resolve();

  const loop = sources.follow(guarded((batch: Batch) => {
    wokenAt = performance.now();
    take(batch);
    settle();
  }));
  settle();

  /**
   * Waits for what is on its way: hints that are queued, the kill that follows a notified OOM, the line that follows a
   * counter. Bounded, since on a busy node there is always something.
   */
  const quiet = async () => {
    const deadline = performance.now() + STOP_WITHIN_MS;
    // However long the last wake was ago: what came while we were busy has had no turn yet.
    wokenAt = performance.now();
    for (let now = wokenAt; now < deadline; now = performance.now()) {
      const isOpen = retired.size > 0 || kills.waiting() ||
        [...members.values()].some((m) => m.due > 0n || m.suspected > 0);
      if (now - wokenAt > (isOpen ? LOG_GRACE_MS + QUIET_MS : QUIET_MS)) return;
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS / 2));
    }
  };

  return {
    sources: sources.described(),
    cgroups: () => [...members.values()].map(({ cgroup }) => cgroup),
    done: done.promise,
    async stop() {
      for (const member of [...members.values()]) look(member, "poll");
      settle();
      await quiet();
      closed = true;
      clearTimeout(timer);
      sources.wakeUp();
      await loop;
      settle();
      recording.stop();
      for (const member of [...retired]) bury(member);
      observer.flush(members.values());
      const cgroups = [...members.values()].flatMap((each) => tallyOf(each) ?? []).concat(finished);
      for (const member of members.values()) disarm(member);
      await sources.close();
      done.resolve();
      const seconds = Math.round(performance.now() - started) / 1000;
      const path = options.targets.length === 1 ? options.targets[0]!.path : hierarchy.root;
      const event = makeEvent(wallClock(), path, "none", { type: "summary", seconds, cgroups });
      emit(event);
      return event as Summary;
    },
  };
}
