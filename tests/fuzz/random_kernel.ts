/**
 * A simulated cgroup under a kernel with arbitrary behaviour, and a guard over it that decides only by `core/policy`. It
 * connects the two as `core/guard/thread/loop.ts` and `core/guard/thread/kill_executor.ts` do, but without system calls.
 */

import {
  continueKillCycle,
  type DecisionState,
  evaluateLevels,
  initialDecision,
  type KillCycle,
  type KillSettings,
  nextStep,
  type Observation,
  retryLater,
  type Step,
} from "../../core/policy/kill_cycle.ts";
import {
  type Level,
  type LevelBytes,
  levelBytesOf,
  type Margin,
  type TriggerPolicy,
} from "../../core/policy/levels.ts";
import { rankCandidates } from "../../core/policy/victims.ts";
import type { Process } from "../../core/snapshot.ts";
import { process } from "../helpers/process.ts";

export interface SimulatedProcess {
  readonly pid: number;
  /** Bytes. */
  anon: number;
  readonly protection: "none" | "init" | "self" | "immune" | "exempt";
  /** When the guard sent the signal, in milliseconds. */
  terminatedAt?: number;
  killedAt?: number;
}

export interface World<Process extends SimulatedProcess = SimulatedProcess> {
  now: number;
  limit: number;
  cache: number;
  /** Bytes of page cache that were ever reclaimed. */
  reclaimed: number;
  processes: Process[];
  /** v1 with the OOM killer switched off. */
  readonly oomKillerDisabled: boolean;
  /** How many processes the kernel has killed at the limit. */
  kernelKills: number;
}

export interface Guard {
  readonly killSettings: KillSettings;
  readonly triggerPolicy: TriggerPolicy;
  readonly margin: Margin;
  readonly decision: DecisionState;
  pendingKills: SimulatedProcess[];
  nextPollAt: number;
  lastUsage: number;
  lastAt: number;
  lastUnreclaimable: number;
}

/** What happened at one poll. */
export interface Poll {
  readonly now: number;
  readonly observation: Observation | undefined;
  readonly before: KillCycle | undefined;
  readonly step: Step | undefined;
  readonly signalled: SimulatedProcess | undefined;
  readonly triggered: readonly Level[];
  /** How many processes could have been signalled. */
  readonly candidates: number;
}

export const usageOf = ({ processes, cache }: World) =>
  processes.reduce((sum, { anon }) => sum + anon, cache);

export function levelBytesIn(world: World, { margin }: Guard): LevelBytes | undefined {
  return levelBytesOf(world.limit, { warn: 65, critical: 90, margin });
}

/** Charges memory as the kernel does: it reclaims page cache first, and then kills or lets the process wait. */
export function charge(world: World, charged: SimulatedProcess, bytes: number): void {
  const over = () => usageOf(world) + bytes - world.limit;
  reclaim(world, over());
  while (over() > 0 && !world.oomKillerDisabled) {
    const largest = world.processes.filter(({ anon }) => anon > 0)
      .toSorted((a, b) => b.anon - a.anon)[0];
    if (largest === undefined) break;
    world.kernelKills += 1;
    exit(world, largest);
    if (largest === charged) return;
  }
  if (over() <= 0 && world.processes.includes(charged)) charged.anon += bytes;
}

/** Frees page cache. */
export function reclaim(world: World, bytes: number): void {
  const reclaimed = Math.min(world.cache, Math.max(0, bytes));
  world.cache -= reclaimed;
  world.reclaimed += reclaimed;
}

/** A process exits and frees its memory. */
export function exit(world: World, exited: SimulatedProcess): void {
  exited.anon = 0;
  world.processes = world.processes.filter((each) => each !== exited);
}

export function createGuard(
  settings: Pick<Guard, "killSettings" | "triggerPolicy" | "margin">,
): Guard {
  return {
    ...settings,
    decision: initialDecision(),
    pendingKills: [],
    nextPollAt: 0,
    lastUsage: NaN,
    lastAt: -Infinity,
    lastUnreclaimable: NaN,
  };
}

const imminent: ReadonlySet<Level> = new Set(["imminent"] as const);

