/** Plans as they are written into a recording, and as they are read from one. Pure. */

import type { RecordedPolicy } from "../record/format.ts";
import type { Action, GuardPolicy } from "./plan.ts";

/** Without whom it prefers, which is about processes that a recording does not have, and without the text of commands. */
export function recordedPolicy(policy: GuardPolicy): RecordedPolicy {
  const { warn, critical, margin } = policy.levels;
  return {
    rule: policy.rule ?? null,
    mode: policy.mode,
    warn,
    critical,
    margin,
    metric: policy.metric,
    actions: {
      warn: policy.actions.warn.map(actionWord),
      critical: policy.actions.critical.map(actionWord),
      imminent: policy.actions.imminent.map(actionWord),
    },
    ...policy.triggerPolicy,
    reclaim: policy.timeouts.reclaim,
    grace_period: policy.timeouts.graceMs,
    kill_timeout: policy.timeouts.killMs,
    dry_run: policy.dryRun,
  };
}

const actionWord = (action: Action) =>
  action.kind === "signal" ? `signal:${action.signal}` : action.kind;

export function policyOfRecord(policy: RecordedPolicy): GuardPolicy {
  const { warn, critical, margin, hysteresis, cooldown, repeat } = policy;
  return {
    ...(policy.rule !== null && { rule: policy.rule }),
    mode: policy.mode,
    levels: { warn, critical, margin },
    triggerPolicy: { hysteresis, cooldown, repeat },
    timeouts: {
      reclaim: policy.reclaim,
      graceMs: policy.grace_period,
      killMs: policy.kill_timeout,
    },
    metric: policy.metric,
    actions: {
      warn: policy.actions.warn.map(actionNamed),
      critical: policy.actions.critical.map(actionNamed),
      imminent: policy.actions.imminent.map(actionNamed),
    },
    preferences: { prefer: [], avoid: [], ignore: [] },
    softLimit: false,
    dryRun: policy.dry_run,
    protectedPids: new Set(),
  };
}

/** What this version does not know does nothing that could be run again. */
function actionNamed(word: string): Action {
  switch (word) {
    case "reclaim":
    case "process":
    case "container":
      return { kind: word };
    case "exec":
      return { kind: word, command: "" };
    default:
      return word.startsWith("signal:")
        ? { kind: "signal", signal: word.slice("signal:".length) as Deno.Signal }
        : { kind: "noop" };
  }
}
