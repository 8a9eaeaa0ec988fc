/** Checks whether a guard can do what the options request, before it starts. */

import { walk } from "../../core/cgroup/cgroup.ts";
import type { Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { identify } from "../../core/cgroup/identity.ts";
import { listProcesses } from "../../core/cgroup/processes.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Guard } from "../../core/guard/guard.ts";
import { signalDenied } from "../../core/guard/permissions.ts";
import { type GuardPolicy, killLevel, policyFor, type PolicySet } from "../../core/guard/policy.ts";
import { candidatesIn, type Scope } from "../../core/guard/targets.ts";
import { ACTIONS } from "../../core/policy/actions.ts";
import { fits, type Labels, ruleFor } from "../../core/policy/rules.ts";
import { matchedLine } from "../../core/policy/victims.ts";
import type { Rule } from "../config/rules.ts";
import { printable, printStderr } from "../output/output.ts";
import type { GuardSetup } from "./request.ts";

/** The parts of a hierarchy that a mode depends on. */
type ModeSupport = Pick<Hierarchy, "writable" | "kernel"> & {
  readonly version: Pick<Hierarchy["version"], "number" | "canThrottle" | "canDisableOomKiller">;
};

/** Only `auto` may fall back to another mode. */
export function checkMode(
  { version, writable, kernel }: ModeSupport,
  { mode, actions, rule }: GuardPolicy,
): void {
  const refuse = (why: string, right: string) => {
    throw new OomkitError(`cannot use --mode ${mode}${inRule(rule)}: ${why}`, right);
  };
  if (mode === "auto" || mode === "notify") return;
  if (mode === "throttle" && !version.canThrottle) {
    refuse(`cgroup v${version.number} has no memory.high`, "use hold or notify");
  }
  if (mode === "hold" && !version.canDisableOomKiller) {
    refuse(`cgroup v${version.number} cannot disable the OOM killer`, "use throttle or notify");
  }
  if (mode === "hold" && killLevel(actions) === undefined) {
    refuse("no level kills, so allocators would wait forever", "add --policy process");
  }
  if (!kernel) refuse("this tree is not a kernel's", "use notify");
  if (!writable) refuse("the cgroup file system is read-only", "use notify");
}

/** The pids in a copied or fake tree may belong to unrelated processes of this machine. */
export function checkTree({ kernel }: Hierarchy, { actions, dryRun, rule }: GuardPolicy): void {
  if (kernel || dryRun) return;
  const harmful = Object.values(actions).flat().find(({ kind }) => ACTIONS[kind].affectsCgroup);
  if (harmful === undefined) return;
  throw new OomkitError(
    `cannot use ${harmful.kind}${
      inRule(rule)
    }: this tree is not a kernel's, and its pids may belong to unrelated processes`,
    "add --dry-run",
  );
}

const inRule = (rule: string | undefined) =>
  rule === undefined ? "" : ` in the rule "${printable(rule)}"`;

/** Warns about a rule that matches nothing, because it may be misspelt. */
export function checkRules(
  rules: readonly Rule[],
  scopes: readonly Scope[],
  policies: PolicySet,
  hasLabels: boolean,
): void {
  const nameOf = ({ name }: Rule) => `the rule "${printable(name)}"`;
  const blind = rules.find(({ selector }) => selector.labels);
  if (blind && !hasLabels) {
    printStderr(`${nameOf(blind)} selects pods by labels, which requires --kubernetes`);
  }
  const locations = [...candidatesIn(scopes)].map(({ cgroup: { path } }) => ({
    path,
    podUid: identify(path).podUid,
  }));
  const none: Labels = new Map();
  const applied = new Set(locations.map((at) => ruleFor(policies.rules, at, policies.labels)));
  for (const rule of rules) {
    // The labels of the pods are not known yet.
    if (rule.selector.labels || applied.has(rule.number - 1)) continue;
    const isShadowed = locations.some((at) => fits(rule.selector, at, none));
    printStderr(
      `${nameOf(rule)} (${printable(rule.where)}) ${
        isShadowed
          ? "never applies: earlier rules match all of its cgroups"
          : "matches no existing cgroup"
      }`,
    );
  }
}

/** Warns about an expression that matches nothing, because it may be misspelt. */
export function checkPreferences(
  preferences: GuardPolicy["preferences"],
  scopes: readonly Scope[],
): void {
  const all = Object.entries(preferences);
  if (all.every(([, list]) => list.length === 0)) return;
  const processes = scopes.flatMap(({ cgroup }) => listProcesses(cgroup).processes);
  const texts = [
    ...processes.map(matchedLine),
    ...scopes.flatMap(({ cgroup }) => [...walk(cgroup)].map(({ path }) => path)),
  ];
  for (const [name, list] of all) {
    for (const expression of list) {
      if (texts.some((text) => expression.test(text))) continue;
      printStderr(`--${name} ${expression.source} matches no running process and no cgroup`);
    }
  }
}

/**
 * Throws {@link OomkitError} for a target that cannot be guarded as requested, and for a mode that works in none of the cgroups.
 * One cgroup of a recursive target may fail.
 */
export function checkReach(
  guarding: Guard,
  { scopes, policies, defaultPolicy }: GuardSetup,
): void {
  const entries = guarding.guardedCgroups();
  for (const { cgroup, recursive } of scopes) {
    const isExempt = policyFor(policies, cgroup.path) === undefined;
    if (recursive || isExempt) continue;
    const guarded = entries.find((each) => each.cgroup.path === cgroup.path);
    if (guarded === undefined) {
      throw new OomkitError(
        `cannot guard ${
          printable(cgroup.path)
        }: neither it nor an ancestor has a limit above the margin`,
        "set a limit, or see: oomkit inspect",
      );
    }
    const { actions, protectedPids } = guarded.policy;
    const refused = killLevel(actions) && signalDenied(guarded.cgroup, protectedPids);
    if (refused) {
      throw new OomkitError(
        `cannot kill the processes of ${printable(cgroup.path)}: ${refused}`,
        "run as root or as their owner",
      );
    }
  }
  const { mode, dryRun } = defaultPolicy;
  const affected = entries.filter(({ policy }) => policy === defaultPolicy);
  if (mode === "auto" || dryRun || affected.length === 0) return;
  if (affected.some(({ settings }) => settings.mode === mode)) return;
  throw new OomkitError(
    `cannot use --mode ${mode}: setting it up failed in all ${affected.length} cgroups, for the reasons above`,
    "use --mode auto, which falls back to notify",
  );
}
