/** The actions that run in the background, on the main thread: signals, reclaim and hooks. */

import { readUsage } from "../cgroup/cgroup.ts";
import { failureOf, runHook } from "../control/hook.ts";
import { startReclaimAt } from "../control/reclaim.ts";
import { signalHandlingProcesses } from "../control/signal.ts";
import { environmentOf } from "../events/environment.ts";
import type { Body, KillBody, LevelReachedBody, OomkitEvent } from "../events/event.ts";
import { toJson } from "../events/json.ts";
import {
  ACTIONS,
  type BackgroundAction,
  killActionOf,
  type SignalName,
} from "../policy/actions.ts";
import type { Level } from "../policy/levels.ts";
import { delay, withDeadline } from "../timing.ts";
import { actionEvent, type ActionResult } from "./events.ts";
import type { GuardedCgroup } from "./registry.ts";

/** Reclaims and hooks at the same time; more are not started and reported as failed. */
const MAX_RUNNING = 16;
/** How long a guard that ends waits for its hooks before it kills them. */
const MAX_MS_TO_FINISH = 2000;
/** And then until the killed hooks have exited. */
const MAX_MS_AFTER_KILL = 1500;
/** How long to wait for what the kernel can reclaim at a level that does not kill. */
const MAX_MS_TO_RECLAIM = 1000;
const RECLAIM_POLL_MS = 50;

interface Run {
  readonly kind: BackgroundAction;
  readonly argument: string | undefined;
  readonly guarded: GuardedCgroup;
  readonly level: Level;
  /** Bytes, when the level was reached. */
  readonly usage: number;
  /** The event that led to it, for hooks. */
  readonly cause: OomkitEvent;
}

export class BackgroundActions {
  /**
   * For each pid and level: until when the process does not get the signal again, and which cgroup has sent it, since guarded
   * cgroups may overlap. How often one of them asks for it is decided by the monitor thread, by its clock.
   */
  readonly #signalled = new Map<string, { readonly until: number; readonly id: number }>();
  readonly #running = new Set<Promise<void>>();
  readonly #ending = new AbortController();

  readonly #runners: Readonly<Record<BackgroundAction, (run: Run) => void>> = {
    signal: (run) => this.#emitResult(run, this.#signal(run)),
    reclaim: (run) => this.#start(run, reclaim),
    exec: (run) => this.#start(run, (run) => this.#runHook(run)),
  };

  /** @param hookTimeout milliseconds. @param describe makes what a hook gets of an event. */
  constructor(
    readonly hookTimeout: number,
    readonly emitEvent: (cgroup: string, body: Body) => void,
    readonly describe: (event: OomkitEvent) => OomkitEvent,
  ) {}

  /** Runs the actions of a level. Those that run after a kill wait for {@link runKillHooks} if the level kills. */
  runLevelActions(guarded: GuardedCgroup, reached: OomkitEvent & LevelReachedBody): void {
    const { level, usage } = reached;
    this.#runAll("background", guarded, level, usage, reached);
    const isKilling = killActionOf(guarded.policy.actions[level]) !== undefined;
    if (!isKilling) this.#runAll("after_kill", guarded, level, usage, reached);
  }

  runKillHooks(guarded: GuardedCgroup, kill: OomkitEvent & KillBody): void {
    this.#runAll("after_kill", guarded, kill.level, kill.usage_before, kill);
  }

  /** Waits for running actions for a short time, then kills the hooks among them. */
  async finish(): Promise<void> {
    const isDone = async (ms: number) => {
      const done = Promise.all(this.#running).then(() => true);
      return await withDeadline(ms, done, () => false);
    };
    if (await isDone(MAX_MS_TO_FINISH)) return;
    this.#ending.abort("it still ran when the guard ended");
    await isDone(MAX_MS_AFTER_KILL);
  }

  #runAll(
    when: "background" | "after_kill",
    guarded: GuardedCgroup,
    level: Level,
    usage: number,
    cause: OomkitEvent,
  ): void {
    for (const { kind, argument } of guarded.policy.actions[level]) {
      if (!isBackgroundAction(kind) || ACTIONS[kind].runs !== when) continue;
      this.#runners[kind]({ kind, argument, guarded, level, usage, cause });
    }
  }

  #start(run: Run, work: (run: Run) => Promise<ActionResult>): void {
    if (this.#running.size >= MAX_RUNNING) {
      const reason = `${MAX_RUNNING} actions are running already`;
      return this.#emitResult(run, { outcome: "failed", reason });
    }
    const promise = work(run).then((result) => this.#emitResult(run, result))
      .finally(() => this.#running.delete(promise));
    this.#running.add(promise);
  }

  #emitResult({ kind, guarded, level, usage }: Run, result: ActionResult): void {
    this.emitEvent(guarded.cgroup.path, actionEvent(guarded, kind, level, usage, result));
  }

  #signal({ argument, guarded, level }: Run): ActionResult {
    const signal = argument as SignalName;
    const { id, cgroup, policy: { protectedPids, triggerPolicy, dryRun } } = guarded;
    const now = performance.now();
    for (const [key, { until }] of this.#signalled) {
      if (now > until) this.#signalled.delete(key);
    }
    const isExcluded = (pid: number) =>
      protectedPids.has(pid) || pid === 1 ||
      (this.#signalled.get(`${pid} ${level}`)?.id ?? id) !== id;
    const sent = signalHandlingProcesses(cgroup, signal, isExcluded, dryRun);
    const until = now + triggerPolicy.cooldown;
    for (const pid of sent.pids) this.#signalled.set(`${pid} ${level}`, { until, id });
    const count = sent.pids.length;
    if (count > 0) {
      const outcome = dryRun ? "dry_run" : "signalled";
      return { signal, count, outcome, reason: sent.refused ?? null };
    }
    const noneFound = sent.unhandled > 0
      ? `none of its ${sent.unhandled} processes handles ${signal}`
      : "there is no process to signal";
    return { signal, count, outcome: "failed", reason: sent.refused ?? noneFound };
  }

  async #runHook({ argument: command = "", guarded, cause }: Run): Promise<ActionResult> {
    if (guarded.policy.dryRun) return { outcome: "dry_run", reason: command };
    const event = this.describe(cause);
    const end = await runHook(
      command,
      toJson(event),
      this.hookTimeout,
      this.#ending.signal,
      environmentOf(event),
    );
    const reason = failureOf(end);
    return reason === undefined ? { outcome: "ok" } : { outcome: "failed", reason };
  }
}

function isBackgroundAction(kind: keyof typeof ACTIONS): kind is BackgroundAction {
  const { runs } = ACTIONS[kind];
  return runs === "background" || runs === "after_kill";
}

async function reclaim({ guarded, level, usage }: Run): Promise<ActionResult> {
  if (guarded.policy.dryRun) return { outcome: "dry_run" };
  const started = performance.now();
  const targetBytes = guarded.settings.levelBytes[level];
  const refused = startReclaimAt(guarded.limitOwner.dir, usage - targetBytes);
  if (refused) return { outcome: "failed", reason: refused };
  let after = usage;
  while (performance.now() - started < MAX_MS_TO_RECLAIM) {
    await delay(RECLAIM_POLL_MS);
    const read = readUsage(guarded.limitOwner);
    if (read === undefined) return { outcome: "failed", reason: "the cgroup was removed" };
    after = read;
    if (after < targetBytes) break;
  }
  return {
    outcome: "reclaimed",
    usage_after: after,
    freed: Math.max(0, usage - after),
    freed_ms: Math.round(performance.now() - started),
  };
}
