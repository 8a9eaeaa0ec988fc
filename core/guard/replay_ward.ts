/**
 * One guarded cgroup in virtual time: the looks of a recording through what the sentry decides by (`hear`, `measure`, `pursue`).
 * Pure.
 */

import type { Bounds, Level } from "../policy/bounds.ts";
import { pursue, type Sight, type Step } from "../policy/engagement.ts";
import { type Bells, freshBells } from "../policy/levels.ts";
import type { RecordedSnapshot } from "../record/format.ts";
import { hear, type Listener } from "./hear.ts";
import { measure, type Measured, unmeasured } from "./measure.ts";
import { actingLevels, type GuardPlan, type Mode } from "./plan.ts";

/** What a guard does that anybody would notice, or wait for. */
export type Act = Level | "reclaim" | "spare" | "strike" | "escalate" | "nobody";

/** @param at milliseconds since the epoch. Sizes are bytes. */
export interface Deed {
  readonly at: number;
  readonly act: Act;
  readonly usage: number;
}

export interface ReplayTerms {
  readonly plan: GuardPlan;
  readonly bounds: Bounds;
  readonly limit: number;
  readonly mode: Mode;
}

export interface ReplayWard {
  /** Every look in turn. @returns what is done at it now. */
  look(snapshot: RecordedSnapshot): readonly Deed[];
  rebound(terms: ReplayTerms): void;
  /** Looks at which memory.stat was needed and is not in the recording: what was read last has stood in, or nothing. */
  readonly guesses: number;
}

/** As `core/guard/fight.ts` has it, where nobody can be struck (milliseconds). */
const IDLE_MS = 100;
const LONGEST_IDLE_MS = 1000;

