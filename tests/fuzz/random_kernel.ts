/**
 * A cgroup under a kernel that does as it likes, and a guard over it that decides by nothing but `core/policy`. The glue
 * between the two is that of `core/guard/sentry.ts` and `core/guard/fight.ts`, less the system calls.
 */

import { type Bounds, boundsOf, levelOf, type Margin } from "../../core/policy/bounds.ts";
import { chooseVictim } from "../../core/policy/choose.ts";
import {
  engage,
  type Engagement,
  type Patience,
  pursue,
  type Sight,
  type Step,
} from "../../core/policy/engagement.ts";
import { type Bells, freshBells, type Rearming, ring } from "../../core/policy/levels.ts";
import type { Process } from "../../core/snapshot.ts";
import { process } from "../process.ts";

/** Bytes. */
export interface Member {
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
  members: Member[];
  /** v1 with the kernel's killer switched off. */
  readonly waits: boolean;
  /** Pids that the kernel has killed for want of room. */
  readonly lost: number[];
}

export interface Guard {
  readonly patience: Patience;
  readonly rearming: Rearming;
  readonly margin: Margin;
  bells: Bells;
  engagement: Engagement | undefined;
  blows: Member[];
  nextLook: number;
  idleUntil: number;
  lastUsage: number;
  lastAt: number;
  lastUnreclaimable: number;
}

/** What a look came to. */
export interface Look {
  readonly now: number;
  readonly sight: Sight | undefined;
  readonly before: Engagement | undefined;
  readonly step: Step | undefined;
  /** Who was struck in it. */
  readonly struck: Member | undefined;
  readonly rung: readonly string[];
  /** Who might have been. */
  readonly candidates: number;
}

export const usageOf = ({ members, cache }: World) =>
  members.reduce((sum, { anon }) => sum + anon, cache);

export function boundsIn(world: World, { margin }: Guard): Bounds | undefined {
  return boundsOf(world.limit, { warn: 65, critical: 90, margin });
}

/** Charges memory as the kernel does: it takes back page cache first, and then kills or lets wait. */
export function charge(world: World, member: Member, bytes: number): void {
  const over = () => usageOf(world) + bytes - world.limit;
  if (over() > 0) world.cache = Math.max(0, world.cache - over());
  while (over() > 0 && !world.waits) {
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
export function end(world: World, member: Member): void {
  member.anon = 0;
  world.members = world.members.filter((each) => each !== member);
}

export function createGuard(
  settings: Pick<Guard, "patience" | "rearming" | "margin">,
): Guard {
  return {
    ...settings,
    bells: freshBells,
    engagement: undefined,
    blows: [],
    nextLook: 0,
    idleUntil: -Infinity,
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
  const bounds = boundsIn(world, guard);
  const before = guard.engagement;
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
  const nothing = { now, before, sight: undefined, step: undefined, struck: undefined };
  guard.nextLook = now + 10;
  if (bounds === undefined) {
    guard.engagement = undefined;
    guard.blows = [];
    return { ...nothing, rung: [], candidates: 0 };
  }
  const rung: string[] = [];
  if (guard.engagement === undefined) {
    const acting = new Set(["threshold"] as const);
    const result = ring(guard.bells, bounds, usage, now, guard.rearming, acting);
    guard.bells = result.bells;
    rung.push(...result.levels);
    const isReached = levelOf(bounds, usage) === "threshold" && now >= guard.idleUntil;
    if (!isReached) return { ...nothing, rung, candidates: 0 };
    guard.engagement = engage(now);
  }
  const sight: Sight = {
    value: usage,
    threshold: bounds.threshold,
    usage,
    limit: world.limit,
    reclaimable: world.cache,
    ...rates,
    waits: world.waits,
    victim: victimOf(world, guard),
  };
  const at = guard.engagement;
  const { engagement, step } = pursue(at, sight, guard.patience, now);
  guard.engagement = engagement;
  const choices = candidatesIn(world, guard);
  const struck = act(world, guard, step, choices[0]);
  return { now, sight, before: at, step, struck, rung, candidates: choices.length };
}

function victimOf(world: World, { blows }: Guard): Sight["victim"] {
  if (blows.length === 0) return "none";
  return blows.some((each) => world.members.includes(each)) ? "alive" : "dead";
}

/** @returns who was struck. */
function act(
  { now, members }: World,
  guard: Guard,
  step: Step,
  first: Member | undefined,
): Member | undefined {
  if ("until" in step) guard.nextLook = step.until;
  else guard.nextLook = now + 1;
  switch (step.do) {
    case "strike":
      if (first === undefined) {
        if (guard.blows.some((each) => members.includes(each))) return undefined;
        guard.engagement = undefined;
        guard.blows = [];
        guard.idleUntil = guard.nextLook = now + IDLE_MS;
        return undefined;
      }
      if (guard.patience.grace > 0) first.askedAt = now;
      else first.killedAt = now;
      guard.blows.push(first);
      return first;
    case "escalate": {
      const last = guard.blows.at(-1);
      if (last) last.killedAt = now;
      return last;
    }
    case "spare":
    case "stall":
      guard.blows = [];
      return undefined;
    case "end":
      guard.engagement = undefined;
      guard.blows = [];
      return undefined;
    case "reclaim":
    case "wait":
      return undefined;
  }
}

/** In the order in which they are taken. */
function candidatesIn({ members, limit }: World, { blows }: Guard): Member[] {
  const processes = members.filter((each) => !blows.includes(each)).map(asProcess);
  const of = (protection: Member["protection"]) =>
    members.filter((each) => each.protection === protection).map(({ pid }) => pid);
  const { choices } = chooseVictim({
    processes,
    capacity: limit,
    pidOneIsInit: true,
    untouchable: new Set(of("self")),
    attributes: new Map([["/kept", "kept"]]),
  }, { prefer: [], avoid: [], ignore: [] });
  return choices.map(({ process: { pid } }) => members.find((each) => each.pid === pid)!);
}

function asProcess({ pid, anon, protection }: Member): Process {
  return process(pid, {
    rss: anon,
    oomScoreAdj: protection === "immune" ? -1000 : 0,
    cgroup: protection === "exempt" ? "/kept" : "/a",
  });
}
