/** `oomkit guard --check-config`: what the configuration comes to, and which rule each cgroup falls under. */

import { actionText, mapActions } from "../../core/policy/actions.ts";
import { limitOf } from "../../core/guard/targets.ts";
import { ruleFor } from "../../core/policy/rules.ts";
import { type GuardPolicy, policyFor } from "../../core/guard/policy.ts";
import { candidatesIn } from "../../core/guard/targets.ts";
import { toJson } from "../../core/events/json.ts";
import { shownUrl } from "../../core/receivers/webhook.ts";
import type { GuardRequest } from "./command.ts";
import type { GuardFlags } from "./options.ts";
import { openReceivers } from "../receivers/receivers.ts";
import { buildGuardSetup } from "./setup.ts";
import { wantsJson } from "../options/option.ts";
import { print, printable } from "../output/output.ts";
import { checkOtherTables } from "../config/other_tables.ts";
import { formatBytes } from "../options/units.ts";

/** The exit code; what is wrong is thrown. */
export async function checkConfig(requested: GuardRequest): Promise<number> {
  const { file, flags, targets } = requested;
  if (file) await checkOtherTables(file);
  await checkReceivers(flags);
  const { policies, scopes, rules } = buildGuardSetup(requested, undefined);
  const cgroups = [...candidatesIn(scopes)].map(({ cgroup, isTarget }) => {
    const number = policyFor(policies, cgroup.path);
    const policy = number === undefined ? undefined : policies.all[number]!;
    const found = policy && limitOf(cgroup, isTarget, policy.softLimit);
    return { path: cgroup.path, policy, limit: found?.limit };
  });
  const ruleOf = (policy: GuardPolicy | undefined, path: string) =>
    policy
      ? policy.rule
      : rules[ruleFor(policies.rules, { path, podUid: undefined }, policies.labels)]?.name;
  if (wantsJson(flags)) {
    print(toJson({
      v: 2,
      file: file?.path ?? null,
      targets,
      receivers: receiversOf(flags),
      rules: policies.all.map((policy, at) => ({
        name: policy.rule ?? null,
        where: rules[at]?.where ?? null,
        exempt: rules[at]?.isExempt ?? false,
        ...toldOf(policy),
      })),
      cgroups: cgroups.map(({ path, policy, limit }) => ({
        cgroup: path,
        rule: ruleOf(policy, path) ?? null,
        limit: limit ?? null,
        guarded: limit !== undefined,
      })),
    }));
    return 0;
  }
  print(
    `configuration  ${file ? printable(file.path) : "none; the defaults, variables and flags"}`,
  );
  print(`targets        ${targets.map(printable).join(" ") || "none; the own cgroup"}`);
  const receivers = receiversOf(flags);
  print(`receivers      ${receivers.map(printable).join(", ") || "none but stdout"}`);
  for (const [at, policy] of policies.all.entries()) {
    const rule = rules[at];
    const name = policy.rule === undefined ? "the rest" : `rule "${printable(policy.rule)}"`;
    print(`${name}${rule ? `: ${printable(rule.where)}` : ""}`);
    print(`    ${rule?.isExempt ? "not guarded" : planText(policy)}`);
  }
  for (const { path, policy, limit } of cgroups) {
    const rule = ruleOf(policy, path);
    const by = rule === undefined ? "the rest" : `rule "${printable(rule)}"`;
    const state = policy === undefined
      ? "not guarded"
      : limit === undefined
      ? "not guarded: no limit"
      : `limit ${formatBytes(limit)}`;
    print(`${printable(path)}: ${by}, ${state}`);
  }
  return 0;
}

/** What they need beside the network: secrets and certificates. Nothing is sent, listened on or written. */
async function checkReceivers(flags: GuardFlags): Promise<void> {
  const opening = ["logFile", "listen", "port", "kubernetes", "kubernetesEvents"];
  const rest = Object.entries(flags).filter(([name]) => !opening.includes(name));
  const receivers = await openReceivers(Object.fromEntries(rest) as unknown as GuardFlags, {
    command: "guard",
    cgroups: () => [],
    alive: () => ({ ok: true }),
    ready: () => ({ ok: true }),
  });
  await receivers.close();
}

function receiversOf(flags: GuardFlags): string[] {
  const { logFile, webhookUrl = [], exec, kubernetesEvents, listen } = flags;
  return [
    ...logFile === undefined ? [] : [`log ${logFile}`],
    ...webhookUrl.map((url) => `webhook ${shownUrl(url)}`),
    ...exec === undefined ? [] : [`exec ${exec}`],
    ...kubernetesEvents ? ["Kubernetes events"] : [],
    ...listen === undefined ? [] : [`Prometheus at ${listen}`],
  ];
}

/** In its JSON form; `null` for what the mode decides. */
function toldOf(policy: GuardPolicy) {
  const { mode, levels, metric, actions, timeouts, triggerPolicy, preferences, poll, softLimit } =
    policy;
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
    reclaim: timeouts.reclaim,
    grace_ms: timeouts.graceMs,
    kill_timeout_ms: timeouts.killMs,
    hysteresis: triggerPolicy.hysteresis,
    cooldown_ms: triggerPolicy.cooldown,
    repeat: triggerPolicy.repeat,
    poll_ms: poll ?? null,
    soft_limit: softLimit,
    prefer: sources(prefer),
    avoid: sources(avoid),
    ignore: sources(ignore),
  };
}

function planText(policy: GuardPolicy): string {
  const { mode, levels: { warn, critical, margin }, metric, actions, timeouts, triggerPolicy } =
    policy;
  const words = (list: GuardPolicy["actions"]["warn"]) => list.map(actionText).join("+") || "noop";
  const margins = [
    ...margin.ratio === undefined ? [] : [`${margin.ratio * 100}%`],
    ...margin.min === undefined ? [] : [`at least ${formatBytes(margin.min)}`],
    ...margin.max === undefined ? [] : [`at most ${formatBytes(margin.max)}`],
  ];
  return [
    `mode ${mode}`,
    `warn ${warn}% ${words(actions.warn)}`,
    `critical ${critical}% ${words(actions.critical)}`,
    `threshold ${words(actions.imminent)}`,
    `margin ${margins.join(", ") || "as the mode has it"}`,
    `metric ${metric}`,
    ...timeouts.graceMs > 0 ? [`grace period ${timeouts.graceMs} ms`] : [],
    ...timeouts.reclaim ? [] : ["no reclaim"],
    ...policy.softLimit ? ["soft limits too"] : [],
    ...policy.poll === undefined ? [] : [`poll ${policy.poll} ms`],
    `hysteresis ${triggerPolicy.hysteresis * 100}%`,
    `cooldown ${triggerPolicy.cooldown} ms`,
    ...triggerPolicy.repeat ? ["repeat"] : [],
    ...(["prefer", "avoid", "ignore"] as const).flatMap((name) =>
      policy.preferences[name].map(({ source }) => `${name} ${printable(source)}`)
    ),
  ].join(", ");
}
