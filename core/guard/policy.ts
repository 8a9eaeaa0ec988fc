/** What a guard is asked to do: plain data, so that it can be handed to another thread. */

import { identify } from "../cgroup/identity.ts";
import { type Level, LEVELS, type Margin } from "../policy/levels.ts";
import type { VictimPreferences } from "../policy/victims.ts";
import type { KillTimeouts } from "../policy/kill_cycle.ts";
import type { TriggerPolicy } from "../policy/levels.ts";
import { type Labels, type Rule, ruleFor } from "../policy/rules.ts";

export type Action =
  | { readonly kind: "noop" }
  /** To every process in the cgroup that handles it. */
  | { readonly kind: "signal"; readonly signal: Deno.Signal }
  | { readonly kind: "reclaim" }
  /** The process that the kernel would choose. */
  | { readonly kind: "process" }
  /** Everything in the victim's container. */
  | { readonly kind: "container" }
  /** A command for `sh -c`, with the event on stdin. */
  | { readonly kind: "exec"; readonly command: string };

export type KillAction = "process" | "container";

/**
 * How to be in time. `notify` changes nothing; `throttle` sets memory.high (v2), `hold` switches the kernel's killer off (v1),
 * and both put back what was there before.
 */
export type Mode = "notify" | "throttle" | "hold";

/** What is to be done in a cgroup. Different ones may have different plans. */
export interface GuardPolicy {
  /** The rule that it comes from; absent for what holds where no rule does. */
  readonly rule?: string;
  readonly mode: Mode | "auto";
  readonly levels: {
    /** Percent of the limit. */
    readonly warn: number;
    readonly critical: number;
    /** What is not given of it is that of the mode. */
    readonly margin: Partial<Margin>;
  };
  readonly triggerPolicy: TriggerPolicy;
  readonly timeouts: KillTimeouts;
  readonly metric: "usage" | "working-set";
  readonly actions: Readonly<Record<Level, readonly Action[]>>;
  readonly preferences: VictimPreferences;
  /** Also soft limits: v1 memory.soft_limit_in_bytes, v2 memory.high. */
  readonly softLimit: boolean;
  /** Everything but the deed itself. */
  readonly dryRun: boolean;
  /** Look at least this often, in milliseconds, instead of being notified. */
  readonly poll?: number;
  /** The guard itself and who started it: never victims. */
  readonly protectedPids: ReadonlySet<number>;
}

/** What is to die at a level. */
export function killActionOf(actions: readonly Action[]): KillAction | undefined {
  return actions.map(({ kind }) => kind)
    .find((kind): kind is KillAction => kind === "process" || kind === "container");
}

/** The lowest level at which something is to die; `undefined` where nothing is. */
export function killLevel(actions: GuardPolicy["actions"]): Level | undefined {
  return LEVELS.find((level) => killActionOf(actions[level]) !== undefined);
}

/** The levels at which anything is asked for; who asks for `noop` does not want what is done below. */
export function actingLevels(actions: GuardPolicy["actions"]): ReadonlySet<Level> {
  return new Set(LEVELS.filter((level) => actions[level].length > 0));
}

/** Which plan holds where. Plain data, too. */
export interface PolicySet {
  /** One for each rule, and last what holds where no rule does. */
  readonly all: readonly GuardPolicy[];
  readonly rules: readonly Rule[];
  readonly labels: Labels;
}

/** The same everywhere. */
export function singlePolicy(policy: GuardPolicy): PolicySet {
  return { all: [policy], rules: [], labels: new Map() };
}

/** An index into `all`; `undefined` for what is not to be guarded. */
export function policyFor({ rules, labels }: PolicySet, path: string): number | undefined {
  if (rules.length === 0) return 0;
  const number = ruleFor(rules, { path, podUid: identify(path).podUid }, labels);
  return rules[number]?.isExempt ? undefined : number;
}

/** Whether a rule leaves alone what lies there, also when it is the limit of a cgroup above that is near. */
export function isExcluded(policies: PolicySet, path: string): boolean {
  if (policies.rules.length === 0) return false;
  const number = policyFor(policies, path);
  if (number === undefined) return true;
  return number < policies.rules.length && killLevel(policies.all[number]!.actions) === undefined;
}

/** Whether anything is to die under any of them. */
export function kills(policies: Pick<PolicySet, "all">): boolean {
  return policies.all.some(({ actions }) => killLevel(actions) !== undefined);
}

/** Whether anybody is to die under any of them in earnest, so that others may be stopped for a moment. */
export function maySuspend(policies: Pick<PolicySet, "all">): boolean {
  return kills({ all: policies.all.filter(({ dryRun }) => !dryRun) });
}

/** The same for plans that ask for the same. */
export function keyOf(policy: GuardPolicy): string {
  return JSON.stringify(policy, (_, value) => {
    if (value instanceof RegExp) return String(value);
    return value instanceof Set ? [...value] : value;
  });
}
