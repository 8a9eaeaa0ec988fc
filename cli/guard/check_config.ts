/** `oomkit guard --check-config`: the effective configuration, and the rule that applies to each cgroup. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { toJson } from "../../core/events/json.ts";
import {
  type GuardPolicy,
  percentText,
  policyFor,
  pressureText,
  swapText,
} from "../../core/guard/policy.ts";
import { candidatesIn, limitOf } from "../../core/guard/targets.ts";
import { actionText, mapActions } from "../../core/policy/actions.ts";
import { ruleFor } from "../../core/policy/rules.ts";
import { Mistakes } from "../../core/errors.ts";
import { applyConfig, type ConfigFile } from "../config/config.ts";
import { wantsJson } from "../options/subcommand.ts";
import { formatBytes } from "../options/units.ts";
import { print, printable } from "../output/output.ts";
import { checkReceivers, describeReceivers } from "../receivers/receivers.ts";
import { targetsBeside } from "./machine.ts";
import { buildGuardSetup, type GuardRequest, type GuardSetup } from "./setup.ts";

/** @returns the exit status. Throws {@link OomkitError} for mistakes in the configuration. */
export async function checkConfig(request: GuardRequest): Promise<number> {
  const { file, flags } = request;
  if (file) await checkOtherTables(file);
  await checkReceivers(flags);
  const setup = buildGuardSetup(request, undefined);
  const cgroups = cgroupsOf(setup);
  if (wantsJson(flags)) print(toJson(documentOf(request, setup, cgroups)));
  else for (const line of linesOf(request, setup, cgroups)) print(line);
  return 0;
}

/** The tables of the commands that do not run. */
async function checkOtherTables(file: ConfigFile): Promise<void> {
  const finish = () => {};
  const commands: CommandUnknownOpts[] = [
    (await import("../inspect/command.ts")).inspectCommand(finish),
    (await import("../watch/command.ts")).watchCommand(finish, undefined),
    (await import("../history/command.ts")).historyCommand(finish),
    (await import("../status/command.ts")).statusCommand(finish),
    (await import("../simulate/command.ts")).simulateCommand(finish),
  ];
  const mistakes = new Mistakes();
  for (const command of commands) mistakes.check(() => applyConfig(command, file));
  mistakes.throwAny();
}

interface CheckedCgroup {
  readonly path: string;
  /** Undefined if the cgroup is exempt. */
  readonly policy: GuardPolicy | undefined;
  /** The name of the rule that applies. */
  readonly rule: string | undefined;
  /** Bytes. */
  readonly limit: number | undefined;
}

function cgroupsOf({ policies, scopes, rules }: GuardSetup): CheckedCgroup[] {
  return [...candidatesIn(scopes)].map(({ cgroup, isTarget }) => {
    const { path } = cgroup;
    const isMachine = cgroup.machine !== undefined;
    const number = policyFor(policies, path, isMachine);
    const at = { path, podUid: undefined, isMachine };
    const policy = number === undefined ? undefined : policies.all[number]!;
    return {
      path,
      policy,
      rule: rules[number ?? ruleFor(policies.rules, at, policies.labels)]?.name,
      limit: policy && limitOf(cgroup, isTarget, policy.softLimit)?.limit,
    };
  });
}

function documentOf(
  { file, targets, flags }: GuardRequest,
  { policies, rules }: GuardSetup,
  cgroups: readonly CheckedCgroup[],
) {
  return {
    v: 2,
    file: file?.path ?? null,
    targets,
    receivers: describeReceivers(flags),
    rules: policies.all.map((policy, at) => ({
      name: rules[at]?.name ?? null,
      where: rules[at]?.where ?? null,
      exempt: rules[at]?.isExempt ?? false,
      ...policyDocument(policy),
    })),
    cgroups: cgroups.map(({ path, rule, limit }) => ({
      cgroup: path,
      rule: rule ?? null,
      limit: limit ?? null,
      guarded: limit !== undefined,
    })),
  };
}

