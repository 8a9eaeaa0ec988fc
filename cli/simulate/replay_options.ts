/** The policy of `simulate --replay`: recorded, configured or default, with the guard options that were given. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { type GuardPolicy, type PolicySet, singlePolicy } from "../../core/guard/policy.ts";
import { rulesOf } from "../config/rules.ts";
import { guardBase, type GuardFlags } from "../guard/options.ts";
import { policyOfFlags, policySetOf, type SourceOf } from "../guard/policy.ts";
import { isPolicy } from "./replay_flags.ts";

/** From the recorded policies to those of the replay. */
export interface ReplayPolicy {
  /** The policies of a configuration, or the default one with the given options; `undefined` for the recorded ones. */
  readonly other: PolicySet | undefined;
  override(policy: GuardPolicy): GuardPolicy;
  /** Such as `--margin-ratio`. */
  readonly given: readonly string[];
  readonly config: string | undefined;
}

type Name = "warn" | "critical" | "marginRatio" | "minMargin" | "maxMargin";

/** @param command simulate, parsed. @param hasPolicies the recording has policies. */
export async function replayPolicy(
  command: CommandUnknownOpts,
  hasPolicies: boolean,
): Promise<ReplayPolicy> {
  const options = command.options.filter(isPolicy);
  const isGiven = (name: string) => (command.getOptionValueSource(name) ?? "default") !== "default";
  const named = options.filter((each) => isGiven(each.attributeName()));
  const given = named.map(({ long }) => long!);
  const values = Object.fromEntries(
    named.map((each) => [each.attributeName(), command.getOptionValue(each.attributeName())]),
  );
  const path = command.getOptionValue("config") as string | undefined;
  const overridesRecorded = hasPolicies && path === undefined;
  const { flags, sourceOf, file } = await guardFlags(
    path,
    overridesRecorded ? withBothLevels(values) : values,
  );
  const policyOf = (flags: GuardFlags, sourceOf: SourceOf) =>
    policyOfFlags(flags, sourceOf, [], new Set()).policy;
  const requested = policyOf(flags, sourceOf);
  const override = (recorded: GuardPolicy) => overridden(recorded, requested, values);
  if (path === undefined) {
    return {
      other: hasPolicies ? undefined : singlePolicy(requested),
      override,
      given,
      config: path,
    };
  }
  const rules = file === undefined ? [] : rulesOf(file);
  return {
    other: policySetOf(requested, rules, { flags, sourceOf }, policyOf, new Map()),
    override,
    given,
    config: path,
  };
}

/** With one level given, the other one is that of the recording: the default must not fail the order check. */
function withBothLevels(
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { warn, critical } = values as { warn?: number; critical?: number };
  if (warn !== undefined && critical === undefined) return { ...values, critical: 100 };
  return critical !== undefined && warn === undefined ? { ...values, warn: critical } : values;
}

/** The flags as `guard` would read them; options of the command line override those of the file. */
async function guardFlags(path: string | undefined, values: Readonly<Record<string, unknown>>) {
  const command = guardBase();
  // The default of a --no-… option is set only when a command line is parsed.
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

/** The recorded policy with the given options. Throws {@link OomkitError} when its levels are out of order then. */
function overridden(
  recorded: GuardPolicy,
  requested: GuardPolicy,
  values: Readonly<Record<string, unknown>>,
): GuardPolicy {
  /** From the requested policy if one of the options was given, else from the recorded one. */
  const pick = <T>(get: (policy: GuardPolicy) => T, ...names: readonly string[]) =>
    get(names.some((name) => name in values) ? requested : recorded);
  const warn = pick(({ levels }) => levels.warn, "warn");
  const critical = pick(({ levels }) => levels.critical, "critical");
  if (warn > critical) {
    throw new OomkitError(
      `cannot replay with --warn ${warn}% and --critical ${critical}%: they are out of order`,
      "give both options",
    );
  }
  return {
    ...recorded,
    mode: pick(({ mode }) => mode, "mode"),
    levels: { warn, critical, margin: { ...recorded.levels.margin, ...requested.levels.margin } },
    metric: pick(({ metric }) => metric, "metric"),
    triggerPolicy: {
      hysteresis: pick(({ triggerPolicy }) => triggerPolicy.hysteresis, "hysteresis"),
      cooldown: pick(({ triggerPolicy }) => triggerPolicy.cooldown, "cooldown"),
      repeat: pick(({ triggerPolicy }) => triggerPolicy.repeat, "repeat"),
    },
    timeouts: {
      reclaim: pick(({ timeouts }) => timeouts.reclaim, "reclaim"),
      graceMs: pick(({ timeouts }) => timeouts.graceMs, "gracePeriod"),
      killMs: pick(({ timeouts }) => timeouts.killMs, "killTimeout"),
    },
    actions: {
      warn: pick(({ actions }) => actions.warn, "onWarn"),
      critical: pick(({ actions }) => actions.critical, "onCritical"),
      imminent: pick(({ actions }) => actions.imminent, "onImminent", "policy"),
    },
  };
}
