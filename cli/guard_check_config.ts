/** `oomkit guard --check-config`: what the configuration comes to, and which rule each cgroup falls under. */

import { actionText } from "../core/guard/bodies.ts";
import { limitOf } from "../core/guard/limit.ts";
import { ruleFor } from "../core/policy/rules.ts";
import { type GuardPlan, planFor } from "../core/guard/plan.ts";
import { candidatesIn } from "../core/guard/scope.ts";
import { toJson } from "../core/report/json.ts";
import { shownUrl } from "../core/report/webhook.ts";
import type { Asked } from "./guard.ts";
import type { GuardFlags } from "./guard_options.ts";
import { openReporters } from "./reporters.ts";
import { setUp } from "./guard_setup.ts";
import { wantsJson } from "./options.ts";
import { print, printable } from "./output.ts";
import { checkOtherTables } from "./config_check.ts";
import { formatBytes } from "./units.ts";

/** The exit code; what is wrong is thrown. */
export async function checkConfig(asked: Asked): Promise<number> {
  const { file, flags, targets } = asked;
  if (file) await checkOtherTables(file);
  await checkReceivers(flags);
  const { plans, scopes, rules } = setUp(asked, undefined);
  const cgroups = [...candidatesIn(scopes)].map(({ cgroup, isNamed }) => {
    const number = planFor(plans, cgroup.path);
    const plan = number === undefined ? undefined : plans.all[number]!;
    const found = plan && limitOf(cgroup, isNamed, plan.softLimit);
    return { path: cgroup.path, plan, limit: found?.limit };
  });
  const ruleOf = (plan: GuardPlan | undefined, path: string) =>
    plan ? plan.rule : rules[ruleFor(plans.rules, { path, podUid: undefined }, plans.labels)]?.name;
  if (wantsJson(flags)) {
    print(toJson({
      v: 1,
      file: file?.path ?? null,
      targets,
      receivers: receiversOf(flags),
      rules: plans.all.map((plan, at) => ({
        name: plan.rule ?? null,
        where: rules[at]?.where ?? null,
        exempt: rules[at]?.isExempt ?? false,
        ...toldOf(plan),
      })),
      cgroups: cgroups.map(({ path, plan, limit }) => ({
        cgroup: path,
        rule: ruleOf(plan, path) ?? null,
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
  for (const [at, plan] of plans.all.entries()) {
    const rule = rules[at];
    const name = plan.rule === undefined ? "the rest" : `rule "${printable(plan.rule)}"`;
    print(`${name}${rule ? `: ${printable(rule.where)}` : ""}`);
    print(`    ${rule?.isExempt ? "not guarded" : planText(plan)}`);
  }
  for (const { path, plan, limit } of cgroups) {
    const rule = ruleOf(plan, path);
    const by = rule === undefined ? "the rest" : `rule "${printable(rule)}"`;
    const state = plan === undefined
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
  const reporters = await openReporters(Object.fromEntries(rest) as unknown as GuardFlags, {
    command: "guard",
    cgroups: () => [],
    alive: () => ({ ok: true }),
    ready: () => ({ ok: true }),
  });
  await reporters.close();
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
function toldOf(plan: GuardPlan) {
  const { mode, levels, base, actions, patience, rearming, preferences, poll, softLimit } = plan;
  const { ratio = null, min = null, max = null } = levels.margin;
  const sources = (list: readonly RegExp[]) => list.map(({ source }) => source);
  const { prefer, avoid, ignore } = preferences;
  return {
    mode,
    warn: levels.warn,
    critical: levels.critical,
    margin: { ratio, min, max },
    base,
    actions: {
      warn: actions.warn.map(actionText),
      critical: actions.critical.map(actionText),
      threshold: actions.threshold.map(actionText),
    },
    reclaim: patience.reclaim,
    grace_ms: patience.grace,
    patience_ms: patience.death,
    hysteresis: rearming.hysteresis,
    cooldown_ms: rearming.cooldown,
    repeat: rearming.repeat,
    poll_ms: poll ?? null,
    soft_limit: softLimit,
    prefer: sources(prefer),
    avoid: sources(avoid),
    ignore: sources(ignore),
  };
}

function planText(plan: GuardPlan): string {
  const { mode, levels: { warn, critical, margin }, base, actions, patience, rearming } = plan;
  const words = (list: GuardPlan["actions"]["warn"]) => list.map(actionText).join("+") || "noop";
  const margins = [
    ...margin.ratio === undefined ? [] : [`${margin.ratio * 100}%`],
    ...margin.min === undefined ? [] : [`at least ${formatBytes(margin.min)}`],
    ...margin.max === undefined ? [] : [`at most ${formatBytes(margin.max)}`],
  ];
  return [
    `mode ${mode}`,
    `warn ${warn}% ${words(actions.warn)}`,
    `critical ${critical}% ${words(actions.critical)}`,
    `threshold ${words(actions.threshold)}`,
    `margin ${margins.join(", ") || "as the mode has it"}`,
    `base ${base}`,
    ...patience.grace > 0 ? [`grace ${patience.grace} ms`] : [],
    ...patience.reclaim ? [] : ["no reclaim"],
    ...plan.softLimit ? ["soft limits too"] : [],
    ...plan.poll === undefined ? [] : [`poll ${plan.poll} ms`],
    `hysteresis ${rearming.hysteresis * 100}%`,
    `cooldown ${rearming.cooldown} ms`,
    ...rearming.repeat ? ["repeat"] : [],
    ...(["prefer", "avoid", "ignore"] as const).flatMap((name) =>
      plan.preferences[name].map(({ source }) => `${name} ${printable(source)}`)
    ),
  ].join(", ");
}
