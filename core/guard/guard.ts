/** What a guard changes is on record before, and somebody minds it from the first change on. */

import { type Cgroup, isThere, openCgroup } from "../cgroup/cgroup.ts";
import { type Journal, openJournal, type Restored, restoreStale } from "../control/journal.ts";
import { lowerOwnOomScoreAdj } from "../control/oom_score_adj.ts";
import { type RestoreWatchdog, startRestoreWatchdog } from "../control/restore_watchdog.ts";
import { OomkitError } from "../errors.ts";
import {
  type Body,
  type CandidateJson,
  makeEvent,
  type OomkitEvent,
  type Source,
} from "../events/event.ts";
import { wallClock } from "../kernel/clock.ts";
import type { Labels } from "../policy/rules.ts";
import type { RecordSink } from "../record/format.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import { createBackgroundActions } from "./background_actions.ts";
import {
  actionSkippedEvent,
  guardArmedEvent,
  killEvent,
  levelReachedEvent,
  reclaimedEvent,
} from "./events.ts";
import { createCollector } from "./heap.ts";
import { createHoldWatchdog } from "./modes.ts";
import { permissionWarnings } from "./permissions.ts";
import { kills, maySuspend, type PolicySet } from "./policy.ts";
import { recordGuard } from "./record.ts";
import { createGuardRegistry, type GuardedCgroup } from "./registry.ts";
import { candidatesIn, pathIn, sameScopes, type Scope, scopeOf } from "./targets.ts";
import { type CgroupReport, startMonitorThread } from "./thread/handle.ts";
import { predictVictims } from "./thread/victims.ts";

export interface RestoreGuard {
  readonly journal: Journal;
  /** To be called before anybody is struck by them. Returns why nothing can be on record of who is stopped meanwhile. */
  prepareSuspensions(policies: PolicySet): string | undefined;
  /** Dismisses who minds it, unless something is left for him. */
  end(isAllPutBack: boolean): Promise<void>;
}

/** @param release the command that puts back what is left. */
export function createRestoreGuard(stateFolder: string, release: readonly string[]): RestoreGuard {
  const files = openJournal(stateFolder);
  let restoreWatchdog: RestoreWatchdog | undefined;
  const mind = () => void (restoreWatchdog ??= startRestoreWatchdog(release));
  return {
    journal: {
      ...files,
      change(...change) {
        mind();
        return files.change(...change);
      },
    },
    prepareSuspensions(policies) {
      if (!maySuspend(policies)) return undefined;
      mind();
      return files.prepareSuspensionLog();
    },
    async end(isAllPutBack) {
      if (isAllPutBack) await restoreWatchdog?.dismiss();
    },
  };
}

/* Whether the sentry turns. */

export interface Heartbeat {
  /** To be called every now and then. Throws once it has not turned for too long. */
  check(): void;
  /** Milliseconds since it was seen to turn last. */
  msSinceHeartbeat(): number;
  /** Whether it has turned since this was asked last. */
  isAlive(): boolean;
}

/** The sentry turns once a second at least; a machine that swaps may stand still for longer. */
const SILENCE_MS = 30_000;

/** @param beats how often it has turned. */
export function createHeartbeat(beats: () => number): Heartbeat {
  let last = { at: performance.now(), count: 0 };
  let asked = 0;
  const msSinceHeartbeat = () => performance.now() - last.at;
  return {
    check() {
      const count = beats();
      if (count !== last.count) last = { at: performance.now(), count };
      if (msSinceHeartbeat() < SILENCE_MS) return;
      throw new OomkitError(`the sentry has not turned for ${SILENCE_MS / 1000} s`);
    },
    msSinceHeartbeat,
    isAlive() {
      const before = asked;
      asked = beats();
      return asked !== before;
    },
  };
}

/* The kernel's own events in the guarded parts, which are also what tells of cgroups that come and go and of limits. */

export interface EventForwarder {
  /** A target was removed, or is there again: what is followed is not what it was. */
  isStale(): boolean;
  /** Follows what is there now. */
  renew(): void;
  sources(): readonly string[];
  /** Ends with the summary. */
  stop(): Promise<void>;
}

