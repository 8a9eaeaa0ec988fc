/** The policy of `simulate --replay`: recorded, configured or default, with the guard options that were given. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { type GuardPolicy, type PolicySet, singlePolicy } from "../../core/guard/policy.ts";
import type { ConfigFile } from "../config/config.ts";
import { rulesOf } from "../config/rules.ts";
import { guardBase, type GuardFlags } from "../guard/options.ts";
import { policyOfFlags, policySetOf, type SourceOf } from "../guard/policy.ts";
import { isPolicy } from "./options.ts";

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
  const named = command.options.filter((each) =>
    isPolicy(each) &&
    (command.getOptionValueSource(each.attributeName()) ?? "default") !== "default"
  );
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
    policyOfFlags(flags, sourceOf, [], new Set(), false).policy;
  const requested = policyOf(flags, sourceOf);
  const result = {
    override: (recorded: GuardPolicy) => overridden(recorded, requested, values),
    given: named.map(({ long }) => long!),
    config: path,
  };
  if (path === undefined) {
    return { ...result, other: hasPolicies ? undefined : singlePolicy(requested) };
  }
  const rules = file === undefined ? [] : rulesOf(file, guardBase());
  const other = policySetOf(requested, rules, { flags, sourceOf }, policyOf, new Map());
  return { ...result, other };
}

type Values = Readonly<Record<string, unknown>>;

/** With one level given, the other one is that of the recording: the default must not fail the order check. */
function withBothLevels(values: Values): Values {
  const { warn, critical } = values as { warn?: number; critical?: number };
  if (warn !== undefined && critical === undefined) return { ...values, critical: 100 };
  return critical !== undefined && warn === undefined ? { ...values, warn: critical } : values;
}

/** The flags as `guard` would read them; options of the command line override those of the file. */
async function guardFlags(path: string | undefined, values: Values) {
  const command = guardBase();
  // The default of a --no-… option is set only when a command line is parsed.
  command.setOptionValueWithSource("reclaim", true, "default");
  let file: ConfigFile | undefined;
  if (path !== undefined) {
    const { applyConfig, readConfig } = await import("../config/config.ts");
    file = await readConfig(path);
    applyConfig(command as unknown as CommandUnknownOpts, file);
  }
  for (const [name, value] of Object.entries(values)) {
    command.setOptionValueWithSource(name as Name, value as never, "cli");
  }
  return {
    flags: command.opts() as GuardFlags,
    sourceOf: (name: string) => command.getOptionValueSource(name as Name),
    file,
  };
}

/** The recorded policy with the given options. Throws {@link OomkitError} when its levels are out of order then. */
function overridden(recorded: GuardPolicy, requested: GuardPolicy, values: Values): GuardPolicy {
  /** The requested policy if one of the options was given, else the recorded one. */
  const from = (...names: readonly string[]) =>
    names.some((name) => name in values) ? requested : recorded;
  const { warn } = from("warn").levels;
  const { critical } = from("critical").levels;
  if (warn > critical) {
    throw new OomkitError(
      `cannot replay with --warn ${warn}% and --critical ${critical}%: they are out of order`,
      "give both options",
    );
  }
  return {
    ...recorded,
    mode: from("mode").mode,
    levels: { warn, critical, margin: { ...recorded.levels.margin, ...requested.levels.margin } },
    metric: from("metric").metric,
    triggerPolicy: {
      hysteresis: from("hysteresis").triggerPolicy.hysteresis,
      cooldown: from("cooldown").triggerPolicy.cooldown,
      repeat: from("repeat").triggerPolicy.repeat,
    },
    killSettings: {
      // A recording has the room that swap had.
      countSwap: from("swap").killSettings.countSwap,
      reclaimFirst: from("reclaim").killSettings.reclaimFirst,
      graceMs: from("gracePeriod").killSettings.graceMs,
      exitTimeoutMs: from("killTimeout").killSettings.exitTimeoutMs,
    },
    actions: {
      warn: from("onWarn").actions.warn,
      critical: from("onCritical").actions.critical,
      imminent: from("onImminent", "policy").actions.imminent,
    },
  };
}
