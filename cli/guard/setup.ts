/** A guard as requested by the command line, the variables and the configuration, and as set up and checked from it. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { whyNoLimit } from "../../core/cgroup/ancestry.ts";
import {
  accessibleChildrenOf,
  type Cgroup,
  openCgroup,
  tryReadSnapshot,
  walk,
} from "../../core/cgroup/cgroup.ts";
import { directoryOf, discover, type Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { identify } from "../../core/cgroup/identity.ts";
import { readMachine } from "../../core/cgroup/machine.ts";
import { listProcesses, selfAndAncestors } from "../../core/cgroup/processes.ts";
import { ownCgroup, parseGlob, resolveTarget } from "../../core/cgroup/resolve.ts";
import { inSharedPidNamespace } from "../../core/cgroup/shared_pid_namespace.ts";
import { signalDenied } from "../../core/control/signal.ts";
import { OomkitError } from "../../core/errors.ts";
import type { Guard } from "../../core/guard/guard.ts";
import {
  type GuardPolicy,
  killLevel,
  policyFor,
  type PolicySet,
  requestedMode,
} from "../../core/guard/policy.ts";
import { candidatesIn, limitOf } from "../../core/guard/targets.ts";
import { ACTIONS } from "../../core/policy/actions.ts";
import { marginBytesIn } from "../../core/policy/levels.ts";
import { fits, type Labels, ruleFor } from "../../core/policy/rules.ts";
import type { CgroupOrder } from "../../core/policy/victim_order.ts";
import { matchedLine } from "../../core/policy/victims.ts";
import type { Scope } from "../../core/watch/scopes.ts";
import { type ConfigFile, mistakeAt } from "../config/config.ts";
import { type Rule, rulesOf } from "../config/rules.ts";
import { configFileOf, targetsOf } from "../options/subcommand.ts";
import { formatBytes } from "../options/units.ts";
import { warnOfMissing } from "../receivers/receivers.ts";
import { printable, printStderr } from "../output/output.ts";
import {
  checkMachineMode,
  checkMachineOptions,
  checkMachinePolicy,
  checkNoMachine,
  guardsMachine,
  IMPLICIT_RULE,
  machineScope,
  targetsBeside,
} from "./machine.ts";
import { guardBase, type GuardFlags } from "./options.ts";
import {
  type FlagsPolicy,
  oomHeroVariables,
  policyOfFlags,
  policySetOf,
  type SourceOf,
} from "./policy.ts";

export interface GuardRequest {
  readonly targets: readonly string[];
  readonly flags: GuardFlags;
  readonly file: ConfigFile | undefined;
  readonly sourceOf: SourceOf;
}

export interface GuardSetup extends Omit<FlagsPolicy, "policy"> {
  /** As requested; empty for the guard's own cgroup, and for all of `--root`. */
  readonly targets: readonly string[];
  readonly recursive: boolean;
  readonly policies: PolicySet;
  /** The policy of the cgroups that no rule matches. */
  readonly defaultPolicy: GuardPolicy;
  readonly rules: readonly Rule[];
  readonly scopes: readonly Scope[];
  readonly protectedPids: ReadonlySet<number>;
  /** Of the hierarchy. */
  readonly version: 1 | 2;
  /** The directory of a cgroup; the cgroup path if the directory is unknown. */
  directoryOf(path: string): string;
}

export function guardRequestOf(
  command: CommandUnknownOpts,
  named: readonly string[],
  flags: GuardFlags,
): GuardRequest {
  return {
    targets: flags.pod ? named : targetsOf(command, named),
    flags,
    file: configFileOf(command),
    sourceOf: (name) => command.getOptionValueSource(name),
  };
}

/** Parses the same command line again, with the configuration file as it is now. */
export async function reparseGuardRequest(args: readonly string[]): Promise<GuardRequest> {
  const { promise, resolve } = Promise.withResolvers<GuardRequest>();
  const command = guardBase().argument("[targets...]").exitOverride()
    .action((named, flags, self) => resolve(guardRequestOf(self, named, flags)));
  await command.parseAsync([...args], { from: "user" });
  return await promise;
}

/**
 * Throws {@link OomkitError} for a request that is contradictory or impossible on this machine.
 *
 * @param labels of the pods; `undefined` without access to the Kubernetes API
 * @param before the setup to replace: one of its targets may be absent for a while
 */
