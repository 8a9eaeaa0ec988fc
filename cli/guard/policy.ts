/** From flags and variables to the policies of a guard. */

import { OomkitError, shortened } from "../../core/errors.ts";
import {
  type GuardPolicy,
  killLevel,
  policyOfMachine,
  type PolicySet,
} from "../../core/guard/policy.ts";
import { omitUndefined } from "../../core/omit_undefined.ts";
import {
  type Action,
  isKillAction,
  parseSignal,
  type SignalName,
} from "../../core/policy/actions.ts";
import type { Margin } from "../../core/policy/levels.ts";
import type { Labels } from "../../core/policy/rules.ts";
import type { Rule } from "../config/rules.ts";
import { rankOf } from "../options/option.ts";
import { DEFAULT_CONFIG_PATH } from "../options/subcommand.ts";
import { formatBytes, parseDuration } from "../options/units.ts";
import { printStderr } from "../output/output.ts";
import { essentialsOf } from "./machine.ts";
import type { GuardFlags } from "./options.ts";

/** Where the value of an option comes from, by its attribute name. */
export type SourceOf = (name: string) => string | undefined;

/** What the flags say besides the targets. */
export interface FlagsPolicy {
  readonly policy: GuardPolicy;
  readonly rescanMs: number;
  readonly rearmMs: number;
  readonly isPod: boolean;
  /** OOMHero's variables that apply. */
  readonly oomHero: readonly string[];
}

/** OOMHero polls every second. */
const POD_RESCAN_MS = 1000;

/**
 * Throws {@link OomkitError} for options that contradict each other.
 *
 * @param protectedPids are never killed
 * @param isShared whether OOMHero's variables apply: their names are common ones, and signals may end a process
 */
export function policyOfFlags(
  flags: GuardFlags,
  sourceOf: SourceOf,
  targets: readonly string[],
  protectedPids: ReadonlySet<number>,
  isShared: boolean,
): FlagsPolicy {
  if (flags.as !== undefined) {
    throw new OomkitError("cannot use OOMKIT_AS: only a command line can be another program's");
  }
  const isGiven = (name: string) => (sourceOf(name) ?? "default") !== "default";
  const overridesOomHero = (name: string) => isGiven(name) && sourceOf(name) !== "config";
  const oomHero = isShared ? oomHeroVariables() : [];
  const hero = oomHero.length === 0 ? undefined : oomHeroEnv(overridesOomHero);
  const warn = hero?.warn ?? flags.warn;
  const critical = hero?.critical ?? flags.critical;
  if (warn > critical) {
    throw new OomkitError(
      `cannot use --warn ${warn}% and --critical ${critical}%${
        configNote(flags, ["warn", "critical"].map(sourceOf))
      }: warn is above critical`,
      "set --warn to at most --critical",
    );
  }
  const actions = {
    warn: hero?.onWarn ?? flags.onWarn ?? (hero ? [signalAction("SIGUSR1")] : []),
    critical: hero?.onCritical ?? flags.onCritical ?? (hero ? [signalAction("SIGUSR2")] : []),
    imminent: imminentActions(flags, sourceOf),
  };
  for (const [level, list] of Object.entries(actions)) checkActions(level, list);
  const { mode } = flags;
  const isPod = flags.pod === true || (hero !== undefined && targets.length === 0);
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
      cooldown: hero?.cooldown ?? flags.cooldown,
      repeat: flags.repeat === true || (hero !== undefined && !overridesOomHero("repeat")),
    },
    killSettings: {
      countSwap: flags.swap !== "ignore",
      ...typeof flags.swap === "number" && { swapUsedLimit: flags.swap / 100 },
      reclaimFirst: flags.reclaim,
      graceMs: flags.gracePeriod,
      exitTimeoutMs: flags.guardMs ?? flags.killTimeout,
    },
    metric: metricOf(flags.metric, actions),
    actions,
    preferences: {
      prefer: flags.prefer ?? [],
      avoid: flags.avoid ?? [],
      ignore: flags.ignore ?? [],
      ...flags.match === "name" && { byName: true as const },
      ...flags.victimOrder !== "badness" && { cgroupOrder: flags.victimOrder },
    },
    softLimit: flags.softLimit === true || flags.openSoftLimit === true ||
      flags.openSoftLimit === "true",
    dryRun: flags.dryRun === true,
    ...(flags.poll === undefined ? {} : { poll: flags.poll }),
    ...(flags.psi === undefined ? {} : { pressure: flags.psi }),
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
    oomHero,
  };
}