function linesOf(
  { file, targets, flags }: GuardRequest,
  { policies, rules, scopes }: GuardSetup,
  cgroups: readonly CheckedCgroup[],
): string[] {
  const machine = scopes.find(({ cgroup }) => cgroup.machine)?.cgroup;
  const others = machine ? targetsBeside(machine.hierarchy, targets, flags) : targets;
  const named = [...machine ? ["the machine"] : [], ...others.map(printable)];
  const nameOf = (rule: string | undefined) =>
    rule === undefined ? "default policy" : `rule "${printable(rule)}"`;
  return [
    `configuration  ${file ? printable(file.path) : "no file; defaults, variables and flags"}`,
    `targets        ${named.join(" ") || "none given; oomkit's own cgroup"}`,
    `receivers      ${describeReceivers(flags).map(printable).join(", ") || "stdout only"}`,
    ...policies.all.flatMap((policy, at) => {
      const rule = rules[at];
      return [
        `${nameOf(rule?.name)}${rule ? `: ${printable(rule.where)}` : ""}`,
        `    ${rule?.isExempt ? "not guarded" : policyText(policy)}`,
      ];
    }),
    ...cgroups.map(({ path, policy, rule, limit }) => {
      const state = policy === undefined
        ? "not guarded"
        : limit === undefined
        ? "not guarded: no limit"
        : `limit ${formatBytes(limit)}`;
      return `${printable(path)}: ${nameOf(rule)}, ${state}`;
    }),
  ];
}

/** `null` for the parts of the margin that the mode decides. */
function policyDocument(policy: GuardPolicy) {
  const {
    mode,
    levels,
    metric,
    actions,
    killSettings,
    triggerPolicy,
    preferences,
    poll,
    softLimit,
  } = policy;
  const { ratio = null, min = null, max = null } = levels.margin;
  const sources = (list: readonly RegExp[]) => list.map(({ source }) => source);
  const { prefer, avoid, ignore } = preferences;
  return {
    mode,
    warn: levels.warn,
    critical: levels.critical,
    margin: { ratio, min, max },
    metric,
    actions: mapActions(actions, actionText),
    reclaim: killSettings.reclaimFirst,
    swap: swapText(policy),
    psi: pressureText(policy),
    match: preferences.byName ? "name" : "command-line",
    victim_order: preferences.cgroupOrder ?? "badness",
    grace_ms: killSettings.graceMs,
    kill_timeout_ms: killSettings.exitTimeoutMs,
    hysteresis: triggerPolicy.hysteresis,
    cooldown_ms: triggerPolicy.cooldown,
    repeat: triggerPolicy.repeat,
    poll_ms: poll ?? null,
    soft_limit: softLimit,
    prefer: sources(prefer),
    avoid: sources(avoid),
    ignore: sources(ignore),
    essentials: (preferences.essentials ?? []).map(({ name }) => name),
  };
}

function policyText(policy: GuardPolicy): string {
  const { mode, levels: { warn, critical, margin }, metric, actions, killSettings, triggerPolicy } =
    policy;
  const words = (list: GuardPolicy["actions"]["warn"]) => list.map(actionText).join("+") || "noop";
  const margins = [
    ...margin.ratio === undefined ? [] : [percentText(margin.ratio)],
    ...margin.min === undefined ? [] : [`at least ${formatBytes(margin.min)}`],
    ...margin.max === undefined ? [] : [`at most ${formatBytes(margin.max)}`],
  ];
  const { essentials = [] } = policy.preferences;
  return [
    `mode ${mode}`,
    `warn ${warn}% ${words(actions.warn)}`,
    `critical ${critical}% ${words(actions.critical)}`,
    `imminent ${words(actions.imminent)}`,
    `margin ${margins.join(", ") || "of the mode"}`,
    `metric ${metric}`,
    ...killSettings.graceMs > 0 ? [`grace period ${killSettings.graceMs} ms`] : [],
    ...killSettings.reclaimFirst ? [] : ["no reclaim"],
    ...killSettings.countSwap ? [] : ["swap ignored"],
    ...killSettings.swapUsedLimit === undefined ? [] : [`swap ${swapText(policy)}`],
    ...policy.pressure ? [`psi ${pressureText(policy)}`] : [],
    ...policy.softLimit ? ["soft limits"] : [],
    ...policy.poll === undefined ? [] : [`poll ${policy.poll} ms`],
    `hysteresis ${percentText(triggerPolicy.hysteresis)}`,
    `cooldown ${triggerPolicy.cooldown} ms`,
    ...triggerPolicy.repeat ? ["repeat"] : [],
    ...policy.preferences.byName ? ["names matched"] : [],
    ...policy.preferences.cgroupOrder ? [`victim order ${policy.preferences.cgroupOrder}`] : [],
    ...(["prefer", "avoid", "ignore"] as const).flatMap((name) =>
      policy.preferences[name].map(({ source }) => `${name} ${printable(source)}`)
    ),
    ...essentials.length > 0
      ? [`never kills ${essentials.map(({ name }) => printable(name)).join(" ")}`]
      : [],
  ].join(", ");
}
