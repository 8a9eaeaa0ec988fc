/** A simulation from the first page to the verdict: allocators, the watch that follows them, and what both tell. */

import { OomkitError } from "../errors.ts";
import { setOwnOomScoreAdj } from "../control/oom_score_adj.ts";
import { makeEvent, type OomkitEvent } from "../events/event.ts";
import { startWatch, type Summary, type Watching } from "../watch/watch.ts";
import { type Allocator, type Exit, startAllocator } from "./allocator.ts";
import { createUsageHistory, type UsageHistory } from "./steps.ts";
import { evaluate } from "./evaluate.ts";
import { allocationsOf, type Plan, startOf, watchOptions } from "./plan.ts";
import {
  clock,
  type EmitEvent,
  type OnUsage,
  type SimulationBody,
  simulationEvent,
  startFirst,
  type Verdict,
} from "./event.ts";
import type { SimulationTarget } from "./target.ts";

type Say = (at: number, body: SimulationBody) => void;
type Cut = "interrupt" | "time";

/** The exit code of this program when it could not do what it was asked to. */
const CANNOT = 2;

/**
 * For the program itself where it shares the cgroup with the allocator. The kernel passes over a victim whose last thread
 * is still giving its memory back (kernel/cgroup/cgroup.c, css_task_iter_advance, leaves out a dead leader), finds the
 * limit still hit, and takes the next process: seen in 2 of 40 runs on Linux 6.18, 4 ms after the first kill.
 */
const UNKILLABLE = -1000;

/**
 * Runs `plan` on `stage` and removes the sandbox before it returns or throws.
 *
 * @param program the words that start this program.
 * @param interrupted ends it early; the verdict is then about what was so far.
 * @param see for who looks on; nothing depends on it.
 * Throws {@link OomkitError} when the allocators cannot start, and whatever `tell` throws.
 */
export async function simulate(
  plan: Plan,
  target: SimulationTarget,
  program: readonly string[],
  emitEvent: EmitEvent,
  interrupted: AbortSignal,
  see?: OnUsage,
): Promise<Verdict> {
  const events: OomkitEvent[] = [];
  const tellInOrder = startFirst(emitEvent);
  const say: Say = (at, body) => tellInOrder(simulationEvent(at, target.cgroup.path, body));
  const allocators: Allocator[] = [];
  let watching: Watching | undefined;
  let summary: Summary | undefined;
  const own = target.sandbox ? undefined : setOwnOomScoreAdj(UNKILLABLE);
  try {
    watching = startWatch(watchOptions(plan, target), (event) => {
      events.push(event);
      // The verdict is the summary.
      if (event.type !== "summary") tellInOrder(event);
    });
    if (target.lacks) {
      tellInOrder(
        makeEvent(clock(), target.cgroup.path, "none", { type: "degraded", ...target.lacks }),
      );
    }
    if (own?.refused !== undefined) {
      const requested = `oom_score_adj ${UNKILLABLE} for itself`;
      const fallback = "the kernel may kill oomkit too";
      const lacks = {
        requested,
        fallback,
        reason: `lowering it takes CAP_SYS_RESOURCE (${own.refused})`,
      };
      tellInOrder(makeEvent(clock(), target.cgroup.path, "none", { type: "degraded", ...lacks }));
    }
    const course = createUsageHistory(target.limit ?? plan.stopAt ?? plan.most, say, see);
    const { exits, cut } = await run(
      plan,
      target,
      program,
      watching,
      allocators,
      course,
      say,
      interrupted,
    );
    const told = summary = await watching.stop();
    return evaluate({
      expected: plan.expected,
      fake: false,
      exits,
      cut,
      events,
      tally: told.cgroups[0],
      // The watch names its sources; this one it has, or something stands in for it.
      hasLog: watching.sources.some((source) => source.startsWith("kernel log:")),
      limit: target.limit ?? null,
      limitOwner: target.limitOwner ?? null,
      began: course.began,
      last: course.last,
    });
  } finally {
    for (const each of allocators) each.kill();
    await Promise.allSettled(allocators.map(({ exit }) => exit));
    if (summary === undefined) await watching?.stop().catch(() => {});
    await target.sandbox?.remove();
    own?.restore();
  }
}

async function run(
  plan: Plan,
  target: SimulationTarget,
  program: readonly string[],
  watching: Watching,
  allocators: Allocator[],
  course: UsageHistory,
  say: Say,
  interrupted: AbortSignal,
): Promise<{ exits: Exit[]; cut: Cut | undefined }> {
  // The watch ends by itself only when the cgroup is removed by somebody else: the allocators' ends tell the rest.
  const broken = watching.done.then(() => new Promise<never>(() => {}));
  for (const allocation of allocationsOf(plan, target)) {
    allocators.push(startAllocator(program, allocation, course.evaluateLevels));
  }
  const exits = Promise.all(allocators.map((each) => endOf(each, course, say)));
  // Whichever of them fails first is thrown below; the others must not count as unheard.
  exits.catch(() => {});
  broken.catch(() => {});
  let cut: Cut | undefined = await Promise.race([
    broken,
    aborted(interrupted),
    exits.then(() => undefined),
    ready(allocators),
  ]);
  if (cut === undefined) {
    say(clock(), startOf(plan, target, allocators.map(({ pid }) => pid), watching.sources));
    for (const each of allocators) await each.begin();
    const timer = plan.for === undefined
      ? new AbortController().signal
      : AbortSignal.timeout(plan.for);
    cut = await Promise.race([
      broken,
      exits.then(() => undefined),
      aborted(interrupted),
      aborted(timer).then(() => "time" as const),
    ]);
  }
  for (const each of allocators) each.kill();
  return { exits: await exits, cut };
}

async function ready(allocators: readonly Allocator[]): Promise<undefined> {
  const all = await Promise.all(allocators.map((each) => each.ready));
  // One that ended instead tells why by its exit, which `endOf` throws.
  if (!all.every(Boolean)) await new Promise<never>(() => {});
}

function aborted(signal: AbortSignal): Promise<"interrupt"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("interrupt");
    else signal.addEventListener("abort", () => resolve("interrupt"), { once: true });
  });
}

async function endOf(allocator: Allocator, course: UsageHistory, say: Say): Promise<Exit> {
  const exit = await allocator.exit;
  if (exit.code === CANNOT && exit.warningText !== undefined) {
    throw new OomkitError(exit.warningText.replace(/^oomkit: /, ""));
  }
  course.conclude(exit.pid);
  say(clock(), { type: "exit", pid: exit.pid, exit_code: exit.code, signal: exit.signal });
  return exit;
}
