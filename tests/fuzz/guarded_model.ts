/** A monitor loop over the model kernel, run for some virtual seconds. */

import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import type { KillBody } from "../../core/events/event.ts";
import type { GuardPolicy, PolicySet } from "../../core/guard/policy.ts";
import { MonitorLoop } from "../../core/guard/thread/loop.ts";
import {
  type CgroupSpec,
  type FlatCgroup,
  flatten,
  type Report,
} from "../../core/guard/thread/protocol.ts";
import { WARM_UP_POLICY } from "../../core/guard/thread/warmup.ts";
import { levelBytesOf, NOTIFY_MARGIN } from "../../core/policy/levels.ts";
import { MIB } from "../helpers/observations.ts";
import {
  CHILD,
  FIRST_PID,
  ModelKernel,
  type ModelProcess,
  type ModelSettings,
  SCOPE,
} from "./kernel_calls.ts";

/** The ids of the guarded cgroup, and of the one below it. */
export const SCOPE_ID = 1;
export const CHILD_ID = 2;
export const LIMIT = 64 * MIB;
export const FIRST_NEWCOMER = FIRST_PID + 100;
/** Virtual milliseconds of a run. */
export const RUN_MS = 7800;
const HYSTERESIS = 0.05;
/** The longest time between two attempts, with some time for the attempt. */
export const MAX_RETRY_MS = 1100;
/** Polls of a reclaim that is nearly too late are every 0.1 ms, those after a kill every millisecond. */
const MAX_TURNS_PER_SECOND = 5000;

export interface ProcessCase extends
  Pick<
    ModelProcess,
    "cgroup" | "protection" | "exitMs" | "termMs" | "canBeReaped" | "mayBeSignalled" | "onPin"
  > {
  /** Of the memory of all of them. */
  readonly share: number;
  /** MiB for each second. */
  readonly growth: number;
}

export interface Case extends
  Pick<
    ModelSettings,
    | "version"
    | "hasCgroupKill"
    | "hasOomGroup"
    | "hasReclaim"
    | "reclaimable"
    | "hasDescriptors"
    | "callMs"
    | "preemption"
    | "incidents"
    | "faults"
  > {
  readonly isHold: boolean;
  /** The model slows nothing down. */
  readonly isThrottled?: boolean;
  /** A cgroup below it is guarded too, at the same limit. */
  readonly isNested: boolean;
  readonly action: "process" | "container";
  readonly metric: GuardPolicy["metric"];
  readonly graceMs: number;
  readonly exitTimeoutMs: number;
  readonly reclaimFirst: boolean;
  /** At the start, as a share of the limit. */
  readonly usage: number;
  /** Page cache, as a share of usage. */
  readonly cache: number;
  readonly processes: readonly ProcessCase[];
  readonly newcomers: readonly ProcessCase[];
}

interface Span {
  readonly from: number;
  readonly until: number;
}

export interface Posted {
  readonly at: number;
  readonly report: Report;
}

export interface Run {
  readonly kernel: ModelKernel;
  readonly reports: readonly Posted[];
  /** When usage is at or above the imminent level, as far as the turns show it. */
  readonly excesses: readonly Span[];
  /** The same with those taken together between which the level is not armed again, or not for long enough to be seen. */
  readonly situations: readonly Span[];
}

export type PostedKill = KillBody & { readonly at: number };

/** @param id of the guarded cgroup; without it those of all. */
export const killsIn = (reports: readonly Posted[], id?: number): PostedKill[] =>
  reports.flatMap(({ at, report }) =>
    report.type === "kill" && (id ?? report.id) === report.id ? [{ ...report.kill, at }] : []
  );

export function modelOf(one: Case): ModelKernel {
  const cache = Math.floor(LIMIT * one.usage * one.cache);
  return new ModelKernel({
    ...one,
    limit: LIMIT,
    cache,
    newcomers: processesOf(one.newcomers, LIMIT / 8, FIRST_NEWCOMER),
    mayKillImmune: one.action === "container",
    oomKillerDisabled: one.isHold,
  }, processesOf(one.processes, LIMIT * one.usage - cache, FIRST_PID));
}

