/**
 * Follows cgroups: one epoll set for all notifications, one timer for all polls. A wake leads to a fresh read, and what
 * is told is the difference to the last one, so that coalesced, spurious and lost notifications do no harm.
 */

import { type Cgroup, isThere, openCgroup, parentOf, walk } from "../cgroup/cgroup.ts";
import type { Interests } from "../cgroup/dialect.ts";
import { directoryOf, pathOf } from "../cgroup/hierarchy.ts";
import {
  type Body,
  makeEvent,
  type OomkitEvent,
  type Source,
  type Tally,
} from "../report/event.ts";
import { createDeadChildren } from "./dead_children.ts";
import { createKills, LOG_GRACE_MS, type Told } from "./kills.ts";
import { createGhost, createMember, disarm, type Member, notePids } from "./member.ts";
import { createObserver } from "./observe.ts";
import { type Hint, openSources } from "./sources.ts";
import { tallyOf } from "./tally.ts";
import { type TreeChanges, watchTree } from "./tree_changes.ts";

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
}

export type Summary = OomkitEvent & { readonly type: "summary" };

export interface Watching {
  /** For the start-up line: which sources are in use, and why not others. */
  readonly sources: readonly string[];
  /** Resolves when no target is left; rejects when `emit` throws. */
  readonly done: Promise<void>;
  /** Reads everything once more, tells what is left to tell, ends with the summary, and frees everything. */
  stop(): Promise<Summary>;
}

