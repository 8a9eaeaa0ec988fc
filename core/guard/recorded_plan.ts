/** Plans as they are written into a recording, and as they are read from one. Pure. */

import type { RecordedPlan } from "../record/format.ts";
import type { Action, GuardPlan } from "./plan.ts";

/** Without whom it prefers, which is about processes that a recording does not have, and without the text of commands. */
export function recordedPlan(plan: GuardPlan): RecordedPlan {
  const { warn, critical, margin } = plan.levels;
  return {
    rule: plan.rule ?? null,
    mode: plan.mode,
    warn,
    critical,
    margin,
    base: plan.base,
    actions: {
      warn: plan.actions.warn.map(actionWord),
      critical: plan.actions.critical.map(actionWord),
      threshold: plan.actions.threshold.map(actionWord),
    },
    ...plan.rearming,
    reclaim: plan.patience.reclaim,
    grace: plan.patience.grace,
    patience: plan.patience.death,
    dry_run: plan.dryRun,
  };
}

const actionWord = (action: Action) =>
  action.kind === "signal" ? `signal:${action.signal}` : action.kind;

export function planRecorded(plan: RecordedPlan): GuardPlan {
  const { warn, critical, margin, hysteresis, cooldown, repeat } = plan;
  return {
    ...(plan.rule !== null && { rule: plan.rule }),
    mode: plan.mode,
    levels: { warn, critical, margin },
    rearming: { hysteresis, cooldown, repeat },
    patience: { reclaim: plan.reclaim, grace: plan.grace, death: plan.patience },
    base: plan.base,
    actions: {
      warn: plan.actions.warn.map(actionNamed),
      critical: plan.actions.critical.map(actionNamed),
      threshold: plan.actions.threshold.map(actionNamed),
    },
    preferences: { prefer: [], avoid: [], ignore: [] },
    softLimit: false,
    dryRun: plan.dry_run,
    untouchable: new Set(),
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
