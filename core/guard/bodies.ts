/** From what the sentry says to events. */

import type { Body, Weighed as ToldWeighed } from "../report/event.ts";
import type { Blow, Message, Weighed } from "./messages.ts";
import type { Action } from "./plan.ts";
import type { Entry } from "./roster.ts";

type Of<Say extends Message["say"]> = Extract<Message, { say: Say }>;

export function guardingBody({ measured, terms, plan }: Entry): Body {
  const { warn, critical, threshold } = plan.actions;
  return {
    type: "guarding",
    rule: plan.rule ?? null,
    limit: terms.limit,
    limit_owner: measured.path,
    ...terms.bounds,
    base: plan.base,
    mode: terms.mode,
    actions: {
      warn: warn.map(actionText),
      critical: critical.map(actionText),
      threshold: threshold.map(actionText),
    },
    dry_run: plan.dryRun,
  };
}

export function actionText(action: Action): string {
  switch (action.kind) {
    case "signal":
      return `signal:${action.signal}`;
    case "exec":
      return `exec:${action.command}`;
    default:
      return action.kind;
  }
}

export function levelBody({ terms, plan: { base } }: Entry, said: Of<"level">): Body {
  const { level, usage, value, rate } = said;
  return {
    type: "level",
    level,
    usage,
    value,
    base,
    threshold: terms.bounds[level],
    limit: terms.limit,
    rate: rate === undefined ? null : Math.round(rate),
  };
}

export function letGoBody(
  { terms }: Entry,
  { level, why, usage, reclaimable }: Of<"let_go">,
): Body {
  return {
    type: "let_go",
    level,
    why,
    usage,
    reclaimable: reclaimable ?? null,
    limit: terms.limit,
    threshold: terms.bounds[level],
  };
}

export function blowBody({ terms, plan: { dryRun } }: Entry, blow: Blow): Body {
  const { before, after } = blow;
  return {
    type: "action",
    action: blow.deed,
    level: blow.level,
    mode: terms.mode,
    dry_run: dryRun,
    signal: blow.signal,
    victim: blow.victim ? toldOf(blow.victim) : null,
    container: blow.container ?? null,
    candidates: blow.candidates.map(toldOf),
    usage_before: before,
    usage_after: after ?? null,
    limit: blow.limit,
    threshold: blow.threshold,
    outcome: blow.outcome,
    reason: blow.reason ?? null,
    count: null,
    freed: blow.outcome === "died" && after !== undefined ? Math.max(0, before - after) : null,
    struck_ms: rounded(blow.struckAfter),
    died_ms: rounded(blow.diedAfter),
    freed_ms: rounded(blow.freedAfter),
  };
}

export function reclaimedBody({ terms, plan: { dryRun } }: Entry, said: Of<"reclaimed">): Body {
  const { level, before, after, lasted } = said;
  return {
    ...emptyAction,
    action: "reclaim",
    level,
    mode: terms.mode,
    dry_run: dryRun,
    usage_before: before,
    usage_after: after,
    limit: terms.limit,
    threshold: terms.bounds[level],
    outcome: dryRun ? "would" : "freed",
    freed: dryRun ? null : Math.max(0, before - after),
    freed_ms: rounded(lasted),
  };
}

/** What is not known of every action. */
export const emptyAction = {
  type: "action",
  signal: null,
  victim: null,
  container: null,
  candidates: [],
  usage_after: null,
  reason: null,
  count: null,
  freed: null,
  struck_ms: null,
  died_ms: null,
  freed_ms: null,
} as const;

export function toldOf({ rss, oomScoreAdj, because, ...rest }: Weighed): ToldWeighed {
  const { pid, comm, cmdline, cgroup, badness, standing } = rest;
  return {
    pid,
    comm,
    cmdline,
    cgroup,
    rss: rss ?? null,
    oom_score_adj: oomScoreAdj ?? null,
    badness,
    standing,
    because: because ?? null,
  };
}

const rounded = (ms: number | undefined) => ms === undefined ? null : Math.round(ms * 1000) / 1000;
