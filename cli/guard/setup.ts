/** From a request to the setup that a guard starts with. */

import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { directoryOf, discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { selfAndAncestors } from "../../core/cgroup/processes.ts";
import { ownCgroup, parseGlob, resolveTarget } from "../../core/cgroup/resolve.ts";
import { OomkitError } from "../../core/errors.ts";
import type { GuardPolicy } from "../../core/guard/policy.ts";
import type { Scope } from "../../core/guard/targets.ts";
import type { Labels } from "../../core/policy/rules.ts";
import { mistakeAt } from "../config/config.ts";
import { type Rule, rulesOf } from "../config/rules.ts";
import { checkMode, checkPreferences, checkRules, checkTree } from "./checks.ts";
import type { GuardFlags } from "./options.ts";
import { policySetOf, resolvePolicy, underRule, withRuleName } from "./policy.ts";
import type { GuardRequest, GuardSetup } from "./request.ts";

/**
 * Throws {@link OomkitError} for a request that is contradictory or impossible on this machine.
 *
 * @param labels of the pods; `undefined` without access to the Kubernetes API
 * @param before the setup to replace: one of its targets may be absent for a while
 */
export function buildGuardSetup(
  { flags, targets, file, sourceOf }: GuardRequest,
  labels: Labels | undefined,
  before?: GuardSetup,
): GuardSetup {
  const protectedPids = selfAndAncestors();
  const { policy: defaultPolicy, rescanMs, rearmMs, isPod } = resolvePolicy(
    flags,
    sourceOf,
    targets,
    protectedPids,
  );
  const rules = file === undefined ? [] : rulesOf(file);
  const policyUnder = (rule: Rule) => {
    const under = underRule(flags, sourceOf, rule);
    try {
      const { policy } = resolvePolicy(under.flags, under.sourceOf, targets, protectedPids);
      return withRuleName(rule, policy);
    } catch (error) {
      if (!(error instanceof OomkitError) || file === undefined) throw error;
      throw mistakeAt(file, ["guard", "rule", rule.number - 1], error.message);
    }
  };
  const policies = policySetOf(defaultPolicy, rules, policyUnder, labels ?? new Map());
  const hierarchy = isPod ? undefined : discover(flags.root);
  const scopes = hierarchy ? scopesOf(hierarchy, targets, flags, before?.scopes ?? []) : [];
  if (hierarchy) {
    for (const policy of policies.all) {
      checkMode(hierarchy, policy);
      checkTree(hierarchy, policy);
    }
    // Policies with the same preferences are checked once.
    const byPreferences = new Map(
      policies.all.map(({ preferences }) => [preferencesText(preferences), preferences]),
    );
    for (const preferences of byPreferences.values()) checkPreferences(preferences, scopes);
    checkRules(rules, scopes, policies, labels !== undefined);
  }
  return {
    policies,
    defaultPolicy,
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
  // As with oom-guard, --root without a target means the whole tree.
  const whole = flags.root === undefined ? undefined : openCgroup(hierarchy, hierarchy.root);
  if (targets.length === 0 && whole) return [{ cgroup: whole, recursive: true }];
  if (targets.length === 0) return [{ cgroup: ownCgroup(hierarchy), recursive }];
  return targets.flatMap((target): Scope[] => {
    const glob = parseGlob(hierarchy, target);
    // A match of a glob may be created later, but the directory that the glob starts in must exist.
    if (glob?.base !== undefined) {
      return [{ cgroup: glob.base, recursive: true, pattern: glob.pattern }];
    }
    const known = before.filter(({ cgroup: { path } }) => path === target);
    if (known.some(({ cgroup: { path } }) => !openCgroup(hierarchy, path))) {
      return known.map((scope) => ({ ...scope, recursive }));
    }
    return resolveTarget(hierarchy, target).map((cgroup) => ({ cgroup, recursive }));
  });
}

const preferencesText = (preferences: GuardPolicy["preferences"]) =>
  Object.values(preferences).map((list) => list.map(String).join(" ")).join("\n");