export function buildGuardSetup(
  request: GuardRequest,
  labels: Labels | undefined,
  before?: GuardSetup,
): GuardSetup {
  const { flags, targets, file, sourceOf } = request;
  const protectedPids = selfAndAncestors();
  const isShared = flags.pod === true || inSharedPidNamespace();
  const policyUsing = (flags: GuardFlags, sourceOf: SourceOf) =>
    policyOfFlags(flags, sourceOf, targets, protectedPids, isShared);
  const { policy: defaultPolicy, ...rest } = policyUsing(flags, sourceOf);
  if (!isShared && before === undefined) warnOfUnusedVariables();
  const hierarchy = rest.isPod ? undefined : discover(flags.root);
  const given = file === undefined ? [] : rulesOf(file, guardBase());
  if (rest.isPod) checkNoMachine(flags, given);
  const hasMachine = hierarchy !== undefined && guardsMachine(hierarchy, targets, flags, given);
  const isRuled = given.some(({ selector }) => selector.machine);
  const rules = hasMachine && !isRuled ? [...given, IMPLICIT_RULE] : given;
  checkMachineOptions(flags, given, hasMachine);
  const policyUnder = (flags: GuardFlags, sourceOf: SourceOf, { number }: Rule) => {
    try {
      return policyUsing(flags, sourceOf).policy;
    } catch (error) {
      if (!(error instanceof OomkitError) || file === undefined) throw error;
      throw mistakeAt(file, ["guard", "rule", number - 1], error.message);
    }
  };
  const policies = policySetOf(defaultPolicy, rules, request, policyUnder, labels ?? new Map());
  const scopes = hierarchy
    ? scopesOf(hierarchy, targets, flags, hasMachine, before?.scopes ?? [])
    : [];
  if (hierarchy) {
    if (hasMachine) {
      checkMachineMode(flags, rules, scopes);
      checkMachinePolicy(policies.all[rules.findIndex(({ selector }) => selector.machine)]!);
    }
    for (const policy of policies.all) {
      checkMode(hierarchy, policy);
      checkVictimOrder(hierarchy, policy);
      checkTree(hierarchy, policy);
      warnOfMissingHooks(policy);
    }
    checkPreferences(policies.all, scopes);
    checkRules(rules, scopes, policies, labels !== undefined);
  }
  return {
    targets,
    recursive: flags.recursive === true,
    policies,
    defaultPolicy,
    rules,
    scopes,
    ...rest,
    protectedPids,
    version: (hierarchy ?? discover(flags.root)).version.number,
    directoryOf: (path) => (hierarchy && directoryOf(hierarchy, path)) ?? path,
  };
}

/** `undefined` where the machine is not guarded. */
export function machinePolicyOf(
  { scopes, policies }: Pick<GuardSetup, "scopes" | "policies">,
): GuardPolicy | undefined {
  const machine = scopes.find(({ cgroup }) => cgroup.machine)?.cgroup;
  const number = machine && policyFor(policies, machine.path, true);
  return number === undefined ? undefined : policies.all[number];
}

function warnOfUnusedVariables(): void {
  const names = oomHeroVariables();
  if (names.length === 0) return;
  printStderr(
    `ignored ${names.join(", ")} in the environment: OOMHero's variables apply in a shared ` +
      "process namespace only; use --pod there, or --warn and --on-warn",
  );
}

function scopesOf(
  hierarchy: Hierarchy,
  targets: readonly string[],
  flags: GuardFlags,
  hasMachine: boolean,
  before: readonly Scope[],
): Scope[] {
  const recursive = flags.recursive === true;
  if (hasMachine) {
    const others = targetsBeside(hierarchy, targets, flags);
    const cgroups = others.length === 0 ? [] : scopesOf(hierarchy, others, flags, false, before);
    return [machineScope(hierarchy), ...cgroups];
  }
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
  const isHold = mode === "hold" || mode === "hold-near-limit";
  if (isHold && !version.canDisableOomKiller) {
    refuse(`cgroup v${version.number} cannot disable the OOM killer`, "use throttle or notify");
  }
  if (isHold && killLevel(actions) === undefined) {
    refuse("no level kills, so allocators would wait forever", "add --policy process");
  }
  if (!kernel) refuse("this tree is not a kernel's", "use notify");
  if (!writable) refuse("the cgroup file system is read-only", "use notify");
}

/** Throws {@link OomkitError} for an order of which the version or the kernel has no figures. */
function checkVictimOrder(hierarchy: Hierarchy, { preferences, rule }: GuardPolicy): void {
  const { cgroupOrder } = preferences;
  const missing = cgroupOrder && missingFigures(hierarchy, cgroupOrder);
  if (missing === undefined) return;
  throw new OomkitError(
    `cannot use --victim-order ${cgroupOrder}${inRule(rule)}: ${missing}`,
    "use badness, the kernel's order",
  );
}

