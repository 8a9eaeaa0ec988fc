/**
 * The main thread's part of a guard: it finds the cgroups, arms them, does what is not urgent, and tells. What is urgent is
 * the sentry's, in a thread of its own.
 */

import { openJournal, type Restored, restoreLeftovers } from "../act/journal.ts";
import { type Minder, startMinder } from "../act/minder.ts";
import { setOwnScore } from "../act/own_score.ts";
import { type Cgroup, isThere, openCgroup, readControl, walk } from "../cgroup/cgroup.ts";
import { openEpoll } from "../kernel/epoll.ts";
import { type Body, makeEvent, type OomkitEvent, type Source } from "../report/event.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import { blowBody, guardingBody, letGoBody, levelBody, reclaimedBody } from "./bodies.ts";
import { createChores } from "./chores.ts";
import type { Message, Order } from "./messages.ts";
import { deadlyLevel, type GuardPlan, type Mode } from "./plan.ts";
import { createRoster, type Entry } from "./roster.ts";

/** A part of the hierarchy in which cgroups are guarded. */
export interface Scope {
  readonly cgroup: Cgroup;
  /** Also everything beneath, and what appears there later; of a glob, what fits it. */
  readonly recursive: boolean;
  readonly pattern?: RegExp;
}

export interface GuardOptions {
  readonly plan: GuardPlan;
  readonly mode: Mode | "auto";
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
}

export interface Guarding {
  readonly entries: readonly Entry[];
  /** For the start-up line. */
  readonly scheduling: string;
  readonly sources: readonly string[];
  /** Resolves when nothing is left that could be guarded; rejects when the guard cannot go on. */
  readonly done: Promise<void>;
  /** Whether the sentry has turned since this was asked last. */
  isAlive(): boolean;
  /** Puts everything back, and ends with the summary. */
  stop(): Promise<void>;
}

const STOP_WITHIN_MS = 2000;
const WATCHDOG_MS = 200;

/**
 * Guards from the moment that it resolves.
 *
 * @param emit gets memory.stat along with each kill.
 */