/** Throws where the monitor thread would end, and at a busy loop. */
export function runCase(one: Case): Run {
  using kernel = modelOf(one);
  const { world } = kernel;
  const reports: Posted[] = [];
  const own = [...kernel.processes, ...kernel.settings.newcomers]
    .filter(({ protection }) => protection === "self");
  const policies = policiesOf(one, new Set(own.map(({ pid }) => pid)));
  const loop = new MonitorLoop(policies, kernel.epoll, (report) => {
    reports.push({ at: world.now, report });
  });
  for (const spec of specsOf(one, kernel)) loop.add(spec);
  kernel.isGuarded = true;
  const { imminent } = levelBytes;
  const excesses = new SpanRecorder();
  const lows = new SpanRecorder();
  const turns: number[] = [];
  while (world.now < RUN_MS) {
    const second = Math.floor(world.now / 1000);
    const count = turns[second] = (turns[second] ?? 0) + 1;
    assert.ok(count <= MAX_TURNS_PER_SECOND, `a busy loop in second ${second}`);
    loop.runOnce();
    kernel.settle();
    const value = kernel.usage - (one.metric === "usage" ? 0 : world.cache);
    excesses.record(world.now, value >= imminent && !kernel.isRemoved);
    lows.record(world.now, value < imminent * (1 - HYSTERESIS) || kernel.isRemoved);
  }
  loop.close();
  kernel.settle();
  const recoveries = lows.spans.filter(({ from, until }) => until - from > MAX_RETRY_MS);
  const situations = situationsOf(excesses.spans, recoveries);
  return { kernel, reports, excesses: excesses.spans, situations };
}

const levelBytes = levelBytesOf(LIMIT, { warn: 65, critical: 90, margin: NOTIFY_MARGIN })!;

/** The memory is shared out. */
function processesOf(cases: readonly ProcessCase[], bytes: number, first: number): ModelProcess[] {
  const all = cases.reduce((sum, { share }) => sum + share, 0);
  return cases.map(({ share, growth, ...rest }, at) => ({
    ...rest,
    pid: first + at,
    anon: Math.floor(bytes * share / all),
    growth: growth * MIB / 1000,
    isStopped: false,
    pinnedAt: -Infinity,
  }));
}

function policiesOf(
  { action, metric, graceMs, exitTimeoutMs, reclaimFirst }: Case,
  protectedPids: ReadonlySet<number>,
): PolicySet {
  const policy: GuardPolicy = {
    ...WARM_UP_POLICY,
    metric,
    dryRun: false,
    triggerPolicy: { hysteresis: HYSTERESIS, cooldown: 0, repeat: false },
    killSettings: { countSwap: true, reclaimFirst, graceMs, exitTimeoutMs },
    actions: { warn: [], critical: [], imminent: [{ kind: action }] },
    protectedPids,
  };
  const exempt = { selector: { cgroups: [/^\/a\/kept$/] }, isExempt: true, neverKills: true };
  return { all: [policy, policy], rules: [exempt], labels: new Map() };
}

function specsOf(
  { isHold, isThrottled, isNested }: Case,
  { hierarchy }: ModelKernel,
): CgroupSpec[] {
  const [limitOwner, child] = [SCOPE, CHILD].map((path) => flatten(openCgroup(hierarchy, path)!));
  const specOf = (id: number, scope: FlatCgroup): CgroupSpec => ({
    id,
    policy: 1,
    limitOwner: limitOwner!,
    scope,
    limit: LIMIT,
    levelBytes,
    mode: isThrottled ? "throttle" : isHold ? "hold" : "notify",
    oomTotalBytes: LIMIT,
    canSwap: false,
    eventfds: [],
  });
  // With the same headroom the first is polled first.
  return [...isNested ? [specOf(CHILD_ID, child!)] : [], specOf(SCOPE_ID, limitOwner!)];
}

/** When something holds, as of the times at which it is asked. */
class SpanRecorder {
  readonly spans: Span[] = [];
  #wasInside = false;

  record(now: number, isInside: boolean): void {
    const from = this.#wasInside ? this.spans.pop()!.from : now;
    if (this.#wasInside || isInside) this.spans.push({ from, until: now });
    this.#wasInside = isInside;
  }
}

/** From the first excess after a recovery to the last one before the next. */
function situationsOf(excesses: readonly Span[], recoveries: readonly Span[]): Span[] {
  const groups = Map.groupBy(
    excesses,
    ({ from }) => recoveries.filter(({ until }) => until <= from).length,
  );
  return [...groups.values()].map((group) => ({
    from: group[0]!.from,
    until: group.at(-1)!.until,
  }));
}
