/** What a guard does that may take its time: signals, reclaim and hooks. */

import { runHook } from "../act/hook.ts";
import { startReclaim } from "../act/reclaim.ts";
import { signalAll } from "../act/signal_all.ts";
import { readUsage } from "../cgroup/cgroup.ts";
import { wallClock } from "../kernel/clock.ts";
import { openDirectory } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import type { Level } from "../policy/bounds.ts";
import { type ActionBody, type Body, makeEvent, type Source } from "../report/event.ts";
import { environmentOf } from "../report/environment.ts";
import { toJson } from "../report/json.ts";
import { blowBody, emptyAction } from "./bodies.ts";
import type { Blow } from "./messages.ts";
import type { Action } from "./plan.ts";
import type { Entry } from "./roster.ts";

export interface Chores {
  /** Everything that is asked for at a level but the deadly. */
  atLevel(entry: Entry, level: Level, usage: number): void;
  /** Hooks of a level that is deadly, too. */
  afterBlow(entry: Entry, blow: Blow): void;
  /** Waits for hooks that still run, but not for long; then they are ended, and that is told. */
  finish(): Promise<void>;
}

/** Hooks at once: beyond it they are not run, and that is told. */
const MOST_HOOKS = 16;
/** A guard that has put everything back keeps nobody waiting for its end longer than this (milliseconds). */
const FINISH_MS = 2000;
/** And until what was killed then is gone. */
const KILLED_MS = 1500;
/** How long to wait for what the kernel can give back at a level that is not deadly (milliseconds). */
const RECLAIM_MS = 1000;
const RECLAIM_LOOK_MS = 50;

export function createChores(
  { hookTimeout }: { readonly hookTimeout: number },
  tell: (cgroup: string, source: Source, body: Body) => void,
): Chores {
  /**
   * Until when a process is not to get a signal again, and for which ward it got one, by pid and level: wards may overlap. How
   * often one of them asks for it is the sentry's to say, by its own clock.
   */
  const signalled = new Map<string, { readonly until: number; readonly ward: number }>();
  const running = new Set<Promise<void>>();
  const ending = new AbortController();

  const base = (entry: Entry, level: Level, usage: number, action: ActionBody["action"]) => ({
    ...emptyAction,
    action,
    level,
    mode: entry.terms.mode,
    dry_run: entry.plan.dryRun,
    usage_before: usage,
    limit: entry.terms.limit,
    threshold: entry.terms.bounds[level],
  });

  const sendSignal = (entry: Entry, level: Level, usage: number, signal: Deno.Signal) => {
    const now = performance.now();
    const { untouchable, rearming, dryRun } = entry.plan;
    for (const [key, { until }] of signalled) {
      if (now > until) signalled.delete(key);
    }
    const until = now + rearming.cooldown;
    const isSpared = (pid: number) =>
      untouchable.has(pid) || pid === 1 ||
      (signalled.get(`${pid} ${level}`)?.ward ?? entry.id) !== entry.id;
    const { pids, unhandled, refused } = signalAll(entry.cgroup, signal, isSpared, dryRun);
    for (const pid of pids) signalled.set(`${pid} ${level}`, { until, ward: entry.id });
    const nobody = unhandled > 0
      ? `none of its ${unhandled} processes handles ${signal}`
      : "there is nobody";
    tell(entry.cgroup.path, "none", {
      ...base(entry, level, usage, "signal"),
      signal,
      count: pids.length,
      outcome: pids.length === 0 ? "failed" : dryRun ? "would" : "signalled",
      reason: pids.length === 0 ? refused ?? nobody : refused ?? null,
    });
  };

  const reclaim = async (entry: Entry, level: Level, usage: number) => {
    const body = base(entry, level, usage, "reclaim");
    if (entry.plan.dryRun) return tell(entry.cgroup.path, "none", { ...body, outcome: "would" });
    const started = performance.now();
    const wanted = entry.terms.bounds[level];
    const refused = askBack(entry, usage - wanted);
    if (refused) {
      return tell(entry.cgroup.path, "none", { ...body, outcome: "failed", reason: refused });
    }
    let after = usage;
    while (performance.now() - started < RECLAIM_MS) {
      await new Promise((resolve) => setTimeout(resolve, RECLAIM_LOOK_MS));
      after = readUsage(entry.measured) ?? 0;
      if (after < wanted) break;
    }
    tell(entry.cgroup.path, "none", {
      ...body,
      outcome: "freed",
      usage_after: after,
      freed: Math.max(0, usage - after),
      freed_ms: Math.round(performance.now() - started),
    });
  };

  const hook = async (entry: Entry, level: Level, usage: number, command: string, about: Body) => {
    const body = base(entry, level, usage, "exec");
    const finish = (rest: Pick<ActionBody, "outcome" | "reason">) =>
      tell(entry.cgroup.path, "none", { ...body, ...rest });
    if (entry.plan.dryRun) return finish({ outcome: "would", reason: command });
    const at = wallClock();
    const event = makeEvent(at, entry.cgroup.path, "none", about);
    const end = await runHook(
      command,
      toJson(event),
      hookTimeout,
      ending.signal,
      environmentOf(event),
    );
    if ("failed" in end) finish({ outcome: "failed", reason: end.failed });
    else if (end.code !== 0) finish({ outcome: "failed", reason: `it exited with ${end.code}` });
    else finish({ outcome: "done", reason: null });
  };

  const start = (entry: Entry, level: Level, usage: number, work: () => Promise<void>) => {
    if (running.size >= MOST_HOOKS) {
      const reason = `${MOST_HOOKS} are under way already`;
      const body = base(entry, level, usage, "exec");
      return tell(entry.cgroup.path, "none", { ...body, outcome: "failed", reason });
    }
    const promise = work().finally(() => running.delete(promise));
    running.add(promise);
  };

  const runHooks = (entry: Entry, level: Level, usage: number, about: Body) => {
    for (const action of entry.plan.actions[level]) {
      if (action.kind !== "exec") continue;
      start(entry, level, usage, () => hook(entry, level, usage, action.command, about));
    }
  };

  return {
    atLevel(entry, level, usage) {
      const about: Body = {
        type: "level",
        level,
        usage,
        value: usage,
        base: entry.plan.base,
        threshold: entry.terms.bounds[level],
        limit: entry.terms.limit,
        rate: null,
      };
      for (const action of entry.plan.actions[level]) {
        if (action.kind === "signal") sendSignal(entry, level, usage, action.signal);
        if (action.kind === "reclaim") {
          start(entry, level, usage, () => reclaim(entry, level, usage));
        }
      }
      if (!isDeadly(entry.plan.actions[level])) runHooks(entry, level, usage, about);
    },
    afterBlow(entry, blow) {
      runHooks(entry, blow.level, blow.before, blowBody(entry, blow));
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

const isDeadly = (actions: readonly Action[]) =>
  actions.some(({ kind }) => kind === "process" || kind === "container");

function askBack({ measured }: Entry, bytes: number): string | undefined {
  try {
    using directory = openDirectory(measured.dir);
    return startReclaim(directory, bytes);
  } catch (error) {
    if (error instanceof SystemCallError) return `${error.call}: ${error.code}`;
    throw error;
  }
}
