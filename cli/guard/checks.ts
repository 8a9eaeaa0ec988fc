/** What a guard was asked for and cannot do, said before it begins. */

import type { Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Guard } from "../../core/guard/guard.ts";
import { identify } from "../../core/cgroup/identity.ts";
import { ACTIONS } from "../../core/policy/actions.ts";
import { fits, type Labels, ruleFor } from "../../core/policy/rules.ts";
import { type GuardPolicy, killLevel, policyFor, type PolicySet } from "../../core/guard/policy.ts";
import { signalDenied } from "../../core/guard/permissions.ts";
import { candidatesIn, type Scope } from "../../core/guard/targets.ts";
import type { Rule } from "../config/rules.ts";
import type { GuardSetup } from "./setup.ts";
import { printable, printStderr } from "../output/output.ts";

/** What a mode stands on. */
type ModeGround = Pick<Hierarchy, "writable" | "kernel"> & {
  readonly version: Pick<Hierarchy["version"], "number" | "canThrottle" | "canDisableOomKiller">;
};

/** A mode that is named is meant; only `auto` may take a quieter one. */
export function checkMode(
  { version, writable, kernel }: ModeGround,
  { mode, actions, rule }: GuardPolicy,
): void {
  const wrong = (why: string, right: string) => {
    throw new OomkitError(`cannot use --mode ${mode}${inRule(rule)}: ${why}`, right);
  };
  if (mode === "auto" || mode === "notify") return;
  if (mode === "throttle" && !version.canThrottle) {
    wrong(`cgroup v${version.number} has no memory.high`, "use hold or notify");
  }
  if (mode === "hold" && !version.canDisableOomKiller) {
    wrong(`cgroup v${version.number} cannot switch the killer off`, "use throttle or notify");
  }
  if (mode === "hold" && killLevel(actions) === undefined) {
    wrong(
      "nothing is to be killed, and the allocators would wait for ever",
      "add --policy process",
    );
  }
  if (!kernel) wrong("this tree is not a kernel's", "use notify");
  if (!writable) wrong("the cgroup file system is read-only", "use notify");
}

/** The pids in a copy of a tree, or in one that was made up, are anybody's on this machine. */
export function checkTree({ kernel }: Hierarchy, { actions, dryRun, rule }: GuardPolicy): void {
  if (kernel || dryRun) return;
  const harmful = Object.values(actions).flat().find(({ kind }) => ACTIONS[kind].affectsCgroup);
  if (harmful === undefined) return;
  throw new OomkitError(
    `cannot use ${harmful.kind} here${
      inRule(rule)
    }: this tree is not a kernel's, and its pids may be anybody's`,
    "add --dry-run",
  );
}

const inRule = (rule: string | undefined) =>
  rule === undefined ? "" : ` in the rule "${printable(rule)}"`;

/** A rule that fits nothing may be misspelt; better said than found out. */
export function checkRules(
  rules: readonly Rule[],
  scopes: readonly Scope[],
  policies: PolicySet,
  hasLabels: boolean,
): void {
  const blind = rules.find(({ selector }) => selector.labels);
  if (blind && !hasLabels) {
    printStderr(`${named(blind)} asks for labels of pods, which are known with --kubernetes only`);
  }
  const paths = [...candidatesIn(scopes)].map(({ cgroup: { path } }) => path);
  const none: Labels = new Map();
  const whereOf = (path: string) => ({ path, podUid: identify(path).podUid });
  const first = new Set(
    paths.map((path) => ruleFor(policies.rules, whereOf(path), policies.labels)),
  );
  for (const rule of rules) {
    // Of pods nothing is known yet.
    if (rule.selector.labels || first.has(rule.number - 1)) continue;
    const isFitting = paths.some((path) => fits(rule.selector, whereOf(path), none));
    printStderr(
      isFitting
        ? `${named(rule)} (${printable(rule.where)}) never holds: an earlier one fits all it fits`
        : `${named(rule)} (${printable(rule.where)}) fits no cgroup that is there now`,
    );
  }
}

const named = ({ name }: Rule) => `the rule "${printable(name)}"`;

/** A target that can never be guarded as it was asked for is a mistake; one of many is not. */
export function checkReach(guarding: Guard, { scopes, policies, usual }: GuardSetup): void {
  const entries = guarding.guardedCgroups();
  for (const { cgroup, recursive } of scopes) {
    const isExempt = policyFor(policies, cgroup.path) === undefined;
    if (recursive || isExempt) continue;
    const guarded = entries.find((each) => each.cgroup.path === cgroup.path);
    if (guarded === undefined) {
      throw new OomkitError(
        `cannot guard ${
          printable(cgroup.path)
        }: neither it nor an ancestor has a limit that leaves room for the margin`,
        "set a limit, or look at: oomkit inspect",
      );
    }
    const { actions, protectedPids } = guarded.policy;
    const refused = killLevel(actions) && signalDenied(guarded.cgroup, protectedPids);
    if (refused) {
      throw new OomkitError(
        `cannot end the processes of ${printable(cgroup.path)}: ${refused}`,
        "run as root or as their owner",
      );
    }
  }
  const { mode, dryRun } = usual;
  const meant = entries.filter(({ policy }) => policy === usual);
  if (mode === "auto" || dryRun || meant.length === 0) return;
  if (meant.some(({ settings }) => settings.mode === mode)) return;
  throw new OomkitError(
    `cannot use --mode ${mode}: it could not be set up in any of ${meant.length} cgroups, for the reasons above`,
    "use --mode auto for what works",
  );
}
