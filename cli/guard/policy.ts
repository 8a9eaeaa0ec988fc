/** From flags and variables to a plan. */

import { omitUndefined } from "../../core/omit_undefined.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { type GuardPolicy, killLevel, type PolicySet } from "../../core/guard/policy.ts";
import { type Action, isKillAction, parseSignal } from "../../core/policy/actions.ts";
import type { Margin } from "../../core/policy/levels.ts";
import type { Labels } from "../../core/policy/rules.ts";
import type { Rule } from "../config/rules.ts";
import type { GuardFlags } from "./options.ts";
import { DEFAULT_CONFIG_PATH, rankOf } from "../options/option.ts";
import { printStderr } from "../output/output.ts";
import { formatBytes, parseDuration } from "../options/units.ts";

export interface PlannedGuard {
  readonly policy: GuardPolicy;
  readonly rescanMs: number;
  readonly rearmMs: number;
  readonly isPod: boolean;
}

/** OOMHero looks every second. */
const POD_WALK_MS = 1000;

/** @param sourceOf where an option's value came from. @param untouchable pids that are never taken. */
export function guardRequestOf(
  flags: GuardFlags,
  sourceOf: (name: string) => string | undefined,
  targets: readonly string[],
  protectedPids: ReadonlySet<number>,
): PlannedGuard {
  const isGiven = (name: string) => (sourceOf(name) ?? "default") !== "default";
  const isNearer = (name: string) => isGiven(name) && sourceOf(name) !== "config";
  const hero = oomHeroEnv((name) => Deno.env.get(name), isNearer);
  const place = (...names: string[]) => placeOf(flags, names.map(sourceOf));
  const warn = hero.warn ?? flags.warn;
  const critical = hero.critical ?? flags.critical;
  if (warn > critical) {
    throw new OomkitError(
      `cannot use --warn ${warn}% and --critical ${critical}%${
        place("warn", "critical")
      }: they are out of order`,
      "the first level must not lie above the second",
    );
  }
  const actions = {
    warn: hero.onWarn ?? flags.onWarn ?? hero.usualWarn ?? [],
    critical: hero.onCritical ?? flags.onCritical ?? hero.usualCritical ?? [],
    imminent: atImminent(flags, sourceOf),
  };
  for (const [level, list] of Object.entries(actions)) checkActions(level, list);
  const mode = flags.mode;
  const margin = marginOf(flags, place("minMargin", "maxMargin"));
  const isPod = flags.pod === true || (hero.isUsed && targets.length === 0);
  if (isPod && targets.length > 0) {
    throw new OomkitError(`cannot guard ${targets[0]} and a pod at once`, "give one of them");
  }
  if (isPod && mode !== "auto" && mode !== "notify") {
    throw new OomkitError(
      `cannot use --mode ${mode} with --pod: other containers' cgroups are not changed`,
      "use notify",
    );
  }
  const policy: GuardPolicy = {
    mode: isPod ? "notify" : mode,
    levels: { warn, critical, margin },
    triggerPolicy: {
      hysteresis: flags.hysteresis / 100,
      cooldown: hero.cooldown ?? flags.cooldown,
      repeat: flags.repeat === true || (hero.isUsed && !isNearer("repeat")),
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
  if (policy.dryRun && mode !== "auto" && mode !== "notify") {
    printStderr(`nothing is changed in a dry run: notify instead of ${mode}`);
  }
  const seconds = (count: number | undefined) => count === undefined ? undefined : count * 1000;
  return {
    policy,
    rescanMs: isPod && !isGiven("rescanInterval")
      ? POD_WALK_MS
      : seconds(flags.walkIntervalSeconds) ?? flags.rescanInterval,
    rearmMs: seconds(flags.inotifyResetSeconds) ?? flags.rearmInterval,
    isPod,
  };
}

/** The plans of all rules, in their order, and last that of the rest. */
export function policySetOf(
  usual: GuardPolicy,
  rules: readonly Rule[],
  policyUnder: (rule: Rule) => GuardPolicy,
  labels: Labels,
): PolicySet {
  // Of a rule no more than the sentry needs, and than can be told to it.
  const policies = rules.map(policyUnder);
  const held = rules.map(({ selector, isExempt }, at) => ({
    selector,
    isExempt,
    neverKills: isExempt || killLevel(policies[at]!.actions) === undefined,
  }));
  return { all: [...policies, usual], rules: held, labels };
}

/** What the flags say where a rule says nothing else. */
export function underRule(
  flags: GuardFlags,
  sourceOf: (name: string) => string | undefined,
  rule: Rule,
): { readonly flags: GuardFlags; sourceOf(name: string): string | undefined } {
  return {
    flags: { ...flags, ...rule.flags } as GuardFlags,
    sourceOf: (name) => name in rule.flags ? "rule" : sourceOf(name),
  };
}

/** Nothing waits for ever where nothing is killed, unless the rule itself says so. */
export function withRuleName(rule: Rule, policy: GuardPolicy): GuardPolicy {
  const isMeant = rule.flags.mode !== undefined || killLevel(policy.actions) !== undefined;
  return { ...policy, rule: rule.name, mode: isMeant ? policy.mode : "auto" };
}

/** `--policy` and `--on-imminent` are two words for the same thing: what is said more directly holds. */
function atImminent(
  { policy, onImminent }: GuardFlags,
  sourceOf: (name: string) => string | undefined,
): readonly Action[] {
  const short: readonly Action[] = policy === undefined ? [] : [{ kind: policy }];
  if (onImminent === undefined || policy === undefined) return onImminent ?? short;
  const lead = rankOf(sourceOf("policy")) - rankOf(sourceOf("onImminent"));
  if (lead !== 0) return lead > 0 ? short : onImminent;
  throw new OomkitError("cannot use --policy and --on-imminent at once", "give one of them");
}

/** The file, where it says one of them; of a rule it is told with its line. */
function placeOf({ config }: GuardFlags, sources: readonly (string | undefined)[]): string {
  if (sources.includes("rule") || !sources.includes("config")) return "";
  return ` ([guard] in ${shortened(config ?? DEFAULT_CONFIG_PATH)})`;
}

function checkActions(level: string, actions: readonly Action[]): void {
  const [first, second] = actions.map(({ kind }) => kind).filter(isKillAction);
  if (second === undefined) return;
  throw new OomkitError(`cannot use both ${first} and ${second} at ${level}`, "use one of them");
}

/** What is given of it. @param place for messages. */
function marginOf(
  { marginRatio: ratio, minMargin: min, maxMargin: max }: GuardFlags,
  place: string,
): Partial<Margin> {
  if (max === 0) {
    throw new OomkitError(
      "cannot use --max-margin 0 B: the threshold would be the limit",
      "leave some room, such as 30M",
    );
  }
  if (min !== undefined && max !== undefined && min > max) {
    throw new OomkitError(
      `cannot use --min-margin ${formatBytes(min)} and --max-margin ${
        formatBytes(max)
      }${place}: they are out of order`,
      "the least must not be more than the most",
    );
  }
  return omitUndefined({ ratio, min, max });
}

interface OomHeroEnv {
  /** Whether any of its variables is there. */
  readonly isUsed: boolean;
  readonly warn?: number;
  readonly critical?: number;
  readonly onWarn?: readonly Action[];
  readonly onCritical?: readonly Action[];
  /** What OOMHero does where nobody says what. */
  readonly usualWarn?: readonly Action[];
  readonly usualCritical?: readonly Action[];
  readonly cooldown?: number;
}

/** OOMHero's own variables: more than the file, less than a rule, a flag or a variable of oomkit's. */
function oomHeroEnv(
  env: (name: string) => string | undefined,
  isNearer: (name: string) => boolean,
): OomHeroEnv {
  const names = ["WARNING", "CRITICAL", "WARNING_SIGNAL", "CRITICAL_SIGNAL"];
  if (names.every((name) => env(name) === undefined)) return { isUsed: false };
  const cooldown = env("COOLDOWN");
  const percent = (name: string, option: string) => {
    const value = env(name);
    if (value === undefined || isNearer(option)) return {};
    const number = /^\d+$/.test(value.trim()) ? Number(value) : NaN;
    if (number >= 1 && number <= 100) return { [option]: number };
    printStderr(
      `${name}="${value}" is no percentage from 1 to 100; as with OOMHero it is passed over`,
    );
    return {};
  };
  const signal = (name: string, option: string) => {
    const value = env(name);
    if (value === undefined || isNearer(option)) return {};
    return { [option]: [{ kind: "signal", argument: named(name, value, parseSignal) }] };
  };
  return {
    isUsed: true,
    ...percent("WARNING", "warn"),
    ...percent("CRITICAL", "critical"),
    usualWarn: [{ kind: "signal", argument: "SIGUSR1" }],
    usualCritical: [{ kind: "signal", argument: "SIGUSR2" }],
    ...signal("WARNING_SIGNAL", "onWarn"),
    ...signal("CRITICAL_SIGNAL", "onCritical"),
    ...(cooldown === undefined || isNearer("cooldown") ? {} : {
      cooldown: named(
        "COOLDOWN",
        cooldown,
        (text) => parseDuration(/^\d+$/.test(text.trim()) ? `${text.trim()}s` : text),
      ),
    }),
  };
}

/** Says of what is wrong in a variable which one it is. */
function named<T>(name: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw error instanceof OomkitError
      ? new OomkitError(`cannot use ${name}: ${error.message}`)
      : error;
  }
}
