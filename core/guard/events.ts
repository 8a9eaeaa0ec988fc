/** Events of a guard that both of its threads make. */

import type { ActionBody } from "../events/event.ts";
import type { ReportedAction } from "../policy/actions.ts";
import type { Level } from "../policy/levels.ts";
import type { GuardedCgroup } from "./registry.ts";

export type ActionResult = ResultOf<ActionBody>;
type ResultOf<OneBody> = OneBody extends ActionBody ? Pick<OneBody, "outcome"> & Partial<OneBody>
  : never;

/** @param usage bytes, when the level was reached. */
export function actionEvent(
  { settings, policy }: Pick<GuardedCgroup, "settings" | "policy">,
  action: ReportedAction,
  level: Level,
  usage: number,
  result: ActionResult,
): ActionBody {
  return {
    type: "action",
    action,
    level,
    mode: settings.mode,
    dry_run: policy.dryRun,
    usage_before: usage,
    limit: settings.limit,
    level_bytes: settings.levelBytes[level],
    reason: null,
    ...result,
  } as ActionBody;
}

/** Milliseconds to microseconds. */
export const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;
