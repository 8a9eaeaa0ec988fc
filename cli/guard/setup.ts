/** From what was asked for to what a guard is started with. */

import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { directoryOf, discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { selfAndAncestors } from "../../core/cgroup/processes.ts";
import { ownCgroup, parseGlob, resolveTarget } from "../../core/cgroup/resolve.ts";
import type { GuardPolicy, PolicySet } from "../../core/guard/policy.ts";
import type { Labels } from "../../core/policy/rules.ts";
import type { Scope } from "../../core/guard/targets.ts";
import { OomkitError } from "../../core/errors.ts";
import { mistakeAt } from "../config/config.ts";
import { type Rule, rulesOf } from "../config/rules.ts";
import type { GuardRequest } from "./command.ts";
import { checkMode, checkRules, checkTree } from "./checks.ts";
import { checkPreferences } from "./explain.ts";
import type { GuardFlags } from "./options.ts";
import { guardRequestOf, policySetOf, underRule, withRuleName } from "./policy.ts";

export interface GuardSetup {
  readonly policies: PolicySet;
  /** What holds where no rule does. */
  readonly usual: GuardPolicy;
  readonly rules: readonly Rule[];
  readonly scopes: readonly Scope[];
  readonly rescanMs: number;
  readonly rearmMs: number;
  readonly isPod: boolean;
  readonly protectedPids: ReadonlySet<number>;
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
export function buildGuardSetup(
  requested: GuardRequest,
  labels: Labels | undefined,
  before?: GuardSetup,
): GuardSetup {
  const { flags, targets, file, sourceOf } = requested;
  const protectedPids = selfAndAncestors();
  const { policy: usual, rescanMs, rearmMs, isPod } = guardRequestOf(
    flags,
    sourceOf,
    targets,
    protectedPids,
  );
  const rules = file === undefined ? [] : rulesOf(file);
  const underOf = (rule: Rule) => {
    const under = underRule(flags, sourceOf, rule);
    try {
      return withRuleName(
        rule,
        guardRequestOf(under.flags, under.sourceOf, targets, protectedPids).policy,
      );
    } catch (error) {
      if (!(error instanceof OomkitError) || file === undefined) throw error;
      throw mistakeAt(file, ["guard", "rule", rule.number - 1], error.message);
    }
  };
  const policies = policySetOf(usual, rules, underOf, labels ?? new Map());
  const hierarchy = isPod ? undefined : discover(flags.root);
  const scopes = hierarchy ? scopesOf(hierarchy, targets, flags, before?.scopes ?? []) : [];
  if (hierarchy) {
    for (const policy of policies.all) {
      checkMode(hierarchy, policy);
      checkTree(hierarchy, policy);
    }
    const wishes = new Map(policies.all.map((policy) => [textOf(policy.preferences), policy]));
    for (const policy of wishes.values()) checkPreferences(policy, scopes);
    checkRules(rules, scopes, policies, labels !== undefined);
  }
  return {
    policies,
    usual,
    rules,
    scopes,
    rescanMs,
    rearmMs,
    isPod,
    protectedPids,
    version: (hierarchy ?? discover(flags.root)).version.number,
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

const textOf = (preferences: GuardPolicy["preferences"]) =>
  Object.values(preferences).map((list) => list.map(String).join(" ")).join("\n");
