/**
 * A guard on the main thread: it finds the cgroups, arms them, runs the actions that are not urgent, and emits events. Everything
 * urgent happens in the monitor thread (core/guard/thread).
 */

import {
  type Cgroup,
  existingAncestorsOf,
  isThere,
  openCgroup,
  readUsage,
  tryReadSnapshot,
} from "../cgroup/cgroup.ts";
import { isInSubtree } from "../cgroup_path.ts";
import { Journal, type Restored, restoreStale } from "../control/journal.ts";
import { lowerOwnOomScoreAdj, type OwnOomScoreAdj } from "../control/oom_score_adj.ts";
import { lockProgramFiles } from "../control/program_files.ts";
import { type RestoreWatchdog, startRestoreWatchdog } from "../control/restore_watchdog.ts";
import { signalDenied } from "../control/signal.ts";
import {
  type Body,
  type CandidateJson,
  type DegradedCount,
  type EventOf,
  type LevelReachedBody,
  makeEvent,
  type OomkitEvent,
  type Source,
} from "../events/event.ts";
import { wallClock } from "../kernel/clock.ts";
import { actionText, mapActions } from "../policy/actions.ts";
import { workingSet } from "../policy/limits.ts";
import { dependOnLabels, type Labels } from "../policy/rules.ts";
import type { RecordSink } from "../record/format.ts";
import { type Fallback, FallbackReport } from "../watch/fallbacks.ts";
import type { WatchOptions } from "../watch/options.ts";
import { type Scope, scopeOf } from "../watch/scopes.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import { BackgroundActions } from "./background_actions.ts";
import { GarbageCollector } from "./garbage_collection.ts";
import { Heartbeat, MS_BETWEEN_HEARTBEAT_CHECKS } from "./heartbeat.ts";
import { HoldWatchdog, isHold } from "./hold_watchdog.ts";
import { MIN_MS_BETWEEN_CHECKS, PeriodicChecks } from "./periodic_checks.ts";
import { kills, maySuspend, type PolicySet } from "./policy.ts";
import { GuardRecording } from "./record.ts";
import { type GuardedCgroup, GuardRegistry } from "./registry.ts";
import { killsFor } from "./coverage.ts";
import { candidatesIn, pathIn, sameScopes } from "./targets.ts";
import { GuardSummary } from "./summary.ts";
import { type CgroupReport, type MonitorThread, startMonitorThread } from "./thread/handle.ts";
import type { GuardSettings } from "./thread/protocol.ts";
import { predictVictims } from "./thread/victim_selection.ts";

export interface GuardOptions {
  readonly policies: PolicySet;
  readonly scopes: readonly Scope[];
  /** For OOMHero's mode: the cgroups of all visible processes, instead of scopes. */
  readonly findCgroups?: () => readonly Cgroup[];
  /** Milliseconds between two walks over all targets. */
  readonly rescanMs: number;
  /** Milliseconds until everything is armed again. */
  readonly rearmMs: number;
  /** Milliseconds that a hook may take. */
  readonly hookTimeout: number;
  /** Adds the sentence to the event that a hook gets. */
  readonly describe?: (event: OomkitEvent) => OomkitEvent;
  /** Milliseconds that allocators may wait under `hold` before the kernel's OOM killer is enabled again. */
  readonly holdTimeout: number;
  readonly stateDirectory: string;
  /** The command that restores this guard's changes when it is killed. */
  readonly restoreCommand: readonly string[];
  /** Gets the samples and decisions of the monitor thread; the events are recorded by the caller. */
  readonly recordSink?: RecordSink;
}

type Emit = (event: OomkitEvent, stat?: string) => void;

/** Other programs' changes of memory.high and memory.oom_control are found by reading. */
const REAPPLY_MODES_EVERY_MS = 10_000;
/** For what is also notified of (milliseconds). */
const MS_BETWEEN_CHECKS_AT_REST = 10_000;
/** Nearly the lowest: the kernel kills almost everything else first. */
const OWN_OOM_SCORE_ADJ = -900;