/**
 * The policy of each rule, in their order, and the default policy last.
 *
 * @param policyOf the policy of the flags with those of a rule in their place.
 */
export function policySetOf(
  defaultPolicy: GuardPolicy,
  rules: readonly Rule[],
  { flags, sourceOf }: { readonly flags: GuardFlags; readonly sourceOf: SourceOf },
  policyOf: (flags: GuardFlags, sourceOf: SourceOf, rule: Rule) => GuardPolicy,
  labels: Labels,
): PolicySet {
  const policies = rules.map((rule): GuardPolicy => {
    const policy = policyOf(
      { ...flags, ...rule.flags } as GuardFlags,
      (name) => name in rule.flags ? "rule" : sourceOf(name),
      rule,
    );
    if (rule.selector.machine) {
      const { essentials } = { ...flags, ...rule.flags } as GuardFlags;
      const hasTimeout = "killTimeout" in rule.flags || flags.guardMs !== undefined ||
        (sourceOf("killTimeout") ?? "default") !== "default";
      const ofMachine = policyOfMachine(
        policy,
        essentialsOf({ essentials }),
        hasTimeout ? undefined : EXIT_TIMEOUT_MS,
      );
      return rule.number === 0 ? ofMachine : { ...ofMachine, rule: rule.name };
    }
    // A rule that kills nothing uses mode auto unless it sets a mode: in hold mode allocators would wait forever.
    const keepsMode = rule.flags.mode !== undefined || killLevel(policy.actions) !== undefined;
    const mode = keepsMode ? policy.mode : "auto";
    return { ...ofCgroups(policy), rule: rule.name, mode };
  });
  return {
    all: [...policies, ofCgroups(defaultPolicy)],
    // Only the fields that the monitor thread needs, because they are sent to it.
    rules: rules.map(({ selector, isExempt }, at) => ({
      selector,
      isExempt,
      neverKills: isExempt || killLevel(policies[at]!.actions) === undefined,
    })),
    labels,
  };
}

/** Page cache is no reason for a report: the kernel drops it. Where a level has an action, it stays at the usage that the limit is of. */
function metricOf(
  requested: GuardFlags["metric"],
  actions: GuardPolicy["actions"],
): GuardPolicy["metric"] {
  if (requested !== "auto") return requested;
  const acts = Object.values(actions).flat().some(({ kind }) => kind !== "noop");
  return acts ? "usage" : "working-set";
}

/** As long as earlyoom waits for a process to exit: tens of GiB are not free in half a second. */
const EXIT_TIMEOUT_MS = 10_000;

/** Pressure is a condition of the machine's policy only. */
const ofCgroups = ({ pressure: _, ...policy }: GuardPolicy): GuardPolicy => policy;

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

/** Those that are set and select OOMHero's behaviour. COOLDOWN alone does not. */
export const oomHeroVariables = (): string[] =>
  ["WARNING", "CRITICAL", "WARNING_SIGNAL", "CRITICAL_SIGNAL"]
    .filter((name) => Deno.env.get(name) !== undefined);

/**
 * OOMHero's environment variables, which take precedence over the configuration file, not over rules, flags and OOMKIT_….
 *
 * @param isOverridden whether something of higher precedence sets the option of this name
 */
function oomHeroEnv(isOverridden: (option: string) => boolean) {
  const read = <T>(name: string, option: string, parse: (text: string, name: string) => T) => {
    const text = Deno.env.get(name);
    if (text === undefined || isOverridden(option)) return undefined;
    try {
      return parse(text, name);
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      throw new OomkitError(`cannot use ${name}: ${error.message}`);
    }
  };
  return {
    warn: read("WARNING", "warn", percentOf),
    critical: read("CRITICAL", "critical", percentOf),
    onWarn: read("WARNING_SIGNAL", "onWarn", signalOf),
    onCritical: read("CRITICAL_SIGNAL", "onCritical", signalOf),
    cooldown: read("COOLDOWN", "cooldown", secondsOf),
  };
}

function percentOf(text: string, name: string): number | undefined {
  const percent = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
  if (percent >= 1 && percent <= 100) return percent;
  printStderr(`${name}="${text}" is not a percentage from 1 to 100; ignored, as by OOMHero`);
  return undefined;
}

const signalOf = (text: string): readonly Action[] => [signalAction(parseSignal(text))];

const signalAction = (argument: SignalName): Action => ({ kind: "signal", argument });

const secondsOf = (text: string) =>
  parseDuration(/^\d+$/.test(text.trim()) ? `${text.trim()}s` : text);
