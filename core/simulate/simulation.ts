/** A simulation from the first page to the verdict: the allocators, and the watch that follows them. */

import { setOwnOomScoreAdj } from "../control/oom_score_adj.ts";
import { OomkitError } from "../errors.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import { type AllocatorExit, AllocatorProcess } from "./allocator_process.ts";
import { evaluate, type Evidence } from "./evaluate.ts";
import { clock, type EmitEvent, EventStream, type OnUsage, type Verdict } from "./event.ts";
import { allocationsOf, type Plan, startOf, watchOptions } from "./plan.ts";
import { StepReporter } from "./steps.ts";
import type { SimulationTarget } from "./target.ts";

export interface SimulationOptions {
  readonly plan: Plan;
  readonly target: SimulationTarget;
  /** The words that start this program. */
  readonly program: readonly string[];
  readonly emit: EmitEvent;
  /** Gets usage samples for display or recording; nothing else depends on them. */
  readonly onUsage: OnUsage;
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
  const allocators: AllocatorProcess[] = [];
  let watching: Watching | undefined;
  let stopped = false;
  const oomScoreAdj = target.sandbox ? undefined : setOwnOomScoreAdj(UNKILLABLE);
  try {
    watching = startWatch(watchOptions(plan, target), events.emitWatched);
    if (target.degraded) events.emitDegraded(target.degraded);
    if (oomScoreAdj?.refused !== undefined) {
      events.emitDegraded({
        requested: `oom_score_adj ${UNKILLABLE} for oomkit itself`,
        fallback: "the kernel may kill oomkit too",
        reason: `needs CAP_SYS_RESOURCE (${oomScoreAdj.refused})`,
      });
    }
    for (const allocation of allocationsOf(plan, target)) {
      allocators.push(
        new AllocatorProcess(program, allocation, (pid, progress) => steps.add(pid, progress)),
      );
    }
    const { exits, endedEarly } = await run(options, watching, allocators, steps, events);
    const summary = await watching.stop();
    stopped = true;
    return evaluate({
      expected: plan.expected,
      fake: false,
      exits,
      endedEarly,
      events: events.watchEvents,
      deltas: summary.cgroups[0],
      hasLog: watching.sources.some((source) => source.startsWith("kernel log:")),
      limit: target.limit ?? null,
      limitOwner: target.limitOwner ?? null,
      firstPageAt: steps.firstPageAt,
      lastPageAt: steps.lastPageAt,
    });
  } finally {
    for (const each of allocators) each.kill();
    await Promise.allSettled(allocators.map(({ exit }) => exit));
    if (!stopped) await watching?.stop().catch(() => {});
    await target.sandbox?.remove();
    oomScoreAdj?.restore();
  }
}

/** Starts the allocators once all are ready, and waits until they exit or the run is ended early. */
async function run(
  { plan, target, interrupted }: SimulationOptions,
  watching: Watching,
  allocators: readonly AllocatorProcess[],
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

async function allReady(allocators: readonly AllocatorProcess[]): Promise<undefined> {
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
  allocator: AllocatorProcess,
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
