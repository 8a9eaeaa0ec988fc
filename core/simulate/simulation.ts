/** A simulation from the first page to the verdict: allocators, or a curve on a fake tree, and the watch that follows them. */

import { openCgroup } from "../cgroup/cgroup.ts";
import { discover } from "../cgroup/hierarchy.ts";
import { setOwnOomScoreAdj } from "../control/oom_score_adj.ts";
import { OomkitError } from "../errors.ts";
import { delay } from "../timing.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import {
  type AllocatorExit,
  AllocatorHandle,
  createStepFilter,
  StepReporter,
} from "./allocator_handle.ts";
import { evaluate, type Evidence } from "./evaluate.ts";
import { clock, type EmitEvent, EventStream, type OnUsage, type Verdict } from "./event.ts";
import { FAKE_CGROUP, type FakeState, FakeTree } from "./fake_tree.ts";
import { type Curve, growthAt, lifetime, type Moment } from "./growth.ts";
import { type FindKillers, MachineObserver } from "./machine.ts";
import { allocationsOf, type Plan, type SimulationTarget, startOf, watchOptions } from "./plan.ts";

export interface SimulationOptions {
  readonly plan: Plan;
  readonly target: SimulationTarget;
  /** The words that start this program. */
  readonly program: readonly string[];
  readonly emit: EmitEvent;
  /** Gets usage samples for display or recording; nothing else depends on them. */
  readonly onUsage: OnUsage;
  /** The programs that kill for the machine, where that is filled. */
  readonly findKillers?: FindKillers;
  /** Ends the simulation early; the verdict then covers what has happened so far. */
  readonly interrupted: AbortSignal;
}

/** The exit code of this program when it could not do what it was asked to. */
const EXIT_ERROR = 2;

/**
 * Protects oomkit itself where it shares the cgroup with the allocator. While the last thread of a victim still frees its
 * memory, the kernel ignores the victim (kernel/cgroup/cgroup.c, css_task_iter_advance, skips a dead leader), finds the limit
 * still hit, and kills a second process: seen in 2 of 40 runs on Linux 6.18, 4 ms after the first kill.
 */
const UNKILLABLE = -1000;

/**
 * Runs the plan on the target, and removes its sandbox before it returns or throws.
 * Throws {@link OomkitError} when the allocators cannot start, and whatever `emit` throws.
 */
export async function simulate(options: SimulationOptions): Promise<Verdict> {
  const { plan, target, program, emit, onUsage } = options;
  const events = new EventStream(target.cgroup.path, emit);
  const scale = target.limit ?? plan.stopAt ?? plan.maxBytes;
  const steps = new StepReporter(scale, events.emit, onUsage);
  const allocators: AllocatorHandle[] = [];
  const oomScoreAdj = target.sandbox && !target.machine ? undefined : setOwnOomScoreAdj(UNKILLABLE);
  await using observer = target.machine &&
    await MachineObserver.start(program, options.findKillers);
  try {
    const verdict = await watchedVerdict(plan, target, events, false, async (watching) => {
      if (target.degraded) events.emitDegraded(target.degraded);
      if (oomScoreAdj?.refused !== undefined) {
        events.emitDegraded({
          requested: `oom_score_adj ${UNKILLABLE} for oomkit itself`,
          fallback: "the kernel may kill oomkit too",
          reason: `needs CAP_SYS_RESOURCE (${oomScoreAdj.refused})`,
        });
      }
      try {
        for (const allocation of allocationsOf(plan, target)) {
          allocators.push(
            new AllocatorHandle(program, allocation, (pid, progress) => steps.add(pid, progress)),
          );
        }
        const ended = await run(options, watching, allocators, steps, events);
        return {
          ...ended,
          firstPageAt: steps.firstPageAt,
          lastPageAt: steps.lastPageAt,
          machineKills: await observer?.stop(),
        };
      } finally {
        for (const each of allocators) each.kill();
        await Promise.allSettled(allocators.map(({ exit }) => exit));
      }
    });
    const machine = observer && { ...target.machine!, ...await observer.verdict(verdict.outcome) };
    return machine ? { ...verdict, machine } : verdict;
  } finally {
    await target.sandbox?.remove();
    oomScoreAdj?.restore();
  }
}