export async function startGuard(
  options: GuardOptions,
  emit: (event: OomkitEvent, stat?: string) => void,
): Promise<Guarding> {
  const { plan, scopes } = options;
  const ended = Promise.withResolvers<void>();
  const tell = (cgroup: string, source: Source, body: Body, at?: number, stat?: string) =>
    emit(makeEvent(at ?? performance.timeOrigin + performance.now(), cgroup, source, body), stat);
  const tellRestored = (restored: readonly Restored[]) => {
    for (const { dir, file, set, before, outcome, reason } of restored) {
      tell(pathOf(dir), "none", {
        type: "restored",
        file,
        set,
        before,
        outcome,
        reason: reason ?? null,
      });
    }
  };
  const pathOf = (dir: string) => {
    const mount = scopes[0]?.cgroup.hierarchy.mount ?? "";
    return dir.startsWith(`${mount}/`) ? dir.slice(mount.length) : dir;
  };
  tellRestored(restoreLeftovers(options.stateFolder));

  const degraded = new Set<string>();
  const refuse = (cgroup: string, wanted: string, using: string, reason: string) => {
    const key = `${cgroup} ${wanted} ${reason}`;
    if (!degraded.has(key)) tell(cgroup, "none", { type: "degraded", wanted, using, reason });
    degraded.add(key);
  };

  const epoll = openEpoll();
  const heartbeat = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(sentryScript(), import.meta.url), { type: "module" });
  const order = (order: Order) => {
    worker.postMessage(order);
    epoll.wake();
  };
  let minder: Minder | undefined;
  const files = openJournal(options.stateFolder);
  const journal = {
    ...files,
    change(...change: Parameters<typeof files.change>) {
      minder ??= startMinder(options.release);
      return files.change(...change);
    },
  };
  const roster = createRoster({
    ...options,
    epoll,
    journal,
    order,
    tell: (entry) => tell(entry.cgroup.path, "none", guardingBody(entry, plan)),
    refuse: (cgroup, ...rest) => refuse(cgroup.path, ...rest),
  });
  const chores = createChores(options, tell);

  const ready = Promise.withResolvers<Message & { say: "ready" }>();
  const stopped = Promise.withResolvers<void>();
  worker.onerror = (event) => {
    event.preventDefault();
    const error = new Error(`the sentry failed: ${event.message}`);
    ready.reject(error);
    ended.reject(error);
    stopped.resolve();
  };
  worker.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.say === "ready") return ready.resolve(data);
    if (data.say === "stopped") return stopped.resolve();
    const entry = roster.get(data.id);
    if (entry === undefined) return;
    const { path } = entry.cgroup;
    switch (data.say) {
      case "level":
        tell(path, data.wake, levelBody(entry, data, plan), data.at);
        return chores.atLevel(entry, data.level, data.usage);
      case "blow":
        tell(path, data.wake, blowBody(entry, data.blow, plan), data.at, data.blow.stat);
        if (data.blow.outcome === "failed" && entry.spec.mode === "hold") {
          letLoose(entry, data.blow.reason!);
        }
        return chores.afterBlow(entry, data.blow);
      case "reclaimed":
        return tell(path, data.wake, reclaimedBody(entry, data, plan), data.at);
      case "let_go":
        return tell(path, data.wake, letGoBody(entry, data), data.at);
      case "gone":
        if (!isThere(entry.cgroup)) roster.forget(path);
    }
  };
  order({ order: "begin", plan, epoll: epoll.shared, heartbeat });
  const { scheduling, rehearsed } = await ready.promise;
  if (!rehearsed) refuse("/", "a rehearsal", "nothing", "the own cgroup cannot be seen");
  const score = setOwnScore(-900);
  if (score.refused && deadlyLevel(plan.actions)) {
    refuse("/", "oom_score_adj -900", "what it was", score.refused);
  }

  /** What may be guarded, as it is there now. */
  const candidates = function* (): Generator<{ cgroup: Cgroup; isNamed: boolean }> {
    for (const cgroup of options.findCgroups?.() ?? []) yield { cgroup, isNamed: true };
    for (const { cgroup: { hierarchy, path }, recursive, pattern } of scopes) {
      const top = openCgroup(hierarchy, path);
      if (top === undefined) continue;
      for (const cgroup of recursive ? walk(top) : [top]) {
        if (pattern && !pattern.test(cgroup.path)) continue;
        yield { cgroup, isNamed: cgroup.path === path };
      }
    }
  };
  const covers = (path: string) =>
    scopes.find((scope) => {
      const at = scope.cgroup.path;
      const isWithin = path === at ||
        (scope.recursive && path.startsWith(at === "/" ? "/" : `${at}/`));
      return isWithin && (scope.pattern?.test(path) ?? true);
    });
  const considerAll = () => {
    const there = new Set<string>();
    for (const { cgroup, isNamed } of candidates()) {
      there.add(cgroup.path);
      roster.consider(cgroup, isNamed);
    }
    for (const { cgroup } of roster.all()) if (!there.has(cgroup.path)) roster.forget(cgroup.path);
  };

  let stopping = false;
  const follow = (event: OomkitEvent) => {
    const scope = covers(event.cgroup);
    if (event.type === "summary" || event.type === "degraded" || scope) emit(event);
    if (!scope || stopping) return;
    if (event.type === "removed") roster.forget(event.cgroup);
    if (event.type !== "created" && event.type !== "limit_changed") return;
    const cgroup = openCgroup(scope.cgroup.hierarchy, event.cgroup);
    if (cgroup) roster.consider(cgroup, cgroup.path === scope.cgroup.path);
  };
  const watching = startFollowing(scopes, follow);
  considerAll();
  watching?.done.then(ended.resolve, ended.reject);

  /** Under `hold` nobody dies, and so nobody goes on unless the guard does something. */
  const waits = new Map<Entry, number>();
  const letLoose = (entry: Entry, reason: string) => {
    tellRestored(files.restore(entry.measured.dir, "memory.oom_control"));
    refuse(entry.cgroup.path, "hold", "the kernel's killer", reason);
  };
  const watchdog = setInterval(() => {
    for (const entry of roster.all()) {
      if (entry.spec.mode !== "hold") continue;
      const waiting = /^under_oom 1$/m.test(
        readControl(entry.measured, "memory.oom_control") ?? "",
      );
      if (!waiting) waits.delete(entry);
      else if (!waits.has(entry)) waits.set(entry, performance.now());
      else if (performance.now() - waits.get(entry)! > options.holdTimeout) {
        waits.delete(entry);
        letLoose(entry, `its allocators have been waiting for more than ${options.holdTimeout} ms`);
      }
    }
  }, WATCHDOG_MS);
  const walking = setInterval(considerAll, options.walkEvery);
  const rearming = setInterval(() => roster.rearm(), options.rearmEvery);

  let beats = 0;
  return {
    entries: roster.all(),
    scheduling,
    sources: watching?.sources ?? [],
    done: ended.promise,
    isAlive() {
      const now = Atomics.load(heartbeat, 0);
      const alive = now !== beats;
      beats = now;
      return alive;
    },
    async stop() {
      stopping = true;
      for (const timer of [watchdog, walking, rearming]) clearInterval(timer);
      order({ order: "stop" });
      const late = setTimeout(stopped.resolve, STOP_WITHIN_MS);
      await stopped.promise;
      clearTimeout(late);
      worker.terminate();
      tellRestored(files.restore());
      roster.close();
      await minder?.dismiss();
      await chores.finish();
      score.restore();
      await watching?.stop();
      epoll.close();
    },
  };
}

/** Beside its source, and beside the file that it is bundled into. */
function sentryScript(): string {
  return import.meta.url.endsWith(".ts") ? "./sentry_worker.ts" : "./sentry_worker.js";
}

/** The kernel's own events, which are also what tells of cgroups that come and go and of limits that change. */
function startFollowing(
  scopes: readonly Scope[],
  follow: (event: OomkitEvent) => void,
): Watching | undefined {
  if (scopes.length === 0) return undefined;
  return startWatch({
    targets: scopes.map(({ cgroup }) => cgroup),
    recursive: scopes.some(({ recursive }) => recursive),
    thresholds: [],
    pressure: [],
    psi: [],
  }, follow);
}
