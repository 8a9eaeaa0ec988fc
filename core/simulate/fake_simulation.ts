/** A simulation on a fake tree: a curve instead of an allocator, the same watch, and a verdict without processes. */

import { openCgroup } from "../cgroup/cgroup.ts";
import { discover } from "../cgroup/hierarchy.ts";
import { OomkitError } from "../errors.ts";
import { delay } from "../timing.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import { evaluate, type Evidence } from "./evaluate.ts";
import { clock, EventStream, type Verdict } from "./event.ts";
import { FAKE_CGROUP, type FakeState, FakeTree } from "./fake_tree.ts";
import { type Curve, growthAt, lifetime, type Moment } from "./growth.ts";
import { type Plan, startOf, watchOptions } from "./plan.ts";
import type { SimulationOptions } from "./simulation.ts";
import { createStepFilter } from "./steps.ts";

export interface FakeSimulationOptions
  extends Pick<SimulationOptions, "plan" | "emit" | "onUsage" | "interrupted"> {
  readonly version: 1 | 2;
  readonly curve: Curve;
  /** Where to build the tree; absent: in a temporary folder. */
  readonly dir?: string;
  /** Why there is no real cgroup. */
  readonly reason: string;
}

const UPDATE_INTERVAL_MS = 20;

/**
 * Moves the tree along the curve in real time until the curve ends, the plan's timeout is over, or it is interrupted; a curve
 * that restarts does not end. The tree is removed before this returns or throws.
 */
export async function simulateFake(
  options: FakeSimulationOptions,
): Promise<{ readonly verdict: Verdict; readonly cgroup: string }> {
  const { plan, version, curve, dir, reason, emit } = options;
  const tree = FakeTree.create(version, stateOf(curve, growthAt(curve, 0)), dir);
  let watching: Watching | undefined;
  try {
    const cgroup = openCgroup(discover(tree.dir), FAKE_CGROUP);
    if (cgroup === undefined) throw new OomkitError(`cannot use ${tree.dir}: it was removed`);
    const events = new EventStream(cgroup.path, emit);
    const target = { cgroup, limit: curve.limit, limitOwner: cgroup.path };
    watching = startWatch(
      { ...watchOptions(plan, target), poll: UPDATE_INTERVAL_MS },
      events.emitWatched,
    );
    const startedAt = clock();
    events.emit(startedAt, {
      ...startOf(plan, target, [], watching.sources),
      fake_reason: reason,
      fake_root: tree.dir,
      rate: curve.rate,
    });
    const { lastAliveMs, endedEarly } = await followCurve(options, tree, events);
    const summary = await watching.stop();
    watching = undefined;
    const verdict = evaluate({
      expected: plan.expected,
      fake: true,
      exits: [],
      endedEarly,
      events: events.watchEvents,
      deltas: summary.cgroups[0],
      hasLog: false,
      limit: curve.limit,
      limitOwner: cgroup.path,
      firstPageAt: startedAt,
      lastPageAt: startedAt + lastAliveMs,
    });
    return { verdict, cgroup: cgroup.path };
  } finally {
    await watching?.stop().catch(() => {});
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

function stateOf({ limit }: Curve, { usage, peak, max, oom, oomKill, alive }: Moment): FakeState {
  // Oomkit itself stands in for the process, so that there is one to read.
  return {
    usage,
    peak,
    limit,
    max,
    oom,
    oomKill,
    pids: alive ? [Deno.pid] : [],
    stalled: oom * 1000n,
  };
}