/** @param isGuards the looks are a guard's own; else what was read for the recording's sake is looked at, too. */
export function createReplayWard(first: ReplayTerms, isGuards: boolean): ReplayWard {
  let terms = first;
  const usual: Measured = { ...unmeasured };
  const listener: {
    -readonly [K in keyof Listener]: Listener[K];
  } = {
    bells: freshBells as Bells,
    engagement: undefined,
    idleUntil: -Infinity,
    orders: ordersOf(first),
  };
  let now = -Infinity;
  let idleFor = 0;
  let guesses = 0;
  /** memory.stat as far as it is known. */
  let inactiveFile: number | undefined;
  let reclaimable: number | undefined;
  let unreclaimable: number | undefined;
  let unreclaimableAt = -Infinity;
  let unreclaimableRate: number | undefined;
  /** Something was struck in this engagement, at the very look at which the recording has it. */
  let hasStruck = false;
  /** Below this what the recording has is what would have been; until then something was struck that lived on in it. */
  let awaited: number | undefined;

  const learn = (seen: RecordedSnapshot) => {
    inactiveFile = seen.inactive_file ?? inactiveFile;
    reclaimable = seen.reclaimable ?? reclaimable;
    if (isGuards) unreclaimableRate = seen.unreclaimable_rate;
    else if (seen.reclaimable !== undefined) {
      const over = now - unreclaimableAt;
      const rest = seen.usage - seen.reclaimable;
      unreclaimableRate = over > 0 && unreclaimable !== undefined
        ? 1000 * (rest - unreclaimable) / over
        : undefined;
      unreclaimable = rest;
      unreclaimableAt = now;
    }
  };

  const valueOf = ({ usage }: RecordedSnapshot): number => {
    if (terms.plan.base === "usage" || usage < terms.bounds.warn) return usage;
    if (inactiveFile === undefined) guesses++;
    return Math.max(0, usage - (inactiveFile ?? 0));
  };

  const sightOf = (seen: RecordedSnapshot, level: Level): Sight => {
    const { usage, victim = "dead" } = seen;
    if (reclaimable === undefined) guesses++;
    return {
      value: valueOf(seen),
      threshold: terms.bounds[level],
      usage,
      limit: terms.limit,
      reclaimable,
      rate: isGuards ? seen.rate : usual.rate,
      unreclaimableRate,
      waits: terms.mode === "hold",
      victim: hasStruck ? victim : "none",
    };
  };

  const begin = (seen: RecordedSnapshot): Deed[] => {
    const value = valueOf(seen);
    const { reached, levels } = hear(listener, terms.bounds, value, now);
    if (!reached) idleFor = 0;
    return levels.map((act) => ({ at: now, act, usage: seen.usage }));
  };

  const leave = () => {
    listener.engagement = undefined;
    hasStruck = false;
  };

  const strike = (seen: RecordedSnapshot, level: Level): Deed[] => {
    if (seen.did === "nobody") {
      leave();
      idleFor = Math.min(LONGEST_IDLE_MS, Math.max(IDLE_MS, 2 * idleFor));
      listener.idleUntil = now + idleFor;
      return [{ at: now, act: "nobody", usage: seen.usage }];
    }
    // Of a rehearsal nothing comes.
    if (terms.plan.dryRun) leave();
    else if (seen.did === "strike") hasStruck = true;
    else {
      leave();
      awaited = terms.bounds[level];
    }
    return [{ at: now, act: "strike", usage: seen.usage }];
  };

  const pursueIt = (seen: RecordedSnapshot): Deed[] => {
    const engagement = listener.engagement!;
    const { level, state: before } = engagement;
    const { patience } = terms.plan;
    const { engagement: state, step } = pursue(before, sightOf(seen, level), patience, now);
    const did = (act: Act): Deed[] => [{ at: now, act, usage: seen.usage }];
    // Somebody else was dying, or the look was too old: as it was then, it is looked again.
    if (step.do === "strike" && seen.did === "put_off") return [];
    engagement.state = state;
    switch (step.do) {
      case "strike":
        return strike(seen, level);
      case "escalate":
        if (seen.did === "escalate") return did("escalate");
        leave();
        awaited = terms.bounds[level];
        return did("escalate");
      case "end":
        leave();
        return [];
      case "reclaim":
        return did("reclaim");
      default:
        return isNews(step, before.phase) ? did("spare") : [];
    }
  };

  return {
    look(seen) {
      if (isGuards && seen.beside) {
        learn(seen);
        return [];
      }
      // Of several processes that tell of their looks some are late.
      if (seen.at < now) return [];
      now = seen.at;
      if (!isGuards) measure(usual, seen.usage, now);
      learn(seen);
      if (awaited !== undefined) {
        if (valueOf(seen) >= awaited) return [];
        awaited = undefined;
      }
      const deeds = listener.engagement ? [] : begin(seen);
      return listener.engagement ? [...deeds, ...pursueIt(seen)] : deeds;
    },
    rebound(next) {
      // What is under way was begun under other orders, as in the sentry.
      if (next.plan !== terms.plan) {
        leave();
        listener.bells = freshBells;
        listener.idleUntil = -Infinity;
      }
      terms = next;
      listener.orders = ordersOf(next);
    },
    get guesses() {
      return guesses;
    },
  };
}

function ordersOf({ plan: { rearming, actions, dryRun } }: ReplayTerms): Listener["orders"] {
  return { rearming, actions, dryRun, acting: actingLevels(actions) };
}

const isNews = (step: Step, before: string) => step.do === "spare" && before !== "spared";

/** What the recording says was done at a look. @param before what was done at the last. */
export function recordedDeeds(seen: RecordedSnapshot, before: string | undefined): readonly Deed[] {
  const { at, usage, rang = [], did } = seen;
  const acts: Act[] = [...rang];
  if (did === "spare" ? before !== "spare" : isAct(did)) acts.push(did as Act);
  return acts.map((act) => ({ at, act, usage }));
}

const isAct = (did: string | undefined) =>
  did === "reclaim" || did === "strike" || did === "escalate" || did === "nobody";