/**
 * Resolves when everything is guarded.
 *
 * @param emit gets memory.stat along with each kill.
 * Throws {@link OomkitError} when the monitor thread cannot run, or changes cannot be recorded where a mode needs it.
 */
export async function startGuard(options: GuardOptions, emit: Emit): Promise<Guard> {
  const restored = restoreStale(options.stateDirectory);
  const guard = new Guard(options, emit);
  await guard.start(restored);
  return guard;
}

export class Guard {
  #policies: PolicySet;
  #scopes: readonly Scope[];
  readonly #failed = Promise.withResolvers<never>();
  readonly #recording: GuardRecording;
  readonly #journal: Journal;
  #restoreWatchdog: RestoreWatchdog | undefined;
  readonly #thread: MonitorThread;
  readonly #registry: GuardRegistry;
  readonly #backgroundActions: BackgroundActions;
  readonly #kernelEvents: KernelEvents;
  readonly #summary = new GuardSummary();
  readonly #heartbeat: Heartbeat;
  readonly #holdWatchdog: HoldWatchdog;
  #garbageCollector: GarbageCollector | undefined;
  /** By id: cgroups in which no process could be killed, so that memory.high is not set as long as they are full. */
  readonly #unthrottled = new Set<number>();
  /** Paths of limit owners in which the last attempt found no process that may be killed. */
  readonly #withoutVictims = new Set<string>();
  readonly #fallbacks: FallbackReport;
  #ownOomScoreAdj: OwnOomScoreAdj | undefined;
  #scheduling = "";
  #isLocked = false;
  #checks: PeriodicChecks | undefined;
  /** Something has happened since garbage was collected last. */
  #hasWorked = false;
  /** A target may have been removed or created since the kernel's events were renewed. */
  #mayHaveNewTargets = true;
  /** The limit of a guarded cgroup is that of an ancestor. */
  #hasLimitsAbove = false;
  #mayHaveNewLimitsAbove = false;
  /** The monitor thread takes commands. */
  #isReady = false;
  #isStopping = false;
  /** When it was stopped. */
  #guardedCount = 0;

