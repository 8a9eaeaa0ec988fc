/** What would be done otherwise than it was, though at the same look: by the plans, which the times do not tell. Pure. */

import { recordedPolicy } from "../core/guard/recorded_plan.ts";
import type { ReplayedCgroup } from "../core/guard/replay.ts";
import { LEVELS } from "../core/policy/bounds.ts";
import { formatDuration } from "./units.ts";

/** One line for each difference that comes to bear in any of them, such as `at threshold container instead of process`. */
export function otherwise(cgroups: readonly ReplayedCgroup[]): string[] {
  const lines = cgroups.flatMap(({ replayed, policies }) => {
    const acts = new Set(replayed.map(({ act }) => act));
    return policies.flatMap((plan) => {
      const [now, then] = [recordedPolicy(plan.replayed), recordedPolicy(plan.recorded)];
      const pairs: (readonly [boolean, string, string, string])[] = [
        ...LEVELS.map((level) =>
          [
            acts.has(level),
            `at ${level} `,
            wordsOf(now.actions[level]),
            wordsOf(then.actions[level]),
          ] as const
        ),
        [
          acts.has("kill"),
          "it strikes with ",
          graceOf(now.grace_period),
          graceOf(then.grace_period),
        ],
        [acts.has("kill"), "it strikes ", earnestOf(now.dry_run), earnestOf(then.dry_run)],
      ];
      return pairs.flatMap(([counts, what, one, other]) =>
        counts && one !== other ? [`${what}${one} instead of ${other}`] : []
      );
    });
  });
  return [...new Set(lines)];
}

const wordsOf = (actions: readonly string[]) =>
  actions.filter((each) => each !== "noop").join(" and ") || "nothing";

const graceOf = (ms: number) => ms === 0 ? "SIGKILL at once" : `a grace of ${formatDuration(ms)}`;

const earnestOf = (isDry: boolean) => isDry ? "on a dry run" : "in earnest";
