/**
 * The main thread's part of a guard: it finds the cgroups, arms them, does what is not urgent, and tells. What is urgent is
 * the sentry's, in a thread of its own.
 */

import { type Restored, restoreLeftovers } from "../act/journal.ts";
import { lowerOwnScore } from "../act/own_score.ts";
import { type Cgroup, openCgroup } from "../cgroup/cgroup.ts";
import { wallClock } from "../kernel/clock.ts";
import {
  type Body,
  makeEvent,
  type OomkitEvent,
  type Source,
  type Weighed,
} from "../report/event.ts";
import type { Recorder } from "../record/format.ts";
import type { Labels } from "../policy/rules.ts";
import { blowBody, guardingBody, letGoBody, levelBody, reclaimedBody } from "./bodies.ts";
import { createChores } from "./chores.ts";
import { foresee } from "./foresee.ts";
import { createCollector } from "./garbage.ts";
import { createHoldWatchdog } from "./hold_watchdog.ts";
import { createMinding } from "./minding.ts";
import { isDeadly, type Plans } from "./plan.ts";
import { createPulse } from "./pulse.ts";
import { doubts } from "./reach.ts";
import { recordGuard } from "./recording.ts";
import { createRoster, type Entry } from "./roster.ts";
import { createFollowing } from "./following.ts";
import { candidatesIn, pathIn, sameScopes, type Scope, scopeOf } from "./scope.ts";
import { type Report, startSentryThread } from "./thread.ts";

export interface GuardOptions {
  readonly plans: Plans;
  readonly scopes: readonly Scope[];
  /** OOMHero's way: the cgroups of all processes that can be seen, instead of scopes. */
  readonly findCgroups?: () => readonly Cgroup[];
  /** Milliseconds between two walks over everything, and until everything is armed afresh. */
  readonly walkEvery: number;
  readonly rearmEvery: number;
  /** Milliseconds for a hook. */
  readonly hookTimeout: number;
  /** Milliseconds that allocators may wait under `hold` before the kernel's killer is let loose again. */
  readonly holdTimeout: number;
  readonly stateFolder: string;
  /** The command that puts back what this guard leaves when it is killed. */
  readonly release: readonly string[];
  /** Gets what the sentry sees; the events are the caller's. */
  readonly recorder?: Recorder;
}

export interface Guarding {
  entries(): readonly Entry[];
  /** For the start-up line. */
  readonly scheduling: string;
  sources(): readonly string[];
  /** Rejects when the guard cannot go on. */
  readonly done: Promise<never>;
  /** Who would be taken in it now, the first first. */
  candidates(entry: Entry): readonly Weighed[];
  /** Guards by other plans, and elsewhere, from now on. */
  assume(next: Pick<GuardOptions, "plans" | "scopes">): Promise<void>;
  /** Pods have come or gone, or have other labels. */
  relabel(labels: Labels): void;
  /** Milliseconds since the sentry was seen to turn last. */
  silentFor(): number;
  /** Whether the sentry has turned since this was asked last. */
  isAlive(): boolean;
  /** Puts everything back, and ends with the summary. */
  stop(): Promise<void>;
}

const WATCHDOG_MS = 200;
/** What others do to memory.high and memory.oom_control is found by looking (milliseconds). */
const REFRESH_MS = 10_000;

/**
 * Guards from the moment that it resolves.
 *
 * @param emitted gets memory.stat along with each kill.
 * Throws {@link OomkitError} when the sentry cannot run, or nothing can be recorded where that is needed.
 */
