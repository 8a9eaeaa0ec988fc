/** From flags and variables to a plan. */

import { without } from "../core/cgroup/absent.ts";
import { OomkitError } from "../core/errors.ts";
import { type Action, deadlyLevel, type GuardPlan, type Plans } from "../core/guard/plan.ts";
import type { Margin } from "../core/policy/bounds.ts";
import type { LabelsOf, Rule } from "./config_rules.ts";
import { type GuardFlags, parseSignal } from "./guard_options.ts";
import { say } from "./output.ts";
import { formatBytes, parseDuration } from "./units.ts";

export interface Planned {
  readonly plan: GuardPlan;
  readonly walkEvery: number;
  readonly rearmEvery: number;
  readonly isPod: boolean;
}

/** OOMHero looks every second. */
const POD_WALK_MS = 1000;

/** @param sourceOf where an option's value came from. @param untouchable pids that are never taken. */
export function planOf(
  flags: GuardFlags,
  sourceOf: (name: string) => string | undefined,
  targets: readonly string[],
  untouchable: ReadonlySet<number>,
): Planned {
  const isGiven = (name: string) => (sourceOf(name) ?? "default") !== "default";
  const hero = heroOf((name) => Deno.env.get(name), isGiven);
  const warn = hero.warn ?? flags.warn;
  const critical = hero.critical ?? flags.critical;
  if (warn > critical) {
    throw new OomkitError(
      `cannot use --warn ${warn}% and --critical ${critical}%: they are out of order`,
      "the first level must not lie above the second",
    );
  }
  if (flags.policy !== undefined && flags.onThreshold !== undefined) {
    throw new OomkitError("cannot use --policy and --on-threshold at once", "give one of them");
  }
  const actions = {
    warn: flags.onWarn ?? hero.onWarn ?? [],
    critical: flags.onCritical ?? hero.onCritical ?? [],
    threshold: flags.onThreshold ?? (flags.policy === undefined ? [] : [{ kind: flags.policy }]),
  };
  for (const [level, list] of Object.entries(actions)) checkActions(level, list);
  const mode = flags.mode;
  const margin = marginOf(flags);
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
  const plan: GuardPlan = {
    mode: isPod ? "notify" : mode,
    levels: { warn, critical, margin },
    rearming: {
      hysteresis: flags.hysteresis / 100,
      cooldown: hero.cooldown ?? flags.cooldown,
      repeat: flags.repeat === true || hero.isUsed,
    },
    patience: {
      reclaim: flags.reclaim,
      grace: flags.grace,
      death: flags.guardMs ?? flags.patience,
    },
    base: flags.base,
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
    untouchable,
  };
  if (plan.dryRun && mode !== "auto" && mode !== "notify") {
    say(`nothing is changed in a dry run: notify instead of ${mode}`);
  }
  const seconds = (count: number | undefined) => count === undefined ? undefined : count * 1000;
  return {
    plan,
    walkEvery: isPod && !isGiven("walkEvery")
      ? POD_WALK_MS
      : seconds(flags.walkIntervalSeconds) ?? flags.walkEvery,
    rearmEvery: seconds(flags.inotifyResetSeconds) ?? flags.rearmEvery,
    isPod,
  };
}

/**
 * The plans of all rules, in their order, and last that of the rest.
 *
 * @param labelsOf of a pod; `undefined` while they are not known.
 */
export function plansOf(
  usual: GuardPlan,
  rules: readonly Rule[],
  planUnder: (rule: Rule) => GuardPlan,
  labelsOf: LabelsOf,
): Plans {
  const all = [...rules.map(planUnder), usual];
  return {
    all,
    choose({ path }) {
      const at = rules.findIndex((rule) => rule.fits(path, labelsOf));
      if (at < 0) return rules.length;
      return rules[at]!.isExempt ? undefined : at;
    },
  };
}

/** What the flags say where a rule says nothing else. */
export function underRule(
  flags: GuardFlags,
  sourceOf: (name: string) => string | undefined,
  rule: Rule,
): { readonly flags: GuardFlags; sourceOf(name: string): string | undefined } {
  const usual: Partial<GuardFlags> = { ...flags };
  // Two words for the same thing.
  if (rule.flags.policy !== undefined) delete usual.onThreshold;
  if (rule.flags.onThreshold !== undefined) delete usual.policy;
  return {
    flags: { ...usual, ...rule.flags } as GuardFlags,
    sourceOf: (name) => name in rule.flags ? "config" : sourceOf(name),
  };
}

/** Nothing waits for ever where nothing is killed, unless the rule itself says so. */
export function namedBy(rule: Rule, plan: GuardPlan): GuardPlan {
  const isMeant = rule.flags.mode !== undefined || deadlyLevel(plan.actions) !== undefined;
  return { ...plan, rule: rule.name, mode: isMeant ? plan.mode : "auto" };
}

function checkActions(level: string, actions: readonly Action[]): void {
  const deeds = actions.filter(({ kind }) => kind === "process" || kind === "container");
  if (deeds.length > 1) {
    throw new OomkitError(
      `cannot use both process and container at ${level}`,
      "container ends the process too",
    );
  }
}

/** What is given of it. */
function marginOf(
  { marginRatio: ratio, minMargin: min, maxMargin: max }: GuardFlags,
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
      }: they are out of order`,
      "the least must not be more than the most",
    );
  }
  return without({ ratio, min, max });
}

interface Hero {
  /** Whether any of its variables is there. */
  readonly isUsed: boolean;
  readonly warn?: number;
  readonly critical?: number;
  readonly onWarn?: readonly Action[];
  readonly onCritical?: readonly Action[];
  readonly cooldown?: number;
}

/** OOMHero's own variables; a flag, or a variable of oomkit's, counts for more. */
function heroOf(
  env: (name: string) => string | undefined,
  isGiven: (name: string) => boolean,
): Hero {
  const names = ["WARNING", "CRITICAL", "WARNING_SIGNAL", "CRITICAL_SIGNAL"];
  if (names.every((name) => env(name) === undefined)) return { isUsed: false };
  const cooldown = env("COOLDOWN");
  const percent = (name: string, option: string) => {
    const value = env(name);
    if (value === undefined || isGiven(option)) return {};
    const number = /^\d+$/.test(value.trim()) ? Number(value) : NaN;
    if (number >= 1 && number <= 100) return { [option]: number };
    say(`${name}="${value}" is no percentage from 1 to 100; as with OOMHero it is passed over`);
    return {};
  };
  const signal = (name: string, usual: Deno.Signal): Action[] => {
    const value = env(name);
    return [{
      kind: "signal",
      signal: value === undefined ? usual : named(name, value, parseSignal),
    }];
  };
  return {
    isUsed: true,
    ...percent("WARNING", "warn"),
    ...percent("CRITICAL", "critical"),
    onWarn: signal("WARNING_SIGNAL", "SIGUSR1"),
    onCritical: signal("CRITICAL_SIGNAL", "SIGUSR2"),
    ...(cooldown === undefined || isGiven("cooldown") ? {} : {
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