/** Polls once, and takes the next step. */
export function poll(world: World, guard: Guard): Poll {
  const { now } = world;
  const { decision } = guard;
  const usage = usageOf(world);
  const levelBytes = levelBytesIn(world, guard);
  const over = now - guard.lastAt;
  const rateOf = (value: number, last: number) =>
    over > 0 && Number.isFinite(over) ? 1000 * (value - last) / over : undefined;
  const rates = {
    rate: rateOf(usage, guard.lastUsage),
    unreclaimableRate: rateOf(usage - world.cache, guard.lastUnreclaimable),
  };
  if (over > 0) {
    guard.lastUsage = usage;
    guard.lastUnreclaimable = usage - world.cache;
    guard.lastAt = now;
  }
  const nothing = {
    now,
    before: decision.killCycle,
    observation: undefined,
    step: undefined,
    signalled: undefined,
    candidates: 0,
  };
  guard.nextPollAt = now + 10;
  if (levelBytes === undefined) {
    decision.killCycle = undefined;
    guard.pendingKills = [];
    return { ...nothing, triggered: [] };
  }
  let triggered: readonly Level[] = [];
  if (decision.killCycle === undefined) {
    const policy = {
      triggerPolicy: guard.triggerPolicy,
      acting: imminent,
      killing: imminent,
      dryRun: false,
    };
    triggered = evaluateLevels(decision, policy, levelBytes, usage, now).levels;
    if (decision.killCycle === undefined) return { ...nothing, triggered };
  }
  const observation: Observation = {
    metricValue: usage,
    killLevelBytes: levelBytes.imminent,
    usage,
    limit: world.limit,
    reclaimable: world.cache,
    swappable: 0,
    kernelMemory: 0,
    reclaimed: world.reclaimed,
    writeback: 0,
    ...rates,
    peakRate: Math.max(0, rates.rate ?? 0),
    oomKillerDisabled: world.oomKillerDisabled,
    protectsPageCache: true,
    isThrottled: false,
    victim: victimStatus(world, guard),
  };
  const before: KillCycle = decision.killCycle;
  const { killCycle, step } = nextStep(before, observation, guard.killSettings, now);
  continueKillCycle(decision, killCycle, now);
  if (step.do === "reclaim") reclaim(world, usage - levelBytes[decision.killLevel]);
  const candidates = candidatesIn(world, guard);
  const signalled = take(world, guard, step, candidates[0]);
  return { now, observation, before, step, signalled, triggered, candidates: candidates.length };
}

function victimStatus(world: World, { pendingKills }: Guard): Observation["victim"] {
  if (pendingKills.length === 0) return "none";
  return pendingKills.some((each) => world.processes.includes(each)) ? "alive" : "dead";
}

/** Takes a step. @returns the process that was signalled. */
function take(
  { now, processes }: World,
  guard: Guard,
  step: Step,
  first: SimulatedProcess | undefined,
): SimulatedProcess | undefined {
  const { decision } = guard;
  guard.nextPollAt = "until" in step ? step.until : now + 1;
  switch (step.do) {
    case "kill":
      if (first === undefined) {
        if (guard.pendingKills.some((each) => processes.includes(each))) return undefined;
        guard.pendingKills = [];
        guard.nextPollAt = retryLater(decision, now);
        return undefined;
      }
      if (guard.killSettings.graceMs > 0) first.terminatedAt = now;
      else first.killedAt = now;
      guard.pendingKills.push(first);
      return first;
    case "escalate": {
      const last = guard.pendingKills.at(-1);
      if (last) last.killedAt = now;
      return last;
    }
    case "skip":
    case "exhausted":
      guard.pendingKills = [];
      return undefined;
    case "end":
      decision.killCycle = undefined;
      guard.pendingKills = [];
      return undefined;
    case "reclaim":
    case "wait":
      return undefined;
  }
}

/** In victim order. */
function candidatesIn({ processes, limit }: World, { pendingKills }: Guard): SimulatedProcess[] {
  const own = processes.filter(({ protection }) => protection === "self").map(({ pid }) => pid);
  const { candidates } = rankCandidates({
    processes: processes.filter((each) => !pendingKills.includes(each)).map(asProcess),
    oomTotalBytes: limit,
    pageSize: 4096,
    pidOneIsInit: true,
    protectedPids: new Set(own),
    attributes: new Map([["/kept", "excluded"]]),
  }, { prefer: [], avoid: [], ignore: [] });
  return candidates.map(({ process: { pid } }) => processes.find((each) => each.pid === pid)!);
}

function asProcess({ pid, anon, protection }: SimulatedProcess): Process {
  return process(pid, {
    rss: anon,
    oomScoreAdj: protection === "immune" ? -1000 : 0,
    cgroup: protection === "exempt" ? "/kept" : "/a",
  });
}
