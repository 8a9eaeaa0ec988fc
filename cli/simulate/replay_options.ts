/** What `simulate --replay` takes of a guard's options, and the plans that come of them. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import type { GuardPolicy, PolicySet } from "../../core/guard/policy.ts";
import { rulesOf } from "../config/rules.ts";
import { guardBase, type GuardFlags } from "../guard/options.ts";
import { policySetOf, resolvePolicy, underRule, withRuleName } from "../guard/policy.ts";
import { isPolicy } from "./replay_flags.ts";

/** From a recording's own plans to those of the replay. */
export interface ReplayPolicy {
  /** The plans of a configuration, or the usual ones with what is given; `undefined` for those of the recording. */
  readonly other: PolicySet | undefined;
  override(plan: GuardPolicy): GuardPolicy;
  /** Such as `--margin-ratio`. */
  readonly given: readonly string[];
  readonly config: string | undefined;
}

type Name = "warn" | "critical" | "marginRatio" | "minMargin" | "maxMargin";

/** @param command simulate's, parsed. @param hasPlans the recording has plans of its own. */
export async function replayPolicy(
  command: CommandUnknownOpts,
  hasPlans: boolean,
): Promise<ReplayPolicy> {
  const options = command.options.filter(isPolicy);
  const isGiven = (name: string) => (command.getOptionValueSource(name) ?? "default") !== "default";
  const named = options.filter((each) => isGiven(each.attributeName()));
  const given = named.map(({ long }) => long!);
  const values = Object.fromEntries(
    named.map((each) => [each.attributeName(), command.getOptionValue(each.attributeName())]),
  );
  const path = command.getOptionValue("config") as string | undefined;
  const isBent = hasPlans && path === undefined;
  const { flags, sourceOf, file } = await guardFlags(path, isBent ? byBadnessNow(values) : values);
  const plan = resolvePolicy(flags, sourceOf, [], new Set()).policy;
  const override = (recorded: GuardPolicy) => bent(recorded, plan, values);
  if (path === undefined) {
    return { other: hasPlans ? undefined : usually(plan), override, given, config: path };
  }
  const rules = file === undefined ? [] : rulesOf(file);
  const underOf = (rule: Parameters<typeof withRuleName>[0]) => {
    const under = underRule(flags, sourceOf, rule);
    return withRuleName(rule, resolvePolicy(under.flags, under.sourceOf, [], new Set()).policy);
  };
  return { other: policySetOf(plan, rules, underOf, new Map()), override, given, config: path };
}

/** One level alone is to be held against the other of the recording, not against the usual one. */
function byBadnessNow(
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { warn, critical } = values as { warn?: number; critical?: number };
  if (warn !== undefined && critical === undefined) return { ...values, critical: 100 };
  return critical !== undefined && warn === undefined ? { ...values, warn: critical } : values;
}

const usually = (plan: GuardPolicy): PolicySet => ({ all: [plan], rules: [], labels: new Map() });

/** As `guard` would read them, with what is given here for more than what the file says. */
async function guardFlags(path: string | undefined, values: Readonly<Record<string, unknown>>) {
  const command = guardBase();
  // A lone --no-… is on only once a command line has been read.
  command.setOptionValueWithSource("reclaim", true, "default");
  const file = path === undefined ? undefined : await configured(command, path);
  for (const [name, value] of Object.entries(values)) {
    command.setOptionValueWithSource(name as Name, value as never, "cli");
  }
  return {
    flags: command.opts() as GuardFlags,
    sourceOf: (name: string) => command.getOptionValueSource(name as Name),
    file,
  };
}

async function configured(command: ReturnType<typeof guardBase>, path: string) {
  const { applyConfig, readConfig } = await import("../config/config.ts");
  const file = await readConfig(path);
  applyConfig(command as unknown as CommandUnknownOpts, file);
  return file;
}

/** A recorded plan with what is given instead; of levels that are out of order then it is said. */
function bent(
  recorded: GuardPolicy,
  requested: GuardPolicy,
  values: Readonly<Record<string, unknown>>,
): GuardPolicy {
  const has = (...names: readonly string[]) => names.some((name) => name in values);
  const warn = has("warn") ? requested.levels.warn : recorded.levels.warn;
  const critical = has("critical") ? requested.levels.critical : recorded.levels.critical;
  if (warn > critical) {
    throw new OomkitError(
      `cannot replay with a warn of ${warn}% and a critical of ${critical}%: they are out of order`,
      "give both",
    );
  }
  return {
    ...recorded,
    mode: has("mode") ? requested.mode : recorded.mode,
    levels: { warn, critical, margin: { ...recorded.levels.margin, ...requested.levels.margin } },
    metric: has("metric") ? requested.metric : recorded.metric,
    triggerPolicy: {
      hysteresis: has("hysteresis")
        ? requested.triggerPolicy.hysteresis
        : recorded.triggerPolicy.hysteresis,
      cooldown: has("cooldown")
        ? requested.triggerPolicy.cooldown
        : recorded.triggerPolicy.cooldown,
      repeat: has("repeat") ? requested.triggerPolicy.repeat : recorded.triggerPolicy.repeat,
    },
    timeouts: {
      reclaim: has("reclaim") ? requested.timeouts.reclaim : recorded.timeouts.reclaim,
      graceMs: has("gracePeriod") ? requested.timeouts.graceMs : recorded.timeouts.graceMs,
      killMs: has("killTimeout") ? requested.timeouts.killMs : recorded.timeouts.killMs,
    },
    actions: {
      warn: has("onWarn") ? requested.actions.warn : recorded.actions.warn,
      critical: has("onCritical") ? requested.actions.critical : recorded.actions.critical,
      imminent: has("onImminent", "policy")
        ? requested.actions.imminent
        : recorded.actions.imminent,
    },
  };
}
