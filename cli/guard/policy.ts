/** From flags and variables to the policies of a guard. */

import { OomkitError, shortened } from "../../core/errors.ts";
import { type GuardPolicy, killLevel, type PolicySet } from "../../core/guard/policy.ts";
import { omitUndefined } from "../../core/omit_undefined.ts";
import { type Action, isKillAction } from "../../core/policy/actions.ts";
import type { Margin } from "../../core/policy/levels.ts";
import type { Labels } from "../../core/policy/rules.ts";
import type { Rule } from "../config/rules.ts";
import { rankOf } from "../options/option.ts";
import { DEFAULT_CONFIG_PATH } from "../options/subcommand.ts";
import { formatBytes } from "../options/units.ts";
import { printStderr } from "../output/output.ts";
import { oomHeroEnv } from "./oomhero_env.ts";
import type { GuardFlags } from "./options.ts";
import type { SourceOf } from "./request.ts";

export interface ResolvedPolicy {
  readonly policy: GuardPolicy;
  readonly rescanMs: number;
  readonly rearmMs: number;
  readonly isPod: boolean;
}

/** OOMHero polls every second. */
const POD_RESCAN_MS = 1000;

/** @param protectedPids are never killed. Throws {@link OomkitError} for options that contradict each other. */
export function resolvePolicy(
  flags: GuardFlags,
  sourceOf: SourceOf,
  targets: readonly string[],
  protectedPids: ReadonlySet<number>,
): ResolvedPolicy {
  const isGiven = (name: string) => (sourceOf(name) ?? "default") !== "default";
  const overridesOomHero = (name: string) => isGiven(name) && sourceOf(name) !== "config";
  const hero = oomHeroEnv((name) => Deno.env.get(name), overridesOomHero);
  const warn = hero.warn ?? flags.warn;
  const critical = hero.critical ?? flags.critical;
  if (warn > critical) {
    throw new OomkitError(
      `cannot use --warn ${warn}% and --critical ${critical}%${
        configNote(flags, ["warn", "critical"].map(sourceOf))
      }: warn is above critical`,
      "set --warn to at most --critical",
    );
  }
  const actions = {
    warn: hero.onWarn ?? flags.onWarn ?? hero.defaultOnWarn ?? [],
    critical: hero.onCritical ?? flags.onCritical ?? hero.defaultOnCritical ?? [],
    imminent: imminentActions(flags, sourceOf),
  };
  for (const [level, list] of Object.entries(actions)) checkActions(level, list);
  const { mode } = flags;
  const isPod = flags.pod === true || (hero.isUsed && targets.length === 0);
  if (isPod && targets.length > 0) {
    throw new OomkitError(`cannot guard ${targets[0]} and a pod together`, "give one of them");
  }
  const changesCgroups = mode !== "auto" && mode !== "notify";
  if (isPod && changesCgroups) {
    throw new OomkitError(
      `cannot use --mode ${mode} with --pod: the cgroups belong to other containers`,
      "use --mode notify",
    );
  }
  const policy: GuardPolicy = {
    mode: isPod ? "notify" : mode,
    levels: {
      warn,
      critical,
      margin: marginOf(flags, configNote(flags, ["minMargin", "maxMargin"].map(sourceOf))),
    },
    triggerPolicy: {
      hysteresis: flags.hysteresis / 100,
      cooldown: hero.cooldown ?? flags.cooldown,
      repeat: flags.repeat === true || (hero.isUsed && !overridesOomHero("repeat")),
    },
    timeouts: {
      reclaim: flags.reclaim,
      graceMs: flags.gracePeriod,
      killMs: flags.guardMs ?? flags.killTimeout,
    },
    metric: flags.metric,
    actions,
    preferences: {
      prefer: flags.prefer ?? [],
      avoid: flags.avoid ?? [],
      ignore: flags.ignore ?? [],
    },
    softLimit: flags.softLimit === true || flags.openSoftLimit === true ||
      flags.openSoftLimit === "true",
    dryRun: flags.dryRun === true,
    ...(flags.poll === undefined ? {} : { poll: flags.poll }),
    protectedPids,
  };
  if (policy.dryRun && changesCgroups) {
    printStderr(`a dry run changes nothing: using notify instead of ${mode}`);
  }
  const milliseconds = (seconds: number | undefined) =>
    seconds === undefined ? undefined : seconds * 1000;
  return {
    policy,
    rescanMs: isPod && !isGiven("rescanInterval")
      ? POD_RESCAN_MS
      : milliseconds(flags.walkIntervalSeconds) ?? flags.rescanInterval,
    rearmMs: milliseconds(flags.inotifyResetSeconds) ?? flags.rearmInterval,
    isPod,
  };
}

