/** A simulation on a fake tree: a curve instead of an allocator, the same watch, a verdict about no process at all. */

import { openCgroup } from "../cgroup/cgroup.ts";
import { discover } from "../cgroup/hierarchy.ts";
import { OomkitError } from "../errors.ts";
import type { OomkitEvent } from "../events/event.ts";
import { startWatch, type Watching } from "../watch/watch.ts";
import { createCoalescer } from "./coalesce.ts";
import { delay } from "../timing.ts";
import type { FakeState } from "./fake_tree.ts";
import { createFakeTree, FAKE_CGROUP } from "./fake_tree.ts";
import { type Curve, growthAt, lifetime, type Moment } from "./growth.ts";
import { evaluate } from "./evaluate.ts";
import { type Plan, startOf } from "./plan.ts";
import {
  clock,
  type EmitEvent,
  type OnUsage,
  type SimulationBody,
  simulationEvent,
  startFirst,
  type Verdict,
} from "./event.ts";

export interface FakePlan {
  readonly version: 1 | 2;
  readonly curve: Curve;
  /** Where to lay the tree out; a temporary folder without. */
  readonly dir?: string;
  /** Why there is no real cgroup. */
  readonly reason: string;
}

/** Milliseconds between two looks at the curve. */
const PACE_MS = 20;

/**
 * Moves the tree along the curve, over real time, until the curve ends, `plan.for` is over or it is interrupted; a curve that
 * restarts has no end. The tree is removed before this returns or throws.
 */
export async function simulateFake(
  plan: Plan,
  { version, curve, dir, reason }: FakePlan,
  emitEvent: EmitEvent,
  interrupted: AbortSignal,
  see: OnUsage = () => {},
): Promise<{ readonly verdict: Verdict; readonly cgroup: string }> {
  const tree = createFakeTree(version, stateOf(curve, growthAt(curve, 0)), dir);
  const events: OomkitEvent[] = [];
  const tellInOrder = startFirst(emitEvent);
  let watching: Watching | undefined;
  try {
    const cgroup = openCgroup(discover(tree.dir), FAKE_CGROUP);
    if (cgroup === undefined) throw new OomkitError(`cannot play on ${tree.dir}: it was removed`);
    const say = (at: number, body: SimulationBody) =>
      tellInOrder(simulationEvent(at, cgroup.path, body));
    watching = startWatch(
      {
        targets: [cgroup],
        recursive: false,
        thresholds: plan.thresholds,
        pressure: [],
        psi: [],
        poll: PACE_MS,
        ...(plan.recordSink && { recordSink: plan.recordSink }),
      },
      (event) => {
        events.push(event);
        if (event.type !== "summary") tellInOrder(event);
      },
    );
    const target = { cgroup, limit: curve.limit, limitOwner: cgroup.path };
    const began = clock();
    say(began, {
      ...startOf(plan, target, [], watching.sources),
      fake: reason,
      root: tree.dir,
      rate: curve.rate,
    });
    const { last, cut } = await play(plan, curve, tree.update, say, see, interrupted);
    const summary = await watching.stop();
    watching = undefined;
    const verdict = evaluate({
      expected: plan.expected,
      fake: true,
      exits: [],
      cut,
      events,
      tally: summary.cgroups[0],
      hasLog: false,
      limit: curve.limit,
      limitOwner: cgroup.path,
      began,
      last: began + last,
    });
    return { verdict, cgroup: cgroup.path };
  } finally {
    await watching?.stop().catch(() => {});
    tree.remove();
  }
}

interface Played {
  /** Milliseconds after the beginning: the last moment before the first kill. */
  readonly last: number;
  readonly cut: "interrupt" | "time" | undefined;
}

async function play(
  plan: Plan,
  curve: Curve,
  update: (state: FakeState) => void,
  say: (at: number, body: SimulationBody) => void,
  see: OnUsage,
  interrupted: AbortSignal,
): Promise<Played> {
  const began = performance.now();
  const end = endOf(plan, curve);
  const isNews = createCoalescer(curve.limit);
  let last = 0;
  for (;;) {
    const elapsed = performance.now() - began;
    const moment = growthAt(curve, elapsed);
    // Of several lives the first counts.
    if (moment.alive && moment.oomKill === 0n) last = elapsed;
    update(stateOf(curve, moment));
    see(clock(), moment.usage);
    if (isNews(moment.usage)) {
      say(clock(), { type: "step", pid: null, allocated: null, usage: moment.usage });
    }
    if (interrupted.aborted) return { last, cut: "interrupt" };
    if (plan.for !== undefined && elapsed >= plan.for) return { last, cut: "time" };
    if (elapsed > end) return { last, cut: undefined };
    await delay(PACE_MS, interrupted);
  }
}

/** When there is nothing more to see: the kill, or the end of the hold. */
function endOf({ hold }: Plan, curve: Curve): number {
  if (curve.restart !== undefined) return Infinity;
  const life = lifetime(curve);
  if (life !== Infinity) return life + 2 * PACE_MS;
  const { stopAt, rate, shape } = curve;
  const grows = shape === "linear" || shape === "steps";
  return grows && stopAt !== undefined ? stopAt / rate * 1000 + hold : Infinity;
}

function stateOf(curve: Curve, { usage, peak, max, oom, oomKill, alive }: Moment): FakeState {
  return {
    usage,
    peak,
    limit: curve.limit,
    max,
    oom,
    oomKill,
    // The keeper stands in for the process, so that there is one to look at.
    pids: alive ? [Deno.pid] : [],
    stalled: oom * 1000n,
  };
}