export async function startGuard(
  options: GuardOptions,
  emitted: (event: OomkitEvent, stat?: string) => void,
): Promise<Guarding> {
  let { plans, scopes } = options;
  const { emit, ...recording } = recordGuard(options.recorder, plans, emitted);
  const ended = Promise.withResolvers<never>();
  // Asked for only once everything stands.
  ended.promise.catch(() => {});
  const tell = (cgroup: string, source: Source, body: Body, at?: number, stat?: string) =>
    emit(makeEvent(at ?? wallClock(), cgroup, source, body), stat);
  const told = new Set<string>();
  const refuse = (cgroup: string, wanted: string, using: string, reason: string) => {
    const key = `${cgroup} ${wanted} ${reason}`;
    if (!told.has(key)) tell(cgroup, "none", { type: "degraded", wanted, using, reason });
    told.add(key);
  };
  const tellRestored = (restored: readonly Restored[]) => {
    for (const { dir, file, set, before, outcome, reason = null } of restored) {
      tell(pathIn(scopes, dir), "none", { type: "restored", file, set, before, outcome, reason });
    }
  };
  tellRestored(restoreLeftovers(options.stateFolder));

  const { journal, ...minding } = createMinding(options.stateFolder, options.release);
  const thread = startSentryThread(plans, options.stateFolder, (r) => take(r), recording.looks);
  thread.failed.catch(ended.reject);
  const { scheduling, rehearsed } = await thread.ready;
  if (!rehearsed) refuse("/", "a rehearsal", "nothing", "no cgroup can be seen");
  const score = lowerOwnScore(-900);
  if (score.refused && isDeadly(plans)) {
    refuse("/", "oom_score_adj -900", "what it was", score.refused);
  }

  const roster = createRoster({
    ...options,
    epoll: thread.epoll,
    journal,
    order: recording.ordering(thread.order),
    tell: (entry) => tell(entry.cgroup.path, "none", guardingBody(entry)),
    tellRestored,
    refuse: (cgroup, ...rest) => refuse(cgroup.path, ...rest),
    fail: ended.reject,
  });
  const chores = createChores(options, tell);
  const letLoose = (entry: Entry, reason: string) => {
    tellRestored(journal.restore(entry.measured.dir, "memory.oom_control"));
    refuse(entry.cgroup.path, "hold", "the kernel's killer", reason);
  };

  const take = (report: Report) => {
    const entry = report.say === "blow" ? roster.known(report.id) : roster.get(report.id);
    if (entry === undefined) return;
    const { path } = entry.cgroup;
    const say = (body: Body, stat?: string) => tell(path, report.wake, body, report.at, stat);
    switch (report.say) {
      case "level":
        say(levelBody(entry, report));
        return chores.atLevel(entry, report.level, report.usage);
      case "blow": {
        const { blow } = report;
        say(blowBody(entry, blow), blow.stat);
        const isHeld = blow.outcome === "failed" && entry.terms.mode === "hold";
        if (isHeld && roster.get(entry.id)) letLoose(entry, blow.reason ?? "nobody could be ended");
        return chores.afterBlow(entry, blow);
      }
      case "reclaimed":
        return say(reclaimedBody(entry, report));
      case "let_go":
        return say(letGoBody(entry, report));
      case "refused":
        refuse(report.isGuarded ? "/" : path, report.wanted, report.using, report.why);
        return report.isGuarded ? undefined : roster.forget(path);
      case "gone":
        roster.lose(entry);
    }
  };

  const expectStops = () => {
    const reason = minding.expectStops(plans);
    if (reason) refuse("/", "a record of who is stopped for a moment", "none", reason);
  };

  const { collect, tidyUp } = createCollector();
  const considerAll = () => {
    const there = new Set<string>();
    const found = (options.findCgroups?.() ?? []).map((cgroup) => ({ cgroup, isNamed: true }));
    for (const { cgroup, isNamed } of [...found, ...candidatesIn(scopes)]) {
      there.add(cgroup.path);
      roster.consider(cgroup, isNamed);
      collect();
    }
    for (const { cgroup: { path } } of roster.all()) if (!there.has(path)) roster.forget(path);
  };

  let stopping = false;
  const follow = (event: OomkitEvent) => {
    const scope = scopeOf(scopes, event.cgroup);
    const isGeneral = event.type === "summary" ? stopping : event.type === "degraded";
    if (isGeneral || (scope && event.type !== "summary")) emit(event);
    if (!scope || stopping) return;
    if (!["created", "removed", "limit_changed"].includes(event.type)) return;
    // Also of one that is told as removed: another may have its name already, and be guarded by it.
    const cgroup = openCgroup(scope.cgroup.hierarchy, event.cgroup);
    const isNamed = scope.pattern === undefined && event.cgroup === scope.cgroup.path;
    if (cgroup) roster.consider(cgroup, isNamed);
    else roster.forget(event.cgroup);
  };
  const following = createFollowing(() => scopes, follow, ended.reject);
  following.renew();
  expectStops();
  considerAll();
  recording.begin();
  await roster.armed();
  tidyUp();
  for (const entry of roster.all()) {
    for (const [wanted, using, reason] of isDeadly(plans) ? doubts(entry) : []) {
      refuse(entry.cgroup.path, wanted, using, reason);
    }
  }

  const checkHolds = createHoldWatchdog(options.holdTimeout, letLoose);
  const pulse = createPulse(thread.beats);
  const refresh = () => {
    for (const { cgroup, isNamed, wanted, terms } of roster.all()) {
      if (wanted !== "notify") roster.consider(cgroup, isNamed, terms.mode !== wanted);
    }
  };
  /** What no notification tells: the limit of an ancestor, and a target that is made anew. */
  const glance = () => {
    roster.retry();
    for (const { cgroup, measured, isNamed } of roster.all()) {
      if (measured.path !== cgroup.path) roster.consider(cgroup, isNamed);
    }
    if (following.isStale()) {
      following.renew();
      considerAll();
    }
  };
  /** What throws outside of anybody's call ends the guard instead of the process. */
  const every = (ms: number, action: () => void) =>
    setInterval(() => {
      try {
        action();
      } catch (error) {
        ended.reject(error);
      }
    }, ms);
  const timers = [
    every(WATCHDOG_MS, pulse.check),
    every(WATCHDOG_MS, () => checkHolds(roster.all())),
    every(WATCHDOG_MS, glance),
    every(WATCHDOG_MS, collect),
    every(REFRESH_MS, refresh),
    every(options.walkEvery, considerAll),
    every(options.rearmEvery, () => {
      for (const { cgroup, isNamed } of roster.all()) roster.consider(cgroup, isNamed, true);
    }),
  ];

  return {
    entries: roster.all,
    scheduling,
    sources: following.sources,
    done: ended.promise,
    candidates: (entry) => foresee(entry, plans),
    async assume(next) {
      const isElsewhere = !sameScopes(scopes, next.scopes);
      ({ plans, scopes } = next);
      roster.assume(plans);
      if (isElsewhere) following.renew();
      expectStops();
      considerAll();
      await roster.armed();
    },
    relabel(labels) {
      plans = { ...plans, labels };
      roster.assume(plans);
      considerAll();
    },
    silentFor: pulse.silentFor,
    isAlive: pulse.isAlive,
    async stop() {
      stopping = true;
      timers.forEach(clearInterval);
      let isAllPutBack = true;
      const steps = [
        () => thread.stop(),
        recording.stop,
        () => {
          const restored = journal.restore();
          isAllPutBack = restored.every(({ outcome }) => outcome !== "failed");
          tellRestored(restored);
        },
        () => roster.close(),
        // Where it cannot be put back now, the minder tries once more afterwards.
        () => minding.end(isAllPutBack),
        () => chores.finish(),
        () => score.restore(),
        () => following.stop(),
        () => thread.close(),
      ];
      // Whatever one of them throws, the others are no less due.
      const failures: unknown[] = [];
      for (const step of steps) {
        try {
          await step();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw failures[0];
    },
  };
}