/** The policy of each rule, in their order, and the default policy last. */
export function policySetOf(
  defaultPolicy: GuardPolicy,
  rules: readonly Rule[],
  policyUnder: (rule: Rule) => GuardPolicy,
  labels: Labels,
): PolicySet {
  const policies = rules.map(policyUnder);
  return {
    all: [...policies, defaultPolicy],
    // Only the fields that the monitor thread needs, because they are sent to it.
    rules: rules.map(({ selector, isExempt }, at) => ({
      selector,
      isExempt,
      neverKills: isExempt || killLevel(policies[at]!.actions) === undefined,
    })),
    labels,
  };
}

/** The flags with those of a rule in their place. */
export function underRule(
  flags: GuardFlags,
  sourceOf: SourceOf,
  rule: Rule,
): { readonly flags: GuardFlags; readonly sourceOf: SourceOf } {
  return {
    flags: { ...flags, ...rule.flags } as GuardFlags,
    sourceOf: (name) => name in rule.flags ? "rule" : sourceOf(name),
  };
}

/** A rule that kills nothing uses mode auto unless it sets a mode: in hold mode allocators would wait forever. */
export function withRuleName(rule: Rule, policy: GuardPolicy): GuardPolicy {
  const keepsMode = rule.flags.mode !== undefined || killLevel(policy.actions) !== undefined;
  return { ...policy, rule: rule.name, mode: keepsMode ? policy.mode : "auto" };
}

/** `--policy` is short for `--on-imminent`; of the two, the one with the higher precedence counts. */
function imminentActions(
  { policy, onImminent }: GuardFlags,
  sourceOf: SourceOf,
): readonly Action[] {
  const short: readonly Action[] = policy === undefined ? [] : [{ kind: policy }];
  if (onImminent === undefined || policy === undefined) return onImminent ?? short;
  const lead = rankOf(sourceOf("policy")) - rankOf(sourceOf("onImminent"));
  if (lead !== 0) return lead > 0 ? short : onImminent;
  throw new OomkitError("cannot use --policy and --on-imminent together", "give one of them");
}

/** Names the configuration file if a value comes from it; the error of a rule has its line already. */
function configNote({ config }: GuardFlags, sources: readonly (string | undefined)[]): string {
  if (sources.includes("rule") || !sources.includes("config")) return "";
  return ` ([guard] in ${shortened(config ?? DEFAULT_CONFIG_PATH)})`;
}

function checkActions(level: string, actions: readonly Action[]): void {
  const [first, second] = actions.map(({ kind }) => kind).filter(isKillAction);
  if (second === undefined) return;
  throw new OomkitError(`cannot use both ${first} and ${second} at ${level}`, "use one of them");
}

/** The parts that are given. */
function marginOf(
  { marginRatio: ratio, minMargin: min, maxMargin: max }: GuardFlags,
  note: string,
): Partial<Margin> {
  if (max === 0) {
    throw new OomkitError(
      "cannot use --max-margin 0 B: the imminent level would be at the limit",
      "leave a margin, such as 30M",
    );
  }
  if (min !== undefined && max !== undefined && min > max) {
    throw new OomkitError(
      `cannot use --min-margin ${formatBytes(min)} and --max-margin ${
        formatBytes(max)
      }${note}: the minimum is above the maximum`,
      "set --min-margin to at most --max-margin",
    );
  }
  return omitUndefined({ ratio, min, max });
}
