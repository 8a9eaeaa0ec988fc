/** From what was asked for to what a guard is started with. */

import { openCgroup } from "../core/cgroup/cgroup.ts";
import { directoryOf, discover, type Hierarchy } from "../core/cgroup/hierarchy.ts";
import { ownLineage } from "../core/cgroup/lineage.ts";
import { ownCgroup, parseGlob, resolveTarget } from "../core/cgroup/resolve.ts";
import type { GuardPlan, Plans } from "../core/guard/plan.ts";
import type { Labels } from "../core/policy/rules.ts";
import type { Scope } from "../core/guard/scope.ts";
import { OomkitError } from "../core/errors.ts";
import { mistakeAt } from "./config.ts";
import { type Rule, rulesOf } from "./config_rules.ts";
import type { Asked } from "./guard.ts";
import { checkMode, checkRules, checkTree } from "./guard_checks.ts";
import { checkPreferences } from "./guard_explain.ts";
import type { GuardFlags } from "./guard_options.ts";
import { namedBy, planOf, plansOf, underRule } from "./guard_plan.ts";

export interface GuardSetup {
  readonly plans: Plans;
  /** What holds where no rule does. */
  readonly usual: GuardPlan;
  readonly rules: readonly Rule[];
  readonly scopes: readonly Scope[];
  readonly walkEvery: number;
  readonly rearmEvery: number;
  readonly isPod: boolean;
  readonly untouchable: ReadonlySet<number>;
  /** Of the hierarchy. */
  readonly version: 1 | 2;
  /** Where a cgroup path lies in the file system; the path itself where that is not known. */
  directoryOf(path: string): string;
}

/**
 * Throws {@link OomkitError} for what cannot be meant, or cannot be had here.
 *
 * @param labels of the pods; `undefined` where nobody can be asked.
 * @param before what held until now: what was a target then may be away for a while.
 */
export function setUp(asked: Asked, labels: Labels | undefined, before?: GuardSetup): GuardSetup {
  const { flags, targets, file, sourceOf } = asked;
  const untouchable = ownLineage();
  const { plan: usual, walkEvery, rearmEvery, isPod } = planOf(
    flags,
    sourceOf,
    targets,
    untouchable,
  );
  const rules = file === undefined ? [] : rulesOf(file);
  const underOf = (rule: Rule) => {
    const under = underRule(flags, sourceOf, rule);
    try {
      return namedBy(rule, planOf(under.flags, under.sourceOf, targets, untouchable).plan);
    } catch (error) {
      if (!(error instanceof OomkitError) || file === undefined) throw error;
      throw mistakeAt(file, ["guard", "rule", rule.number - 1], error.message);
    }
  };
  const plans = plansOf(usual, rules, underOf, labels ?? new Map());
  const hierarchy = isPod ? undefined : discover(flags.root);
  const scopes = hierarchy ? scopesOf(hierarchy, targets, flags, before?.scopes ?? []) : [];
  if (hierarchy) {
    for (const plan of plans.all) {
      checkMode(hierarchy, plan);
      checkTree(hierarchy, plan);
    }
    const wishes = new Map(plans.all.map((plan) => [textOf(plan.preferences), plan]));
    for (const plan of wishes.values()) checkPreferences(plan, scopes);
    checkRules(rules, scopes, plans, labels !== undefined);
  }
  return {
    plans,
    usual,
    rules,
    scopes,
    walkEvery,
    rearmEvery,
    isPod,
    untouchable,
    version: (hierarchy ?? discover(flags.root)).dialect.version,
    directoryOf: (path) => (hierarchy && directoryOf(hierarchy, path)) ?? path,
  };
}

function scopesOf(
  hierarchy: Hierarchy,
  targets: readonly string[],
  flags: GuardFlags,
  before: readonly Scope[],
): Scope[] {
  const recursive = flags.recursive === true;
  // As with oom-guard, a tree that is named without a target is guarded as a whole.
  const whole = flags.root === undefined ? undefined : openCgroup(hierarchy, hierarchy.root);
  if (targets.length === 0 && whole) return [{ cgroup: whole, recursive: true }];
  if (targets.length === 0) return [{ cgroup: ownCgroup(hierarchy), recursive }];
  return targets.flatMap((target): Scope[] => {
    const glob = parseGlob(hierarchy, target);
    // What fits a glob may yet come; where it would be must be there.
    if (glob?.base === undefined) {
      const away = before.filter(({ cgroup: { path } }) => path === target);
      const isThere = away.every(({ cgroup: { path } }) => openCgroup(hierarchy, path));
      if (!isThere) return away.map((scope) => ({ ...scope, recursive }));
      return resolveTarget(hierarchy, target).map((cgroup) => ({ cgroup, recursive }));
    }
    return [{ cgroup: glob.base, recursive: true, pattern: glob.pattern }];
  });
}

const textOf = (preferences: GuardPlan["preferences"]) =>
  Object.values(preferences).map((list) => list.map(String).join(" ")).join("\n");