function missingFigures(hierarchy: Hierarchy, order: CgroupOrder): string | undefined {
  const { version } = hierarchy;
  if (order === "growth") return undefined;
  if (order === "swap") {
    const root = openCgroup(hierarchy, hierarchy.root);
    const all = root ? [root, ...accessibleChildrenOf(root)] : [];
    const isCounted = all.some((each) => tryReadSnapshot(each).stats.swap !== undefined);
    return isCounted || all.length < 2 ? undefined : "the kernel counts no swap by cgroup";
  }
  if (!version.countsScannedPages) {
    return `cgroup v${version.number} does not count the pages that are scanned for reclaim`;
  }
  const hasPressure = order !== "pressure" || !hierarchy.kernel ||
    readMachine().pressure !== undefined;
  return hasPressure ? undefined : "the kernel has no PSI (/proc/pressure/memory)";
}

/** The pids in a copied or fake tree may belong to unrelated processes of this machine. */
function checkTree({ kernel }: Hierarchy, { actions, dryRun, rule }: GuardPolicy): void {
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

function warnOfMissingHooks({ actions, rule }: GuardPolicy): void {
  for (const { kind, argument } of Object.values(actions).flat()) {
    if (kind === "exec" && argument) warnOfMissing(`exec${inRule(rule)}`, argument);
  }
}

const inRule = (rule: string | undefined) =>
  rule === undefined ? "" : ` in the rule "${printable(rule)}"`;

/** Warns about a rule that matches nothing, because it may be misspelt. */
function checkRules(
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
  const [, ...unused] = rules.filter(({ selector }) => selector.machine);
  for (const rule of unused) {
    printStderr(`${nameOf(rule)} never applies: an earlier rule is for the machine`);
  }
  for (const rule of rules) {
    // The labels of the pods are not known yet.
    if (rule.selector.labels || rule.selector.machine) continue;
    if (applied.has(rule.number - 1)) continue;
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
function checkPreferences(policies: readonly GuardPolicy[], scopes: readonly Scope[]): void {
  // Policies share most expressions.
  const expressions = new Map(
    policies.flatMap(({ preferences }) =>
      (["prefer", "avoid", "ignore"] as const).flatMap((name) =>
        preferences[name].map((each) =>
          [`--${name} ${each.source}`, { each, byName: preferences.byName }] as const
        )
      )
    ),
  );
  if (expressions.size === 0) return;
  const processes = scopes.flatMap(({ cgroup }) => listProcesses(cgroup).processes);
  const names = processes.map(({ comm }) => comm);
  const others = [
    ...processes.map(matchedLine),
    ...scopes.flatMap(({ cgroup }) => [...walk(cgroup)].map(({ path }) => path)),
  ];
  for (const [option, { each, byName }] of expressions) {
    const isMatch = (text: string) => each.test(text);
    if (names.some(isMatch) || (!byName && others.some(isMatch))) continue;
    printStderr(`${option} matches no running process${byName ? "'s name" : " and no cgroup"}`);
  }
}

/** Why a cgroup has no levels: it has no limit, or the margin leaves nothing of it. */
function noLevels(cgroup: Cgroup, policy: GuardPolicy): OomkitError {
  const found = limitOf(cgroup, true, policy.softLimit);
  const what = `cannot guard ${printable(cgroup.path)}`;
  if (found === undefined) {
    return new OomkitError(
      `${what}: ${printable(whyNoLimit(cgroup))}`,
      "set memory.max (v1: memory.limit_in_bytes)",
    );
  }
  const { limit, limitOwner: { hierarchy: { version } } } = found;
  const margin = marginBytesIn(policy, limit, requestedMode(policy, version));
  return new OomkitError(
    `${what}: the margin (${formatBytes(margin)}) is not below the limit (${formatBytes(limit)})`,
    "lower --min-margin",
  );
}

/** A process that is not visible cannot be killed. Throws {@link OomkitError} where none is. */
function checkVictims(guarding: Guard, cgroup: Cgroup): void {
  const { processes, hiddenProcesses } = listProcesses(cgroup);
  if (hiddenProcesses === 0) return;
  const reason = `${hiddenProcesses ?? "some"} of its processes are outside this pid namespace, ` +
    "or /proc hides them";
  if (processes.length === 0) {
    throw new OomkitError(
      `cannot kill the processes of ${printable(cgroup.path)}: ${reason}`,
      "run as root in the machine's pid namespace",
    );
  }
  guarding.reportHiddenProcesses(cgroup.path, reason);
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
    const number = policyFor(policies, cgroup.path, cgroup.machine !== undefined);
    // Without a policy it is exempt.
    if (recursive || number === undefined) continue;
    const guarded = entries.find((each) => each.cgroup.path === cgroup.path);
    if (guarded === undefined) {
      throw noLevels(cgroup, policies.all[number]!);
    }
    const { actions, protectedPids } = guarded.policy;
    if (killLevel(actions)) checkVictims(guarding, guarded.cgroup);
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