/** The verdict of a run that a watch follows from its beginning. */
async function watchedVerdict(
  plan: Plan,
  target: SimulationTarget,
  events: EventStream,
  fake: boolean,
  run: (
    watching: Watching,
  ) => Promise<
    Pick<Evidence, "exits" | "endedEarly" | "firstPageAt" | "lastPageAt" | "machineKills">
  >,
): Promise<Verdict> {
  const watching = startWatch(
    { ...watchOptions(plan, target), ...fake && { poll: UPDATE_INTERVAL_MS } },
    events.emitWatched,
  );
  let stopped = false;
  try {
    const found = await run(watching);
    const summary = await watching.stop();
    stopped = true;
    return evaluate({
      ...found,
      expected: plan.expected,
      isRequested: plan.isRequested,
      fake,
      events: events.watchEvents,
      deltas: summary.cgroups[0],
      hasLog: !fake && watching.sources.some((source) => source.startsWith("kernel log:")),
      limit: target.limit ?? null,
      limitOwner: target.limitOwner ?? null,
    });
  } finally {
    if (!stopped) await watching.stop().catch(() => {});
  }
}

/** Starts the allocators once all are ready, and waits until they exit or the run is ended early. */
async function run(
  { plan, target, interrupted }: SimulationOptions,
  watching: Watching,
  allocators: readonly AllocatorHandle[],
  steps: StepReporter,
  events: EventStream,
): Promise<Pick<Evidence, "exits" | "endedEarly">> {
  // The watch ends by itself when the cgroup is removed from outside; the exits of the allocators report that. Only its
  // failure counts here.
  const watchFailed = watching.done.then(() => new Promise<never>(() => {}));
  const exits = Promise.all(allocators.map((each) => exitOf(each, steps, events)));
  // The first failure is thrown by the races below; a second one must not count as unhandled.
  exits.catch(() => {});
  watchFailed.catch(() => {});
  const ended = [watchFailed, exits.then(() => undefined), aborted(interrupted)];
  let endedEarly: Evidence["endedEarly"] = await Promise.race([...ended, allReady(allocators)]);
  if (endedEarly === undefined) {
    const pids = allocators.map(({ pid }) => pid);
    events.emit(clock(), startOf(plan, target, pids, watching.sources));
    for (const each of allocators) await each.begin();
    const timeout = plan.timeoutMs === undefined
      ? []
      : [aborted(AbortSignal.timeout(plan.timeoutMs)).then(() => "timeout" as const)];
    endedEarly = await Promise.race([...ended, ...timeout]);
  }
  for (const each of allocators) each.kill();
  return { exits: await exits, endedEarly };
}

async function allReady(allocators: readonly AllocatorHandle[]): Promise<undefined> {
  const ready = await Promise.all(allocators.map((each) => each.ready));
  // An allocator that exited instead makes `exitOf` throw.
  if (!ready.every(Boolean)) await new Promise<never>(() => {});
}

function aborted(signal: AbortSignal): Promise<"interrupt"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("interrupt");
    else signal.addEventListener("abort", () => resolve("interrupt"), { once: true });
  });
}

async function exitOf(
  allocator: AllocatorHandle,
  steps: StepReporter,
  events: EventStream,
): Promise<AllocatorExit> {
  const exit = await allocator.exit;
  if (exit.code === EXIT_ERROR && exit.errorText !== undefined) {
    throw new OomkitError(exit.errorText.replace(/^oomkit: /, ""));
  }
  steps.flush(exit.pid);
  events.emit(clock(), { type: "exit", pid: exit.pid, exit_code: exit.code, signal: exit.signal });
  return exit;
}