/** A watch of its targets ends with them; a guard waits for them to come again, as a service's cgroup does. */
export function createEventForwarder(
  scopes: () => readonly Scope[],
  follow: (event: OomkitEvent) => void,
  fail: (error: unknown) => void,
): EventForwarder {
  let watching: Watching | undefined;
  let targets = there(scopes());
  let sources: readonly string[] = [];
  const ending = new Set<Promise<unknown>>();

  const end = (old: Watching | undefined) => {
    if (old === undefined) return;
    const ended = old.stop().catch(fail).finally(() => ending.delete(ended));
    ending.add(ended);
  };

  return {
    isStale() {
      const now = there(scopes());
      return now.length !== targets.length || !targets.every(isThere);
    },
    renew() {
      end(watching);
      watching = undefined;
      targets = there(scopes());
      if (targets.length === 0) return;
      watching = startWatch({
        targets,
        recursive: scopes().some(({ recursive }) => recursive),
        thresholds: [],
        pressure: [],
        psi: [],
      }, follow);
      sources = watching.sources;
      watching.done.catch(fail);
    },
    sources: () => sources,
    async stop() {
      end(watching);
      await Promise.all(ending);
    },
  };
}

/** Each cgroup once, as it is there now. */
function there(scopes: readonly Scope[]) {
  const found = scopes.flatMap(({ cgroup: { hierarchy, path } }) =>
    openCgroup(hierarchy, path) ?? []
  );
  return [...new Map(found.map((cgroup) => [cgroup.path, cgroup])).values()];
}

/*
 * The main thread's part of a guard: it finds the cgroups, arms them, does what is not urgent, and tells. What is urgent is
 * the sentry's, in a thread of its own.
 */

export interface GuardOptions {
  readonly policies: PolicySet;
  readonly scopes: readonly Scope[];
  /** OOMHero's way: the cgroups of all processes that can be seen, instead of scopes. */
  readonly findCgroups?: () => readonly Cgroup[];
  /** Milliseconds between two walks over everything, and until everything is armed afresh. */
  readonly rescanMs: number;
  readonly rearmMs: number;
  /** Milliseconds for a hook. */
  readonly hookTimeout: number;
  /** Milliseconds that allocators may wait under `hold` before the kernel's killer is let loose again. */
  readonly holdTimeout: number;
  readonly stateFolder: string;
  /** The command that puts back what this guard leaves when it is killed. */
  readonly release: readonly string[];
  /** Gets what the sentry sees; the events are the caller's. */
  readonly recordSink?: RecordSink;
}

export interface Guard {
  guardedCgroups(): readonly GuardedCgroup[];
  /** For the start-up line. */
  readonly scheduling: string;
  sources(): readonly string[];
  /** Rejects when the guard cannot go on. */
  readonly done: Promise<never>;
  /** Who would be taken in it now, the first first. */
  candidates(guarded: GuardedCgroup): readonly CandidateJson[];
  /** Guards by other plans, and elsewhere, from now on. */
  reload(next: Pick<GuardOptions, "policies" | "scopes">): Promise<void>;
  /** Pods have come or gone, or have other labels. */
  setPodLabels(labels: Labels): void;
  /** Milliseconds since the sentry was seen to turn last. */
  msSinceHeartbeat(): number;
  /** Whether the sentry has turned since this was asked last. */
  isAlive(): boolean;
  /** Puts everything back, and ends with the summary. */
  stop(): Promise<void>;
}

const CHECK_EVERY_MS = 200;
/** What others do to memory.high and memory.oom_control is found by looking (milliseconds). */
const REAPPLY_MODES_MS = 10_000;

/**
 * Guards from the moment that it resolves.
 *
 * @param emitted gets memory.stat along with each kill.
 * Throws {@link OomkitError} when the sentry cannot run, or nothing can be recorded where that is needed.
 */