/** Notifications are not known to be lost, but a watcher that trusts them alone would never know (milliseconds). */
const SWEEP_MS = 30_000;

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
  /** Paths lately buried, since hints of one removal come in several pieces. */
  const buried: string[] = [];
  const trees: TreeChanges[] = [];
  const dead = createDeadChildren();
  const done = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let timerAt = Infinity;
  let sweepAt = started + SWEEP_MS;
  let stopping = false;

  const tell = (cgroup: string, source: Source, body: Body) =>
    emit(makeEvent(performance.timeOrigin + performance.now(), cgroup, source, body));

  const sources = openSources(options, hierarchy, tell);
  const covers = (path: string) =>
    options.recursive &&
    options.targets.some(({ path: target }) =>
      path === target || target === "/" || path.startsWith(`${target}/`)
    );
  const tellKill = ({ cgroup, member, kill, inferred }: Told) => {
    if (member) member.victims += 1;
    else dead.told(cgroup);
    const source = kill ? "kmsg" : inferred ? "parent" : member?.source ?? "poll";
    observer.tellKill(cgroup, member, kill, inferred, source);
  };
  const kills = createKills({
    members: function* () {
      yield* retired;
      yield* members.values();
    },
    covers,
    hasLog: sources.log !== undefined,
    tell: tellKill,
  });
  const observer = createObserver(options, kills, tell);

  const add = (cgroup: Cgroup, isNew: boolean) => {
    // A kill logged before this cannot be its own, unless its counter says so.
    readLog();
    const isTarget = options.targets.some(({ path }) => path === cgroup.path);
    dead.expect(parentOf(cgroup));
    if (options.recursive) dead.expect(cgroup, isNew);
    const member = createMember(cgroup, { isTarget, wide: !options.recursive, isNew });
    if (member === undefined) return;
    members.set(cgroup.path, member);
    if (isNew) tell(cgroup.path, "watchfs", { type: "created" });
    observer.setThresholds(member);
    sources.arm(member);
    if (isNew) notePids(member);
    // What happened while it was being armed raised no notification.
    look(member, "poll");
  };

  const look = (member: Member, source: Source) => {
    const now = performance.now();
    member.nextLook = Infinity;
    if (!observer.refresh(member, source, now)) return retire(member);
    if (observer.effectiveChanged(member)) sources.rearmThresholds(member);
  };

  /** Its kills are logged before it can be removed: those read until now may be its own, later ones are not. */
  const retire = (member: Member) => {
    if (member.goneAt !== undefined) return;
    readLog();
    member.goneAt = performance.now();
    members.delete(member.cgroup.path);
    retired.add(member);
    member.lost = dead.lost(member.cgroup, member.last.subtree.oomKill);
    if (member.lost !== undefined) {
      member.suspected = Number(member.lost);
      return;
    }
    // v1 notifies of the removal itself once, sooner or later; what came besides was an OOM that nobody could read about.
    sources.collect(member);
    const unread = member.notified - member.oomsTold;
    member.doubtful = unread > 0 || member.source === "poll";
    if (unread > 1) tellUnread(member, unread - 1);
  };

  const tellUnread = (member: Member, ooms: number) => {
    member.suspected += ooms;
    observer.tellOom(member, BigInt(ooms), "eventfd");
  };

  /** The log has had its time: what is still suspected is told as such, then the removal. */
  const bury = (member: Member) => {
    retired.delete(member);
    sources.collect(member);
    const unread = member.notified - member.oomsTold - 1;
    if (unread > 0) tellUnread(member, unread);
    // Without the log a suspicion is all there will ever be; with it, no line was no kill.
    const unseen = member.lost !== undefined
      ? member.suspected
      : sources.log === undefined
      ? Math.min(1, member.suspected)
      : 0;
    for (let n = 0; n < unseen; n++) {
      tellKill({ cgroup: member.cgroup.path, member, inferred: true });
    }
    tell(member.cgroup.path, "watchfs", { type: "removed" });
    sources.forget(member);
    disarm(member);
    finished.push(...[tallyOf(member)].filter((tally) => tally !== undefined));
    if (buried.push(member.cgroup.path) > 50) buried.shift();
    const targetsLeft = [...members.values(), ...retired].some(({ isTarget }) => isTarget);
    if (!targetsLeft) done.resolve();
  };

  /** A cgroup that was created and is gone again: on v1 only the log can tell of a kill in it, on v2 its parent. */
  const haunt = (path: string) => {
    if (buried.includes(path) || [...retired].some(({ cgroup }) => cgroup.path === path)) return;
    const ghost = createGhost({ hierarchy, path, dir: directoryOf(hierarchy, path)!, inode: 0 });
    tell(path, "watchfs", { type: "created" });
    retire(ghost);
  };

  /** Compares what is watched with what is there, at `dir` or everywhere. */
  const reconcile = (dir: string | undefined) => {
    const path = dir === undefined ? undefined : pathOf(hierarchy, dir);
    const near = path === undefined ? members.values() : [members.get(path)].filter((m) => !!m);
    for (const member of [...near]) if (!isThere(member.cgroup)) retire(member);
    if (!options.recursive) return;
    const tops = path === undefined
      ? options.targets.flatMap(({ path }) => openCgroup(hierarchy, path) ?? [])
      : covers(path)
      ? [openCgroup(hierarchy, path)].filter((c) => c !== undefined)
      : [];
    for (const top of tops) {
      for (const cgroup of walk(top)) if (!members.has(cgroup.path)) add(cgroup, true);
    }
    if (path !== undefined && tops.length === 0 && covers(path)) haunt(path);
  };

  const sweep = () => {
    sweepAt = performance.now() + SWEEP_MS;
    reconcile(undefined);
    for (const member of [...members.values()]) look(member, "poll");
  };

  const settle = () => {
    readLog();
    const now = performance.now();
    let next = Math.min(sweepAt, kills.settle(now));
    for (const member of [...retired]) {
      const at = member.goneAt! + LOG_GRACE_MS;
      if (at <= now) bury(member);
      else next = Math.min(next, at);
    }
    for (const member of members.values()) {
      next = Math.min(next, member.nextLook, member.nextGlance);
    }
    if (stopping || (timer !== undefined && timerAt <= next)) return;
    clearTimeout(timer);
    timerAt = next;
    timer = setTimeout(guarded(tick), Math.max(1, next - now));
  };

  const tick = () => {
    timer = undefined;
    const now = performance.now();
    if (sweepAt <= now) sweep();
    for (const member of [...members.values()]) {
      if (member.nextLook <= now) look(member, member.source);
      if (member.nextGlance <= now) observer.glance(member, now);
    }
    settle();
  };

  const readLog = () => {
    for (const kill of sources.log?.read() ?? []) kills.logged(kill, performance.now());
  };

  /** What throws outside of anybody's call ends the watch instead of the process. */
  const guarded = <A extends unknown[]>(action: (...args: A) => void) => (...args: A) => {
    try {
      action(...args);
    } catch (error) {
      done.reject(error);
    }
  };

  const hint = guarded((dir: string | undefined) => {
    if (stopping) return;
    reconcile(dir);
    settle();
  });
  for (const [dirs, recursive] of sources.treeDirs()) {
    const reason = sources.tryTree(() => trees.push(watchTree(dirs, recursive, hint)));
    if (reason) tell(hierarchy.root, "none", reason);
  }
  for (const target of options.targets) {
    for (const cgroup of options.recursive ? walk(target) : [target]) {
      if (!members.has(cgroup.path)) add(cgroup, false);
    }
  }
  if (members.size === 0) done.resolve();

  const wake = guarded((touched: ReadonlyMap<Member, Hint>, overflow: boolean) => {
    for (const [member, hint] of touched) {
      look(member, hint.source);
      // A removal signals every eventfd: what is gone has no pressure.
      if (member.goneAt === undefined) observer.tellPressure(member, hint);
    }
    if (overflow) sweep();
    settle();
  });
  const loop = sources.follow(wake);
  settle();

  return {
    sources: sources.described(),
    done: done.promise,
    async stop() {
      stopping = true;
      clearTimeout(timer);
      sources.wakeUp();
      await loop;
      // A notified OOM whose kill is still under way: the counter and the log follow within milliseconds.
      const patience = performance.now() + LOG_GRACE_MS;
      for (;;) {
        for (const member of [...members.values()]) look(member, "poll");
        settle();
        const open = retired.size > 0 ||
          [...members.values()].some((m) => m.due > 0n || m.suspected > 0);
        if (!open || performance.now() > patience + 20) break;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      for (const member of [...retired]) bury(member);
      observer.flush(members.values());
      const cgroups = [...members.values()].flatMap((member) => tallyOf(member) ?? []);
      cgroups.push(...finished);
      for (const tree of trees) tree.close();
      await Promise.all(trees.map((tree) => tree.done));
      for (const member of members.values()) disarm(member);
      sources.close();
      done.resolve();
      const seconds = Math.round(performance.now() - started) / 1000;
      const summary: Body = { type: "summary", seconds, cgroups };
      const path = options.targets.length === 1 ? options.targets[0]!.path : hierarchy.root;
      const event = makeEvent(performance.timeOrigin + performance.now(), path, "none", summary);
      emit(event);
      return event as Summary;
    },
  };
}
