/** What a guard does that may take its time: signals, reclaim and hooks. */

import { runHook } from "../control/hook.ts";
import { startReclaim } from "../control/reclaim.ts";
import { signalHandlingProcesses } from "../control/signal.ts";
import { readUsage } from "../cgroup/cgroup.ts";
import { wallClock } from "../kernel/clock.ts";
import { openDirectory } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import type { Level } from "../policy/levels.ts";
import {
  type ActionBody,
  type Body,
  type HookBody,
  makeEvent,
  type Source,
} from "../events/event.ts";
import { environmentOf } from "../events/environment.ts";
import { toJson } from "../events/json.ts";
import { killEvent } from "./events.ts";
import type { KillReport } from "./thread/protocol.ts";
import type { Action } from "./policy.ts";
import type { GuardedCgroup } from "./registry.ts";

export interface BackgroundActions {
  /** Everything that is asked for at a level but the deadly. */
  runLevelActions(guarded: GuardedCgroup, level: Level, usage: number): void;
  /** Hooks of a level that is deadly, too. */
  runKillHooks(guarded: GuardedCgroup, kill: KillReport): void;
  /** Waits for hooks that still run, but not for long; then they are ended, and that is told. */
  finish(): Promise<void>;
}

/** Hooks at once: beyond it they are not run, and that is told. */
const MAX_HOOKS = 16;
/** A guard that has put everything back keeps nobody waiting for its end longer than this (milliseconds). */
const FINISH_MS = 2000;
/** And until what was killed then is gone. */
const KILLED_MS = 1500;
/** How long to wait for what the kernel can give back at a level that is not deadly (milliseconds). */
const RECLAIM_MS = 1000;
const RECLAIM_LOOK_MS = 50;