export async function startGuard(
  options: GuardOptions,
  emitted: (event: OomkitEvent, stat?: string) => void,
): Promise<Guard> {
  let { policies, scopes } = options;
  const { emit, ...recording } = recordGuard(options.recordSink, policies, emitted);
  const ended = Promise.withResolvers<never>();
  // Asked for only once everything stands.
  ended.promise.catch(() => {});
  const emitEvent = (cgroup: string, source: Source, body: Body, at?: number, stat?: string) =>
    emit(makeEvent(at ?? wallClock(), cgroup, source, body), stat);
  const told = new Set<string>();
  const reportFallback = (cgroup: string, requested: string, fallback: string, reason: string) => {
    const key = `${cgroup} ${requested} ${reason}`;
    if (!told.has(key)) {
      emitEvent(cgroup, "none", { type: "degraded", requested, fallback, reason });
    }
    told.add(key);
  };
  const reportRestored = (restored: readonly Restored[]) => {
    for (const { dir, file, set, before, outcome, reason = null } of restored) {
      emitEvent(pathIn(scopes, dir), "none", {
        type: "restored",
        file,
        set,
        before,
        outcome,
        reason,
      });
    }
  };
  reportRestored(restoreStale(options.stateFolder));

  const { journal, ...restoreGuard } = createRestoreGuard(options.stateFolder, options.release);
  const thread = startMonitorThread(
    policies,
    options.stateFolder,
    (r) => take(r),
    recording.samples,
  );
  thread.failed.catch(ended.reject);
  const { scheduling, warmedUp } = await thread.ready;
  if (!warmedUp) reportFallback("/", "a rehearsal", "nothing", "no cgroup can be seen");
  const score = lowerOwnOomScoreAdj(-900);
  if (score.refused && kills(policies)) {
    reportFallback("/", "oom_score_adj -900", "what it was", score.refused);
  }

  const registry = createGuardRegistry({
    ...options,
    epoll: thread.epoll,
    journal,
    send: recording.ordering(thread.send),
    emitEvent: (guarded) => emitEvent(guarded.cgroup.path, "none", guardArmedEvent(guarded)),
    reportRestored,
    reportFallback: (cgroup, ...rest) => reportFallback(cgroup.path, ...rest),
    fail: ended.reject,
  });
  const backgroundActions = createBackgroundActions(options, emitEvent);
  const reenableOomKiller = (guarded: GuardedCgroup, reason: string) => {
    reportRestored(journal.restore(guarded.limitOwner.dir, "memory.oom_control"));
    reportFallback(guarded.cgroup.path, "hold", "the kernel's killer", reason);
  };

  const take = (report: CgroupReport) => {
    const guarded = report.type === "kill"
      ? registry.getIncludingRemoved(report.id)
      : registry.get(report.id);
    if (guarded === undefined) return;
    const { path } = guarded.cgroup;
    const emitHere = (body: Body, stat?: string) =>
      emitEvent(path, report.wakeSource, body, report.at, stat);
    switch (report.type) {
      case "level_reached":
        emitHere(levelReachedEvent(guarded, report));
        return backgroundActions.runLevelActions(guarded, report.level, report.usage);
      case "kill": {
        const { kill } = report;
        emitHere(killEvent(guarded, kill), kill.stat);
        const isHeld = kill.outcome === "failed" && guarded.settings.mode === "hold";
        if (isHeld && registry.get(guarded.id)) {
          reenableOomKiller(guarded, kill.reason ?? "nobody could be ended");
        }
        return backgroundActions.runKillHooks(guarded, kill);
      }
      case "reclaimed":
        return emitHere(reclaimedEvent(guarded, report));
      case "action_skipped":
        return emitHere(actionSkippedEvent(guarded, report));
      case "fallback":
        reportFallback(
          report.isGuarded ? "/" : path,
          report.requested,
          report.fallback,
          report.why,
        );
        return report.isGuarded ? undefined : registry.remove(path);
      case "gone":
        registry.markLost(guarded);
    }
  };

  const prepareSuspensions = () => {
    const reason = restoreGuard.prepareSuspensions(policies);
    if (reason) reportFallback("/", "a record of who is stopped for a moment", "none", reason);
  };

  const { collect, tidyUp } = createCollector();
  const updateAll = () => {
    const there = new Set<string>();
    const found = (options.findCgroups?.() ?? []).map((cgroup) => ({ cgroup, isTarget: true }));
    for (const { cgroup, isTarget } of [...found, ...candidatesIn(scopes)]) {
      there.add(cgroup.path);
      registry.update(cgroup, isTarget);
      collect();
    }
    for (const { cgroup: { path } } of registry.all()) if (!there.has(path)) registry.remove(path);
  };

  let stopping = false;
  const follow = (event: OomkitEvent) => {
    const scope = scopeOf(scopes, event.cgroup);
    const isGeneral = event.type === "summary" ? stopping : event.type === "degraded";
    if (isGeneral || (scope && event.type !== "summary")) emit(event);
    if (!scope || stopping) return;
    if (!["cgroup_created", "cgroup_removed", "limit_changed"].includes(event.type)) return;
    // Also of one that is told as removed: another may have its name already, and be guarded by it.
    const cgroup = openCgroup(scope.cgroup.hierarchy, event.cgroup);
    const isTarget = scope.pattern === undefined && event.cgroup === scope.cgroup.path;
    if (cgroup) registry.update(cgroup, isTarget);
    else registry.remove(event.cgroup);
  };
  const eventForwarder = createEventForwarder(() => scopes, follow, ended.reject);
  eventForwarder.renew();
  prepareSuspensions();
  updateAll();
  recording.begin();
  await registry.armed();
  tidyUp();
  for (const guarded of registry.all()) {
    for (
      const [requested, fallback, reason] of kills(policies) ? permissionWarnings(guarded) : []
    ) {
      reportFallback(guarded.cgroup.path, requested, fallback, reason);
    }
  }

  const checkHolds = createHoldWatchdog(options.holdTimeout, reenableOomKiller);
  const heartbeatMonitor = createHeartbeat(thread.beats);
  const refresh = () => {
    for (const { cgroup, isTarget, requested, settings } of registry.all()) {
      if (requested !== "notify") registry.update(cgroup, isTarget, settings.mode !== requested);
    }
  };
  /** What no notification tells: the limit of an ancestor, and a target that is made anew. */
  const checkUnnotified = () => {
    registry.retry();
    for (const { cgroup, limitOwner, isTarget } of registry.all()) {
      if (limitOwner.path !== cgroup.path) registry.update(cgroup, isTarget);
    }
    if (eventForwarder.isStale()) {
      eventForwarder.renew();
      updateAll();
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
    every(CHECK_EVERY_MS, heartbeatMonitor.check),
    every(CHECK_EVERY_MS, () => checkHolds(registry.all())),
    every(CHECK_EVERY_MS, checkUnnotified),
    every(CHECK_EVERY_MS, collect),
    every(REAPPLY_MODES_MS, refresh),
    every(options.rescanMs, updateAll),
    every(options.rearmMs, () => {
      for (const { cgroup, isTarget } of registry.all()) registry.update(cgroup, isTarget, true);
    }),
  ];

  return {
    guardedCgroups: registry.all,
    scheduling,
    sources: eventForwarder.sources,
    done: ended.promise,
    candidates: (guarded) => predictVictims(guarded, policies),
    async reload(next) {
      const isElsewhere = !sameScopes(scopes, next.scopes);
      ({ policies, scopes } = next);
      registry.reload(policies);
      if (isElsewhere) eventForwarder.renew();
      prepareSuspensions();
      updateAll();
      await registry.armed();
    },
    setPodLabels(labels) {
      policies = { ...policies, labels };
      registry.reload(policies);
      updateAll();
    },
    msSinceHeartbeat: heartbeatMonitor.msSinceHeartbeat,
    isAlive: heartbeatMonitor.isAlive,
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
          reportRestored(restored);
        },
        () => registry.close(),
        // Where it cannot be put back now, the minder tries once more afterwards.
        () => restoreGuard.end(isAllPutBack),
        () => backgroundActions.finish(),
        () => score.restore(),
        () => eventForwarder.stop(),
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