  constructor(private readonly options: GuardOptions, emit: Emit) {
    this.#policies = options.policies;
    this.#scopes = options.scopes;
    // Awaited by the caller only once the guard has started.
    this.#failed.promise.catch(() => {});
    const fail = this.#failed.reject;
    this.#recording = new GuardRecording(options.recordSink, options.policies, emit);
    this.#fallbacks = new FallbackReport((...event) => this.#emitEvent(...event));
    // Before the first change.
    this.#journal = new Journal(options.stateDirectory, () => this.#startRestoreWatchdog());
    this.#thread = startMonitorThread(
      options.policies,
      options.stateDirectory,
      (report) => this.#onReport(report),
      this.#recording.samples,
    );
    this.#thread.failed.catch(fail);
    this.#heartbeat = new Heartbeat(this.#thread.beats);
    this.#holdWatchdog = new HoldWatchdog(
      options.holdTimeout,
      this.#thread.beats,
      () => this.#kernelEvents.notifiesOoms(),
    );
    this.#registry = new GuardRegistry({
      policies: options.policies,
      epoll: this.#thread.epoll,
      journal: this.#journal,
      send: (command) => {
        this.#recording.command(command);
        this.#thread.send(command);
      },
      onArmed: (guarded) => this.#emitEvent(guarded.cgroup.path, "none", guardArmedEvent(guarded)),
      onRestored: (restored) => this.#reportRestored(restored),
      onFallback: (cgroup, fallback) => this.#reportFallback(cgroup.path, fallback),
      onFallbacksEnd: (path, requested) => {
        this.#fallbacks.end(path, requested);
        if (requested === undefined) this.#withoutVictims.delete(path);
      },
      onError: fail,
    });
    this.#backgroundActions = new BackgroundActions(
      options.hookTimeout,
      (cgroup, body) => this.#emitEvent(cgroup, "none", body),
      options.describe ?? ((event) => event),
    );
    this.#kernelEvents = new KernelEvents(
      () => this.#scopes,
      this.#fallbacks,
      (event) => this.#onKernelEvent(event),
      {
        onTargetsChanged: () => {
          this.#mayHaveNewTargets = true;
          this.#wakeChecks();
        },
        afterWake: () => {
          this.#garbageCollector?.collect();
          if (!this.#hasLimitsAbove) return;
          this.#mayHaveNewLimitsAbove = true;
          this.#wakeChecks();
        },
      },
      fail,
    );
  }

  /** To be called once. @param restored what earlier guards had left. */
  async start(restored: readonly Restored[]): Promise<void> {
    this.#reportRestored(restored);
    this.#ownOomScoreAdj = lowerOwnOomScoreAdj(OWN_OOM_SCORE_ADJ);
    const { refused } = this.#ownOomScoreAdj;
    if (refused && kills(this.#policies)) {
      this.#reportFallback("/", {
        requested: `oom_score_adj ${OWN_OOM_SCORE_ADJ}`,
        fallback: "unchanged",
        reason: `could not lower its own oom_score_adj (needs CAP_SYS_RESOURCE): ${refused}; ` +
          "the kernel may kill the guard",
      });
    }
    // Takes about as long as the warm-up of the monitor thread, which runs meanwhile.
    this.#kernelEvents.renew();
    await this.#waitForThread();
    this.#garbageCollector = new GarbageCollector();
    this.#prepareSuspensionLog();
    this.#updateAll();
    this.#recording.begin();
    await this.#registry.armed();
    this.#lockProgramFiles();
    this.#garbageCollector.tidyUp();
    if (kills(this.#policies)) {
      for (const guarded of this.#registry.all()) {
        for (const warning of permissionWarnings(guarded)) {
          this.#reportFallback(guarded.cgroup.path, warning);
        }
      }
    }
    this.#startChecks();
  }

  /** A cgroup that runs out of memory leaves other memory to the guard, a machine does not. */
  #lockProgramFiles(): void {
    const machine = this.#registry.all().find(({ cgroup }) =>
      cgroup.machine && cgroup.hierarchy.kernel
    );
    if (this.#isLocked || machine === undefined) return;
    this.#isLocked = true;
    const refused = lockProgramFiles();
    if (refused === undefined) return;
    this.#reportFallback(machine.cgroup.path, {
      requested: "program locked in memory",
      fallback: "none",
      reason:
        `${refused} (needs CAP_IPC_LOCK, or 128 MiB of RLIMIT_MEMLOCK); when memory runs out ` +
        "the guard may have to wait for the disk",
    });
  }

  async #waitForThread(): Promise<void> {
    try {
      const { scheduling, warmedUp } = await this.#thread.ready;
      this.#scheduling = scheduling;
      this.#isReady = true;
      if (warmedUp) return;
    } catch (error) {
      await this.#kernelEvents.stop();
      throw error;
    }
    const reason = "no cgroup can be read";
    this.#reportFallback("/", { requested: "warm-up", fallback: "none", reason });
  }

  readonly guardedCgroups = (): readonly GuardedCgroup[] => this.#registry.all();

  /** The scheduling class of the monitor thread, for the start-up line. */
  get scheduling(): string {
    return this.#scheduling;
  }

  /** The sources of the kernel's own events. */
  readonly sources = (): readonly string[] => this.#kernelEvents.sources;

  /** Mechanisms that are not available. */
  readonly fallbackCounts = (): DegradedCount[] => this.#fallbacks.counts();

  /** How many cgroups lack each mechanism now. */
  readonly lacking = (): ReadonlyMap<string, number> => this.#fallbacks.present();

  /** Whether a policy kills for the limit at which the kernel has killed. */
  readonly killsFor = (event: EventOf<"oom_kill">): boolean =>
    !this.#withoutVictims.has(event.limit_owner ?? event.cgroup) &&
    killsFor(event, this.#scopes, this.#policies, this.#registry.all());

  /** Rejects when the guard cannot go on. */
  get done(): Promise<never> {
    return this.#failed.promise;
  }

  /** The victims that would be chosen in it now, in their order, and the excluded processes after them. */
  candidates(guarded: GuardedCgroup): readonly CandidateJson[] {
    return predictVictims(guarded, this.#policies);
  }

  async reload({ policies, scopes }: Pick<GuardOptions, "policies" | "scopes">): Promise<void> {
    const isElsewhere = !sameScopes(this.#scopes, scopes);
    this.#policies = policies;
    this.#scopes = scopes;
    this.#registry.reload(policies);
    if (isElsewhere) this.#renewKernelEvents();
    this.#prepareSuspensionLog();
    this.#updateAll();
    await this.#registry.armed();
    this.#lockProgramFiles();
  }

  /** Pods were created or removed, or their labels have changed, which concerns few guards: a walk over all cgroups takes a while. */
  setPodLabels(labels: Labels): void {
    if (!dependOnLabels(this.#policies.rules)) return;
    this.#policies = { ...this.#policies, labels };
    this.#registry.reload(this.#policies);
    this.#updateAll();
  }

  readonly msSinceHeartbeat = (): number => this.#heartbeat.msSinceHeartbeat();

  /** Whether the monitor thread has run since the last call. */
  readonly isAlive = (): boolean => this.#heartbeat.isAlive();

  /** Restores everything, and ends with the summary. To be called once. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#guardedCount = this.#registry.all().length;
    this.#checks?.stop();
    let isAllRestored = true;
    await runAll([
      () => this.#thread.stop(),
      () => this.#recording.stop(),
      () => {
        const restored = this.#journal.restore();
        isAllRestored = restored.every(({ outcome }) => outcome !== "failed");
        this.#reportRestored(restored);
      },
      () => this.#registry.close(),
      // Where something could not be restored, the watchdog tries once more after the guard has ended.
      () => isAllRestored ? this.#restoreWatchdog?.dismiss() : undefined,
      () => this.#backgroundActions.finish(),
      () => this.#ownOomScoreAdj?.restore(),
      () => this.#kernelEvents.stop(),
      () => this.#emitSummary(),
      () => this.#thread.close(),
    ]);
  }

  #emitSummary(): void {
    const paths = new Set(this.#scopes.map(({ cgroup }) => cgroup.path));
    const [path] = paths.size === 1 ? paths : [this.#scopes[0]?.cgroup.hierarchy.root];
    const body = this.#summary.body(this.#guardedCount, this.#fallbacks.counts());
    this.#emitEvent(path ?? "/", "none", body);
  }

  #startRestoreWatchdog(): void {
    if (this.#restoreWatchdog) return;
    const started = startRestoreWatchdog(this.options.restoreCommand);
    if ("pid" in started) this.#restoreWatchdog = started;
    else {
      this.#reportFallback("/", {
        requested: "restore watchdog",
        fallback: "restore by the next guard",
        reason: started.failed,
      });
    }
  }

  /** To be called before the monitor thread may suspend processes under these policies. */
  #prepareSuspensionLog(): void {
    if (!maySuspend(this.#policies)) return;
    this.#startRestoreWatchdog();
    const reason = this.#journal.prepareSuspensionLog();
    if (reason === undefined) return;
    this.#reportFallback("/", {
      requested: "record of suspended processes",
      fallback: "none",
      reason,
    });
  }

  #updateAll(): void {
    const found = (this.options.findCgroups?.() ?? []).map((cgroup) => ({
      cgroup,
      isTarget: true,
    }));
    const present = new Set<string>();
    for (const { cgroup, isTarget } of [...found, ...candidatesIn(this.#scopes)]) {
      present.add(cgroup.path);
      this.#registry.update(cgroup, isTarget);
      this.#garbageCollector?.collect();
    }
    for (const { cgroup: { path } } of this.#registry.all()) {
      if (!present.has(path)) this.#registry.remove(path);
    }
    this.#wakeChecks();
  }

  /** What notifications do not cover, or not in time. */
  #startChecks(): void {
    const every = (ms: number, run: () => void) => ({ run, interval: () => ms });
    const checks = [
      every(MS_BETWEEN_HEARTBEAT_CHECKS, () => this.#heartbeat.check()),
      {
        run: () => this.#reenableWhereHeldTooLong(),
        interval: () => this.#holdWatchdog.interval(this.#registry.all()),
      },
      {
        run: () => this.#checkUnnotified(),
        interval: () => this.#hasUnnotified() ? MIN_MS_BETWEEN_CHECKS : MS_BETWEEN_CHECKS_AT_REST,
      },
      {
        run: () => {
          this.#hasWorked = false;
          this.#garbageCollector?.collect();
        },
        interval: () => this.#hasWorked ? MIN_MS_BETWEEN_CHECKS : MS_BETWEEN_CHECKS_AT_REST,
      },
      every(REAPPLY_MODES_EVERY_MS, () => this.#reapplyModes()),
      every(this.options.rescanMs, () => this.#updateAll()),
      every(this.options.rearmMs, () => {
        for (const { cgroup, isTarget } of this.#registry.all()) {
          this.#registry.update(cgroup, isTarget, true);
        }
      }),
    ];
    this.#checks = new PeriodicChecks(checks, this.#failed.reject);
  }

  #wakeChecks(): void {
    this.#hasWorked = true;
    this.#checks?.wake();
  }

  #reenableWhereHeldTooLong(): void {
    const reason = `its allocators have been waiting for more than ${this.options.holdTimeout} ms`;
    for (const guarded of this.#holdWatchdog.check(this.#registry.all())) {
      this.#registry.leaveToKernel(guarded.id);
      this.#reenableOomKiller(guarded, reason);
    }
  }

  #reapplyModes(): void {
    for (const guarded of this.#registry.all()) {
      const { id, cgroup, limitOwner, isTarget, requested, settings } = guarded;
      // No notification of huge pages, hot-plugged memory and swap.
      if (cgroup.machine) {
        this.#registry.update(cgroup, isTarget);
        continue;
      }
      const isApplied = settings.mode === requested;
      if (isApplied && this.#registry.isModeInPlace(guarded)) continue;
      if (this.#staysUnthrottled(id, limitOwner, settings)) continue;
      this.#registry.update(cgroup, isTarget, !isApplied);
    }
  }

  #staysUnthrottled(id: number, limitOwner: Cgroup, { levelBytes }: GuardSettings): boolean {
    if (!this.#unthrottled.has(id)) return false;
    const isFull = (readUsage(limitOwner) ?? 0) >= levelBytes.critical;
    if (!isFull) this.#unthrottled.delete(id);
    return isFull;
  }

  /** Whether there may be changes that no event reports: of the limit of an ancestor, or of a target. */
  #hasUnnotified(): boolean {
    const limitedAbove = this.#registry.all().filter(isLimitedAbove);
    this.#hasLimitsAbove = limitedAbove.length > 0;
    return this.#mayHaveNewTargets || this.#mayHaveNewLimitsAbove ||
      this.#kernelEvents.mayMissTargets || this.#registry.hasLost ||
      limitedAbove.some(({ cgroup: { path } }) => !this.#kernelEvents.notifiesLimitsAbove(path));
  }

  #checkUnnotified(): void {
    this.#mayHaveNewTargets = false;
    this.#mayHaveNewLimitsAbove = false;
    this.#registry.forgetRemoved();
    this.#registry.retry();
    for (const guarded of this.#registry.all().filter(isLimitedAbove)) {
      const { id, cgroup, limitOwner, isTarget, settings } = guarded;
      // An update would set memory.high again.
      if (!this.#staysUnthrottled(id, limitOwner, settings)) {
        this.#registry.update(cgroup, isTarget);
      }
    }
    if (this.#kernelEvents.isStale()) {
      this.#renewKernelEvents();
      this.#updateAll();
    }
  }

  /** Looks once more soon: a target may be created before that is notified. */
  #renewKernelEvents(): void {
    this.#kernelEvents.renew();
    this.#mayHaveNewTargets = true;
  }

  #onReport(report: CgroupReport): void {
    this.#wakeChecks();
    const guarded = report.type === "kill"
      ? this.#registry.getIncludingRemoved(report.id)
      : this.#registry.get(report.id);
    if (guarded === undefined) return;
    const { path } = guarded.cgroup;
    if (isHold(guarded.settings.mode)) this.#holdWatchdog.suspect(path);
    const emit = <B extends Body>(body: B, stat?: string) =>
      this.#emitEvent(path, report.wakeSource, body, report.at, stat);
    switch (report.type) {
      case "level_reached":
        return this.#backgroundActions.runLevelActions(
          guarded,
          emit({ ...report.body, working_set: workingSetAt(report.body, guarded.limitOwner) }),
        );
      case "kill": {
        const { kill } = report;
        const event = emit(kill, report.stat);
        const hasNoVictim = kill.outcome === "failed" && kill.victim === null;
        if (hasNoVictim) this.#withoutVictims.add(guarded.limitOwner.path);
        else this.#withoutVictims.delete(guarded.limitOwner.path);
        if (kill.outcome !== "failed") this.#holdWatchdog.restart(report.id);
        // A failure with a victim is of this process alone: another one was killed.
        if (hasNoVictim && this.#registry.get(guarded.id)) {
          this.#leaveToKernel(guarded, kill.reason ?? "no process could be killed");
        }
        return this.#backgroundActions.runKillHooks(guarded, event);
      }
      case "event":
        return void emit(report.body);
      case "fallback": {
        const { requested, fallback, reason, affects } = report;
        // The message of a failed system call has the path of its file.
        const cause = `${requested} ${reason.replaceAll(guarded.limitOwner.dir, "")}`;
        if (affects === "lost_cgroup") this.#registry.remove(path);
        const affected = affects === "all" ? "/" : path;
        return this.#reportFallback(affected, { requested, fallback, reason, cause });
      }
      case "throttle":
        return this.#registry.setThrottleLifted(guarded, report.isLifted);
      case "unarmed_reached":
        return this.#registry.armRest(guarded);
      case "gone":
        return this.#registry.markLost(guarded);
    }
  }

  /** Undoes what the mode has changed: with no process to kill it only makes the allocators wait. */
  #leaveToKernel(guarded: GuardedCgroup, reason: string): void {
    const { mode } = guarded.settings;
    if (isHold(mode)) return this.#reenableOomKiller(guarded, reason);
    if (mode !== "throttle") return;
    this.#unthrottled.add(guarded.id);
    this.#registry.leaveToKernel(guarded.id);
    this.#reportRestored(this.#journal.restore(guarded.limitOwner.dir, "memory.high"));
    const fallback = "the kernel's OOM killer";
    this.#reportFallback(guarded.cgroup.path, { requested: mode, fallback, reason });
  }

  /** In mode `hold-near-limit` the monitor thread does it. */
  #reenableOomKiller(
    { cgroup: { path }, limitOwner, settings }: GuardedCgroup,
    reason: string,
  ): void {
    this.#reportRestored(this.#journal.restore(limitOwner.dir, "memory.oom_control"));
    const fallback = "the kernel's OOM killer";
    const { mode: requested } = settings;
    // A change of this cgroup, not a mechanism that all lack.
    const cause = `${requested} ${path} ${reason}`;
    this.#reportFallback(path, { requested, fallback, reason, cause });
  }

  #onKernelEvent(event: OomkitEvent): void {
    this.#wakeChecks();
    if (event.type === "summary") return this.#summary.addWatch(event);
    if (event.type === "oom") this.#holdWatchdog.suspect(event.cgroup);
    this.#recording.emit(event);
    // The first walk comes later.
    if (!this.#isReady || this.#isStopping) return;
    if (!["cgroup_created", "cgroup_removed", "limit_changed"].includes(event.type)) return;
    const scope = scopeOf(this.#scopes, event.cgroup);
    // The cgroup that is charged for a target is watched, but not guarded.
    if (scope === undefined) return;
    // Also after a removal: a new cgroup may have the same path already.
    if (scope.cgroup.machine) return;
    const cgroup = openCgroup(scope.cgroup.hierarchy, event.cgroup);
    const isTarget = scope.pattern === undefined && event.cgroup === scope.cgroup.path;
    if (cgroup) this.#registry.update(cgroup, isTarget);
    else this.#registry.remove(event.cgroup);
  }

  #emitEvent<B extends Body>(
    cgroup: string,
    source: Source,
    body: B,
    at = wallClock(),
    stat?: string,
  ): OomkitEvent & B {
    if (body.type === "action") this.#summary.addAction(cgroup, body);
    const event = makeEvent(at, cgroup, source, body) as OomkitEvent & B;
    this.#recording.emit(event, stat);
    return event;
  }

  #reportFallback(cgroup: string, fallback: Fallback): void {
    this.#fallbacks.report(cgroup, fallback);
  }

  /** That victims can only be selected among the others. */
  reportHiddenProcesses(cgroup: string, reason: string): void {
    const [requested, fallback] = ["victims of all processes", "victims of the visible processes"];
    this.#reportFallback(cgroup, { requested, fallback, reason, cause: requested });
  }

  #reportRestored(restored: readonly Restored[]): void {
    for (const { dir, file, set, before, outcome, reason = null } of restored) {
      const body: Body = { type: "restored", file, set, before, outcome, reason };
      this.#emitEvent(pathIn(this.#scopes, dir), "none", body);
    }
  }
}

