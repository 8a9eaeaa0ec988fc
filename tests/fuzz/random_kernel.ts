/**
 * A cgroup under a kernel that does as it likes, and a guard over it that decides by nothing but `core/policy`. The glue
 * between the two is that of `core/guard/thread/loop.ts` and `core/guard/thread/kill.ts`, less the system calls.
 */

import { type LevelBytes, levelBytesOf, levelOf, type Margin } from "../../core/policy/levels.ts";
import { rankCandidates } from "../../core/policy/victims.ts";
import {
  type KillCycle,
  type KillTimeouts,
  nextStep,
  type Observation,
  startKillCycle,
  type Step,
} from "../../core/policy/kill_cycle.ts";
import {
  initialLevelStates,
  type LevelStates,
  triggeredLevels,
  type TriggerPolicy,
} from "../../core/policy/levels.ts";
import type { Process } from "../../core/snapshot.ts";
import { process } from "../helpers/process.ts";

/** Bytes. */
export interface WatchedCgroup {
  readonly pid: number;
  anon: number;
  readonly protection: "none" | "init" | "self" | "immune" | "exempt";
  /** By the guard, in milliseconds. */
  askedAt?: number;
  killedAt?: number;
}

export interface World {
  now: number;
  limit: number;
  cache: number;
  members: WatchedCgroup[];
  /** v1 with the kernel's killer switched off. */
  readonly oomKillerDisabled: boolean;
  /** Pids that the kernel has killed for want of room. */
  readonly lost: number[];
}

export interface Guard {
  readonly timeouts: KillTimeouts;
  readonly triggerPolicy: TriggerPolicy;
  readonly margin: Margin;
  levelStates: LevelStates;
  killCycle: KillCycle | undefined;
  pendingKills: WatchedCgroup[];
  nextLook: number;
  retryAt: number;
  lastUsage: number;
  lastAt: number;
  lastUnreclaimable: number;
}

/** What a look came to. */
export interface Look {
  readonly now: number;
  readonly observation: Observation | undefined;
  readonly before: KillCycle | undefined;
  readonly step: Step | undefined;
  /** Who was struck in it. */
  readonly struck: WatchedCgroup | undefined;
  readonly rung: readonly string[];
  /** Who might have been. */
  readonly candidates: number;
}

export const usageOf = ({ members, cache }: World) =>
  members.reduce((sum, { anon }) => sum + anon, cache);

export function boundsIn(world: World, { margin }: Guard): LevelBytes | undefined {
  return levelBytesOf(world.limit, { warn: 65, critical: 90, margin });
}

/** Charges memory as the kernel does: it takes back page cache first, and then kills or lets wait. */
export function charge(world: World, member: WatchedCgroup, bytes: number): void {
  const over = () => usageOf(world) + bytes - world.limit;
  if (over() > 0) world.cache = Math.max(0, world.cache - over());
  while (over() > 0 && !world.oomKillerDisabled) {
    const largest = world.members.filter(({ anon }) => anon > 0)
      .toSorted((a, b) => b.anon - a.anon)[0];
    if (largest === undefined) break;
    world.lost.push(largest.pid);
    end(world, largest);
    if (largest === member) return;
  }
  if (over() <= 0 && world.members.includes(member)) member.anon += bytes;
}

/** A process is gone, and its memory with it. */
export function end(world: World, member: WatchedCgroup): void {
  member.anon = 0;
  world.members = world.members.filter((each) => each !== member);
}

export function createGuard(
  settings: Pick<Guard, "timeouts" | "triggerPolicy" | "margin">,
): Guard {
  return {
    ...settings,
    levelStates: initialLevelStates,
    killCycle: undefined,
    pendingKills: [],
    nextLook: 0,
    retryAt: -Infinity,
    lastUsage: NaN,
    lastAt: -Infinity,
    lastUnreclaimable: NaN,
  };
}

const IDLE_MS = 100;

/** Looks once, and does what is to be done. */
export function look(world: World, guard: Guard): Look {
  const { now } = world;
  const usage = usageOf(world);
  const levelBytes = boundsIn(world, guard);
  const before = guard.killCycle;
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
  const nothing = { now, before, observation: undefined, step: undefined, struck: undefined };
  guard.nextLook = now + 10;
  if (levelBytes === undefined) {
    guard.killCycle = undefined;
    guard.pendingKills = [];
    return { ...nothing, rung: [], candidates: 0 };
  }
  const rung: string[] = [];
  if (guard.killCycle === undefined) {
    const acting = new Set(["imminent"] as const);
    const result = triggeredLevels(
      guard.levelStates,
      levelBytes,
      usage,
      now,
      guard.triggerPolicy,
      acting,
    );
    guard.levelStates = result.levelStates;
    rung.push(...result.levels);
    const isReached = levelOf(levelBytes, usage) === "imminent" && now >= guard.retryAt;
    if (!isReached) return { ...nothing, rung, candidates: 0 };
    guard.killCycle = startKillCycle(now);
  }
  const observation: Observation = {
    metricValue: usage,
    levelBytes: levelBytes.imminent,
    usage,
    limit: world.limit,
    reclaimable: world.cache,
    ...rates,
    oomKillerDisabled: world.oomKillerDisabled,
    victim: victimOf(world, guard),
  };
  const at = guard.killCycle;
  const { killCycle, step } = nextStep(at, observation, guard.timeouts, now);
  guard.killCycle = killCycle;
  const choices = candidatesIn(world, guard);
  const struck = act(world, guard, step, choices[0]);
  return { now, observation, before: at, step, struck, rung, candidates: choices.length };
}

function victimOf(world: World, { pendingKills }: Guard): Observation["victim"] {
  if (pendingKills.length === 0) return "none";
  return pendingKills.some((each) => world.members.includes(each)) ? "alive" : "dead";
}

/** @returns who was struck. */
function act(
  { now, members }: World,
  guard: Guard,
  step: Step,
  first: WatchedCgroup | undefined,
): WatchedCgroup | undefined {
  if ("until" in step) guard.nextLook = step.until;
  else guard.nextLook = now + 1;
  switch (step.do) {
    case "kill":
      if (first === undefined) {
        if (guard.pendingKills.some((each) => members.includes(each))) return undefined;
        guard.killCycle = undefined;
        guard.pendingKills = [];
        guard.retryAt = guard.nextLook = now + IDLE_MS;
        return undefined;
      }
      if (guard.timeouts.graceMs > 0) first.askedAt = now;
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
      guard.killCycle = undefined;
      guard.pendingKills = [];
      return undefined;
    case "reclaim":
    case "wait":
      return undefined;
  }
}

/** In the order in which they are taken. */
function candidatesIn({ members, limit }: World, { pendingKills }: Guard): WatchedCgroup[] {
  const processes = members.filter((each) => !pendingKills.includes(each)).map(asProcess);
  const of = (protection: WatchedCgroup["protection"]) =>
    members.filter((each) => each.protection === protection).map(({ pid }) => pid);
  const { candidates: choices } = rankCandidates({
    processes,
    oomTotalBytes: limit,
    pidOneIsInit: true,
    protectedPids: new Set(of("self")),
    attributes: new Map([["/kept", "kept"]]),
  }, { prefer: [], avoid: [], ignore: [] });
  return choices.map(({ process: { pid } }) => members.find((each) => each.pid === pid)!);
}

function asProcess({ pid, anon, protection }: WatchedCgroup): Process {
  return process(pid, {
    rss: anon,
    oomScoreAdj: protection === "immune" ? -1000 : 0,
    cgroup: protection === "exempt" ? "/kept" : "/a",
  });
}