interface FakeSimulationOptions
  extends Pick<SimulationOptions, "plan" | "emit" | "onUsage" | "interrupted"> {
  readonly version: 1 | 2;
  readonly curve: Curve;
  /** Where to build the tree; absent: in a temporary directory. */
  readonly dir?: string;
  /** Why there is no real cgroup. */
  readonly reason: string;
}

const UPDATE_INTERVAL_MS = 20;

/**
 * Moves the tree along the curve in real time until the curve ends, the plan's timeout is over, or it is interrupted; a curve
 * that restarts does not end. The tree is removed before this returns or throws. Its cgroup is {@link FAKE_CGROUP}.
 */
export async function simulateFake(options: FakeSimulationOptions): Promise<Verdict> {
  const { plan, version, curve, dir, reason, emit } = options;
  const tree = FakeTree.create(version, stateOf(curve, growthAt(curve, 0)), dir);
  try {
    const cgroup = openCgroup(discover(tree.dir), FAKE_CGROUP);
    if (cgroup === undefined) throw new OomkitError(`cannot use ${tree.dir}: it was removed`);
    const events = new EventStream(cgroup.path, emit);
    const target = { cgroup, limit: curve.limit, limitOwner: cgroup.path };
    return await watchedVerdict(plan, target, events, true, async (watching) => {
      const startedAt = clock();
      events.emit(startedAt, {
        ...startOf(plan, target, [], watching.sources),
        fake_reason: reason,
        fake_root: tree.dir,
        rate: curve.rate,
      });
      const { lastAliveMs, endedEarly } = await followCurve(options, tree, events);
      const lastPageAt = startedAt + lastAliveMs;
      return { exits: [], endedEarly, firstPageAt: startedAt, lastPageAt };
    });
  } finally {
    tree.remove();
  }
}

async function followCurve(
  { plan, curve, onUsage, interrupted }: FakeSimulationOptions,
  tree: FakeTree,
  events: EventStream,
): Promise<{
  /** Milliseconds from the start to the last moment before the first kill. */
  readonly lastAliveMs: number;
  readonly endedEarly: Evidence["endedEarly"];
}> {
  const startedAt = performance.now();
  const endMs = endOf(plan, curve);
  const isNews = createStepFilter(curve.limit);
  let lastAliveMs = 0;
  for (;;) {
    const elapsed = performance.now() - startedAt;
    const moment = growthAt(curve, elapsed);
    if (moment.alive && moment.oomKill === 0n) lastAliveMs = elapsed;
    tree.update(stateOf(curve, moment));
    onUsage(clock(), moment.usage);
    if (isNews(moment.usage)) {
      events.emit(clock(), { type: "step", pid: null, allocated: null, usage: moment.usage });
    }
    if (interrupted.aborted) return { lastAliveMs, endedEarly: "interrupt" };
    if (plan.timeoutMs !== undefined && elapsed >= plan.timeoutMs) {
      return { lastAliveMs, endedEarly: "timeout" };
    }
    if (elapsed > endMs) return { lastAliveMs, endedEarly: undefined };
    await delay(UPDATE_INTERVAL_MS, interrupted);
  }
}

/** When nothing more happens (milliseconds after the start): after the kill, or at the end of the hold. */
function endOf({ holdMs }: Plan, curve: Curve): number {
  if (curve.restart !== undefined) return Infinity;
  const life = lifetime(curve);
  if (life !== Infinity) return life + 2 * UPDATE_INTERVAL_MS;
  const { stopAt, rate, shape } = curve;
  const stops = stopAt !== undefined && (shape === "linear" || shape === "steps");
  return stops ? stopAt / rate * 1000 + holdMs : Infinity;
}

function stateOf({ limit }: Curve, { alive, ...counts }: Moment): FakeState {
  // Oomkit itself stands in for the process, so that there is one to read.
  return { ...counts, limit, pids: alive ? [Deno.pid] : [], stalled: counts.oom * 1000n };
}