/** Of the usage at which the level was reached. The monitor thread reads the working set only where the levels are of it. */
function workingSetAt({ metric, metric_value, usage }: LevelReachedBody, limitOwner: Cgroup) {
  if (metric === "working-set") return metric_value;
  return workingSet({ ...tryReadSnapshot(limitOwner, ["memory.stat"]), usage }) ?? null;
}

const isLimitedAbove = ({ cgroup, limitOwner }: GuardedCgroup): boolean =>
  limitOwner.path !== cgroup.path;

/** Runs the steps one after the other, whichever of them fails, and then throws the first error. */
export async function runAll(steps: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

/** What limits a guard that kills there. */
function permissionWarnings(
  { cgroup, limitOwner, settings: { mode }, policy: { protectedPids } }: GuardedCgroup,
): Fallback[] {
  const { own } = cgroup.hierarchy;
  const warnings: Fallback[] = [];
  if (mode === "throttle" && own !== undefined && isInSubtree(own, limitOwner.path)) {
    warnings.push({
      requested: "guard outside the throttled cgroup",
      fallback: "guard inside it",
      reason: "oomkit runs in the cgroup and is throttled too when it needs memory",
    });
  }
  const reason = signalDenied(cgroup, protectedPids);
  if (reason) {
    const requested = "kill processes";
    warnings.push({ requested, fallback: "none", reason, cause: requested });
  }
  return warnings;
}

function guardArmedEvent({ limitOwner, settings, policy }: GuardedCgroup): Body {
  return {
    type: "guard_armed",
    rule: policy.rule ?? null,
    limit: settings.limit,
    // No cgroup sets the machine's memory as its limit.
    limit_owner: limitOwner.machine || settings.limit === limitOwner.hierarchy.machineBytes
      ? null
      : limitOwner.path,
    ...settings.levelBytes,
    metric: policy.metric,
    mode: settings.mode,
    actions: mapActions(policy.actions, actionText),
    dry_run: policy.dryRun,
  };
}

/**
 * The kernel's own events in the scopes, from which the guard also learns of created and removed cgroups and of limits. A watch ends
 * with its targets; a guard waits until they are created again, as the cgroup of a service is.
 */
class KernelEvents {
  #watching: Watching | undefined;
  #existing: readonly Scope[] = [];
  /** Targets that did not exist, and what of the cgroups above them did. */
  #awaited: readonly Cgroup[] = [];
  #aboveAwaited = "";
  readonly #ending = new Set<Promise<unknown>>();
  sources: readonly string[] = [];

  constructor(
    readonly scopes: () => readonly Scope[],
    readonly fallbacks: FallbackReport,
    readonly onEvent: (event: OomkitEvent) => void,
    readonly hooks: Pick<WatchOptions, "onTargetsChanged" | "afterWake">,
    readonly onError: (error: unknown) => void,
  ) {}

  /** Whether there is an event `oom` at each OOM. */
  readonly notifiesOoms = (): boolean => this.#watching?.notifiesOoms() ?? false;

  readonly notifiesLimitsAbove = (path: string): boolean =>
    this.#watching?.notifiesLimitsAbove(path) ?? false;

  /** Not all targets existed when it was renewed, and nothing notifies of their creation. */
  get mayMissTargets(): boolean {
    return this.#awaited.length > 0 && !this.#watching?.notifiesAwaited();
  }

  /** A target, or a cgroup above one that is awaited, was removed or created again. */
  isStale(): boolean {
    return existingScopes(this.scopes()).length !== this.#existing.length ||
      !this.#existing.every(({ cgroup }) => isThere(cgroup)) ||
      inodesAbove(this.#awaited) !== this.#aboveAwaited;
  }

  renew(): void {
    this.#end();
    const scopes = this.scopes();
    this.#existing = existingScopes(scopes);
    const existing = new Set(this.#existing.map(({ cgroup: { path } }) => path));
    this.#awaited = scopes.map(({ cgroup }) => cgroup).filter(({ path }) => !existing.has(path));
    this.#aboveAwaited = inodesAbove(this.#awaited);
    if (scopes.length === 0) return;
    this.#watching = startWatch({
      scopes: this.#existing,
      awaited: this.#awaited,
      fallbacks: this.fallbacks,
      thresholds: [],
      pressureLevels: [],
      psi: [],
      ...this.hooks,
    }, this.onEvent);
    this.sources = this.#watching.sources;
    this.#watching.done.catch(this.onError);
  }

  /** Ends with the summary. */
  async stop(): Promise<void> {
    this.#end();
    await Promise.all(this.#ending);
  }

  #end(): void {
    if (this.#watching === undefined) return;
    const ended = this.#watching.stop().catch(this.onError)
      .finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
    this.#watching = undefined;
  }
}

/** The scopes with cgroups that exist now. */
function existingScopes(scopes: readonly Scope[]): Scope[] {
  return scopes.flatMap((scope) => {
    const { hierarchy, path } = scope.cgroup;
    const cgroup = openCgroup(hierarchy, path);
    return cgroup === undefined ? [] : [{ ...scope, cgroup }];
  });
}

/** Of the existing cgroups above these, which may not exist themselves. */
const inodesAbove = (cgroups: readonly Cgroup[]): string =>
  cgroups.map((each) => existingAncestorsOf(each).map(({ inode }) => inode).join()).join(" ");