export function createBackgroundActions(
  { hookTimeout }: { readonly hookTimeout: number },
  emitEvent: (cgroup: string, source: Source, body: Body) => void,
): BackgroundActions {
  /**
   * Until when a process is not to get a signal again, and for which ward it got one, by pid and level: wards may overlap. How
   * often one of them asks for it is the sentry's to say, by its own clock.
   */
  const signalled = new Map<string, { readonly until: number; readonly state: number }>();
  const running = new Set<Promise<void>>();
  const ending = new AbortController();

  const metric = <Action extends ActionBody["action"]>(
    guarded: GuardedCgroup,
    level: Level,
    usage: number,
    action: Action,
  ) => ({
    type: "action" as const,
    action,
    reason: null,
    level,
    mode: guarded.settings.mode,
    dry_run: guarded.policy.dryRun,
    usage_before: usage,
    limit: guarded.settings.limit,
    level_bytes: guarded.settings.levelBytes[level],
  });

  const sendSignal = (guarded: GuardedCgroup, level: Level, usage: number, signal: Deno.Signal) => {
    const now = performance.now();
    const { protectedPids, triggerPolicy, dryRun } = guarded.policy;
    for (const [key, { until }] of signalled) {
      if (now > until) signalled.delete(key);
    }
    const until = now + triggerPolicy.cooldown;
    const isSpared = (pid: number) =>
      protectedPids.has(pid) || pid === 1 ||
      (signalled.get(`${pid} ${level}`)?.state ?? guarded.id) !== guarded.id;
    const { pids, unhandled, refused } = signalHandlingProcesses(
      guarded.cgroup,
      signal,
      isSpared,
      dryRun,
    );
    for (const pid of pids) signalled.set(`${pid} ${level}`, { until, state: guarded.id });
    const nobody = unhandled > 0
      ? `none of its ${unhandled} processes handles ${signal}`
      : "there is nobody";
    emitEvent(guarded.cgroup.path, "none", {
      ...metric(guarded, level, usage, "signal"),
      signal,
      count: pids.length,
      outcome: pids.length === 0 ? "failed" : dryRun ? "dry_run" : "signalled",
      reason: pids.length === 0 ? refused ?? nobody : refused ?? null,
    });
  };

  const reclaim = async (guarded: GuardedCgroup, level: Level, usage: number) => {
    const body = metric(guarded, level, usage, "reclaim");
    if (guarded.policy.dryRun) {
      return emitEvent(guarded.cgroup.path, "none", { ...body, outcome: "dry_run" });
    }
    const started = performance.now();
    const requested = guarded.settings.levelBytes[level];
    const refused = askBack(guarded, usage - requested);
    if (refused) {
      return emitEvent(guarded.cgroup.path, "none", {
        ...body,
        outcome: "failed",
        reason: refused,
      });
    }
    let after = usage;
    while (performance.now() - started < RECLAIM_MS) {
      await new Promise((resolve) => setTimeout(resolve, RECLAIM_LOOK_MS));
      after = readUsage(guarded.limitOwner) ?? 0;
      if (after < requested) break;
    }
    emitEvent(guarded.cgroup.path, "none", {
      ...body,
      outcome: "reclaimed",
      usage_after: after,
      freed: Math.max(0, usage - after),
      freed_ms: Math.round(performance.now() - started),
    });
  };

  const hook = async (
    guarded: GuardedCgroup,
    level: Level,
    usage: number,
    command: string,
    about: Body,
  ) => {
    const body = metric(guarded, level, usage, "exec");
    const finish = (rest: Pick<HookBody, "outcome" | "reason">) =>
      emitEvent(guarded.cgroup.path, "none", { ...body, ...rest });
    if (guarded.policy.dryRun) return finish({ outcome: "dry_run", reason: command });
    const at = wallClock();
    const event = makeEvent(at, guarded.cgroup.path, "none", about);
    const end = await runHook(
      command,
      toJson(event),
      hookTimeout,
      ending.signal,
      environmentOf(event),
    );
    if ("failed" in end) finish({ outcome: "failed", reason: end.failed });
    else if (end.code !== 0) finish({ outcome: "failed", reason: `it exited with ${end.code}` });
    else finish({ outcome: "ok", reason: null });
  };

  const start = (
    guarded: GuardedCgroup,
    level: Level,
    usage: number,
    work: () => Promise<void>,
  ) => {
    if (running.size >= MAX_HOOKS) {
      const reason = `${MAX_HOOKS} are under way already`;
      const body = metric(guarded, level, usage, "exec");
      return emitEvent(guarded.cgroup.path, "none", { ...body, outcome: "failed", reason });
    }
    const promise = work().finally(() => running.delete(promise));
    running.add(promise);
  };

  const runHooks = (guarded: GuardedCgroup, level: Level, usage: number, about: Body) => {
    for (const action of guarded.policy.actions[level]) {
      if (action.kind !== "exec") continue;
      start(guarded, level, usage, () => hook(guarded, level, usage, action.command, about));
    }
  };

  return {
    runLevelActions(guarded, level, usage) {
      const about: Body = {
        type: "level_reached",
        level,
        usage,
        metric_value: usage,
        metric: guarded.policy.metric,
        level_bytes: guarded.settings.levelBytes[level],
        limit: guarded.settings.limit,
        rate: null,
      };
      for (const action of guarded.policy.actions[level]) {
        if (action.kind === "signal") sendSignal(guarded, level, usage, action.signal);
        if (action.kind === "reclaim") {
          start(guarded, level, usage, () => reclaim(guarded, level, usage));
        }
      }
      if (!kills(guarded.policy.actions[level])) runHooks(guarded, level, usage, about);
    },
    runKillHooks(guarded, kill) {
      runHooks(guarded, kill.level, kill.before, killEvent(guarded, kill));
    },
    async finish() {
      if (await areDone(running, FINISH_MS)) return;
      ending.abort("it still ran when the guard ended");
      await areDone(running, KILLED_MS);
    },
  };
}

async function areDone(running: Iterable<Promise<void>>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), ms);
  const done = Promise.all(running).then(() => true);
  return await Promise.race([done, late.promise]).finally(() => clearTimeout(timer));
}

const kills = (actions: readonly Action[]) =>
  actions.some(({ kind }) => kind === "process" || kind === "container");

function askBack({ limitOwner }: GuardedCgroup, bytes: number): string | undefined {
  try {
    using directory = openDirectory(limitOwner.dir);
    return startReclaim(directory, bytes);
  } catch (error) {
    if (error instanceof SystemCallError) return `${error.call}: ${error.code}`;
    throw error;
  }
}
