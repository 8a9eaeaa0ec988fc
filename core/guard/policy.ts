/** What a guard is configured to do: plain data, so that it can be sent to the monitor thread. */

import { identify } from "../cgroup/identity.ts";
import type { CgroupVersion } from "../cgroup/version.ts";
import { type Action, killActionOf } from "../policy/actions.ts";
import type { DecisionPolicy, KillSettings } from "../policy/kill_cycle.ts";
import {
  type Level,
  LEVELS,
  MACHINE_MARGIN,
  type Margin,
  marginOf,
  type Mode,
  type TriggerPolicy,
} from "../policy/levels.ts";
import type { PressureCondition } from "../policy/pressure_window.ts";
import { type Labels, type Rule, ruleFor } from "../policy/rules.ts";
import type { Essential, VictimPreferences } from "../policy/victims.ts";

/** For one cgroup; cgroups under different rules have different policies. */
export interface GuardPolicy {
  /** The rule that it comes from; absent for the default policy. */
  readonly rule?: string;
  readonly mode: Mode | "auto";
  readonly levels: {
    /** Percent of the limit. */
    readonly warn: number;
    readonly critical: number;
    /** What is absent is that of the mode. */
    readonly margin: Partial<Margin>;
  };
  readonly triggerPolicy: TriggerPolicy;
  readonly killSettings: KillSettings;
  readonly metric: "usage" | "working-set";
  readonly actions: Readonly<Record<Level, readonly Action[]>>;
  readonly preferences: VictimPreferences;
  /** Guard soft limits too: v1 memory.soft_limit_in_bytes, v2 memory.high. */
  readonly softLimit: boolean;
  /** Evaluate and report, but do not signal, kill or write. */
  readonly dryRun: boolean;
  /** Of the machine: below the imminent level nothing is killed unless processes wait for memory for so long. */
  readonly pressure?: PressureCondition;
  /** Poll at least this often, in milliseconds, instead of waiting for notifications. */
  readonly poll?: number;
  /** The guard itself and its ancestors: never victims. */
  readonly protectedPids: ReadonlySet<number>;
}

/** The lowest level with an action that kills; `undefined` when there is none. */
export function killLevel(actions: GuardPolicy["actions"]): Level | undefined {
  return LEVELS.find((level) => killActionOf(actions[level]) !== undefined);
}

/** The mode that a policy asks for in a cgroup of this version; another one can stand in for it. */
export function requestedMode(
  policy: GuardPolicy,
  { canThrottle, canDisableOomKiller }: Pick<CgroupVersion, "canThrottle" | "canDisableOomKiller">,
): Mode {
  if (policy.dryRun) return "notify";
  if (policy.mode !== "auto") return policy.mode;
  // A guard that only reports changes nothing. The soft limit of v2 is memory.high itself, and at that of v1 the kernel kills nothing.
  if (killLevel(policy.actions) === undefined || policy.softLimit) return "notify";
  if (canThrottle) return "throttle";
  return canDisableOomKiller ? "hold-near-limit" : "notify";
}

/** The levels with actions. `noop` is one: it keeps the actions of lower levels from running at this level. */
export function actingLevels(actions: GuardPolicy["actions"]): ReadonlySet<Level> {
  return new Set(LEVELS.filter((level) => actions[level].length > 0));
}

/** The kernel reclaims by itself what counts as available, and no control file changes what the machine does. */
export function policyOfMachine(
  policy: GuardPolicy,
  essentials: readonly Essential[],
  exitTimeoutMs = policy.killSettings.exitTimeoutMs,
): GuardPolicy {
  const { preferences, killSettings, levels } = policy;
  return {
    ...policy,
    mode: "notify",
    levels: { ...levels, margin: marginOf(MACHINE_MARGIN, levels.margin) },
    softLimit: false,
    metric: "usage",
    killSettings: { ...killSettings, reclaimFirst: false, exitTimeoutMs },
    preferences: { ...preferences, essentials },
  };
}

/** All policies, and which applies where. Plain data, too. */
export interface PolicySet {
  /** One for each rule, and last the default policy. */
  readonly all: readonly GuardPolicy[];
  readonly rules: readonly Rule[];
  readonly labels: Labels;
}

export function singlePolicy(policy: GuardPolicy): PolicySet {
  return { all: [policy], rules: [], labels: new Map() };
}

/** An index into `all`; `undefined` for a cgroup that is exempt. */
export function policyFor(
  { rules, labels }: PolicySet,
  path: string,
  isMachine = false,
): number | undefined {
  if (rules.length === 0) return 0;
  const number = ruleFor(rules, { path, podUid: identify(path).podUid, isMachine }, labels);
  return rules[number]?.isExempt ? undefined : number;
}

/** Whether a rule protects the processes at `path`, also when the limit of a cgroup above is near. */
export function isExcluded(policies: PolicySet, path: string): boolean {
  if (policies.rules.length === 0) return false;
  const number = policyFor(policies, path);
  if (number === undefined) return true;
  return number < policies.rules.length && killLevel(policies.all[number]!.actions) === undefined;
}

/** Whether any of the policies kills. */
export function kills(policies: Pick<PolicySet, "all">): boolean {
  return policies.all.some(({ actions }) => killLevel(actions) !== undefined);
}

/** Whether any of the policies kills outside of a dry run, so that processes may be suspended meanwhile. */
export function maySuspend(policies: Pick<PolicySet, "all">): boolean {
  return kills({ all: policies.all.filter(({ dryRun }) => !dryRun) });
}

/** `5%` of 0.05. */
export const percentText = (share: number): string => `${Number((100 * share).toFixed(4))}%`;

/** As the option `--swap`. */
export function swapText({ killSettings: { countSwap, swapUsedLimit } }: GuardPolicy): string {
  if (!countSwap) return "ignore";
  return swapUsedLimit === undefined ? "count" : percentText(swapUsedLimit);
}

/** As the option `--psi`; `null` without it. */
export const pressureText = ({ pressure }: GuardPolicy): string | null =>
  pressure ? `${pressure.kind}:${percentText(pressure.share)}/${pressure.window / 1000}s` : null;

/** Equal for equal policies. */
export function keyOf(policy: GuardPolicy): string {
  return JSON.stringify(policy, (_, value) => {
    if (value instanceof RegExp) return String(value);
    return value instanceof Set ? [...value] : value;
  });
}

/** A policy with what follows from it, computed once: for the monitor thread and for a replay. */
export interface ResolvedPolicy extends GuardPolicy, DecisionPolicy {
  readonly kills: boolean;
  readonly key: string;
}

export function resolvePolicy(policy: GuardPolicy): ResolvedPolicy {
  const { actions } = policy;
  const killing = new Set(LEVELS.filter((level) => killActionOf(actions[level]) !== undefined));
  const kills = killing.size > 0;
  return { ...policy, acting: actingLevels(actions), killing, kills, key: keyOf(policy) };
}
