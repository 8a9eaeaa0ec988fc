/** The result of a replay in the shape of its JSON: docs/schema/replay.schema.json. Pure. */

import { timestamp } from "../../core/events/event.ts";
import { recordedPolicy } from "../../core/guard/record.ts";
import type { Replayed, ReplayedCgroup, Row } from "../../core/guard/replay.ts";
import { LEVELS } from "../../core/policy/levels.ts";
import type { RecordedPolicy } from "../../core/record/format.ts";
import { formatDuration } from "../options/units.ts";
import type { ReplayPolicy } from "./replay_options.ts";

export type ReplayReport = ReturnType<typeof replayReport>;

export function replayReport(
  replayed: Replayed,
  rows: readonly Row[],
  policy: ReplayPolicy,
) {
  const { head, cgroups } = replayed;
  const { command, oomkit, host, kernel, hierarchy } = head;
  const isGuard = command === "guard";
  const differences = actionDifferences(cgroups);
  return {
    type: "replay" as const,
    v: 2 as const,
    recording: {
      ...{ command, oomkit, host, kernel, hierarchy },
      from: timestamp(replayed.from),
      to: timestamp(replayed.to),
      ending: replayed.ending,
      lost_snapshots: replayed.lost,
    },
    policy: {
      from: policyOrigin(policy),
      config: policy.config ?? null,
      overrides: policy.given,
      policies: policy.other?.all.map(recordedPolicy) ?? null,
    },
    cgroups: cgroups.map((each) => ({
      cgroup: each.path,
      limit: each.limit,
      samples: each.samples,
      decisions: each.replayed.length,
      not_guarded_reason: each.notGuarded ?? null,
    })),
    decisions: rows.map(({ cgroup, act, usage, limit, replayed, recorded }) => ({
      cgroup,
      decision: act,
      usage,
      limit,
      replayed_at: replayed === undefined ? null : timestamp(replayed),
      recorded_at: recorded === undefined ? null : timestamp(recorded),
      later_ms: replayed === undefined || recorded === undefined
        ? null
        : toMicroseconds(replayed - recorded),
    })),
    kills: replayed.kills.map(({ at, cgroup, what, victim }) => ({
      ts: timestamp(at),
      cgroup,
      event: what,
      victim: victim ?? null,
      after_kill_ms: msAfterKill(rows, cgroup, at),
    })),
    matches_recording: isGuard
      ? differences.length === 0 && rows.every(({ replayed, recorded }) => replayed === recorded)
      : null,
    notes: [...differences, ...limitsOfReplay(replayed, rows, isGuard)],
  };
}

function policyOrigin({ config, other }: ReplayPolicy) {
  return config !== undefined ? "configuration" : other ? "options" : "recording";
}

/** Milliseconds, rounded to whole microseconds. */
const toMicroseconds = (ms: number) => Math.round(1000 * ms) / 1000;

function msAfterKill(rows: readonly Row[], cgroup: string, at: number): number | null {
  const kill = rows.findLast((row) =>
    row.cgroup === cgroup && row.act === "kill" && (row.replayed ?? Infinity) <= at
  );
  return kill?.replayed === undefined ? null : toMicroseconds(at - kill.replayed);
}

/** One line for each policy difference that matters in some cgroup, such as `at imminent: container instead of process`. */
function actionDifferences(cgroups: readonly ReplayedCgroup[]): string[] {
  const lines = cgroups.flatMap(({ replayed, policies }) => {
    const decisions = new Set(replayed.map(({ act }) => act));
    return [...policies].flatMap((policies) => {
      const [now, then] = policies.map(recordedPolicy) as [RecordedPolicy, RecordedPolicy];
      const pairs = [
        ...LEVELS.map((level) => [
          decisions.has(level),
          `at ${level}`,
          actionText(now.actions[level]),
          actionText(then.actions[level]),
        ]),
        [decisions.has("kill"), "kill", graceText(now.grace_period), graceText(then.grace_period)],
        [decisions.has("kill"), "kill", dryRunText(now.dry_run), dryRunText(then.dry_run)],
      ] as const;
      return pairs.flatMap(([applies, what, replayed, recorded]) =>
        applies && replayed !== recorded ? [`${what}: ${replayed} instead of ${recorded}`] : []
      );
    });
  });
  return [...new Set(lines)];
}

const actionText = (actions: readonly string[]) =>
  actions.filter((each) => each !== "noop").join(" and ") || "nothing";

const graceText = (ms: number) =>
  ms === 0 ? "immediate SIGKILL" : `grace period of ${formatDuration(ms)}`;

const dryRunText = (isDryRun: boolean) => isDryRun ? "dry run" : "real run";

function limitsOfReplay(
  { cgroups, ending, lost }: Replayed,
  rows: readonly Row[],
  isGuard: boolean,
): string[] {
  const assumedReads = cgroups.reduce((sum, each) => sum + each.assumedReads, 0);
  const changed = rows.filter(({ act, replayed, recorded }) =>
    (act === "kill" || act === "escalate") && replayed !== recorded
  );
  const notes: (readonly [boolean, string])[] = [
    [
      changed.some(({ replayed }) => replayed !== undefined),
      "usage after a kill that was not recorded is unknown: that cgroup has no more decisions until usage is below the level again",
    ],
    [
      changed.some(({ recorded }) => recorded !== undefined),
      "after a recorded kill that is not replayed at the same sample, usage is what the recorded kill left",
    ],
    [
      cgroups.some(({ mode }) => mode !== undefined),
      "usage was recorded in another mode, and would have been different in this one",
    ],
    [
      !isGuard,
      "the recording is not from guard: it has the samples of that run, a guard would have taken more near its levels",
    ],
    [
      assumedReads > 0,
      `page cache was not read at ${
        assumedReads === 1 ? "1 sample" : `${assumedReads} samples`
      }: the last known value is used, or none`,
    ],
    [lost > 0, `${lost} snapshots were lost while recording`],
    [ending === "full", "the recording reached its maximum size before the run ended"],
    [ending === "cut_off", "the recording is truncated"],
  ];
  return notes.flatMap(([applies, note]) => applies ? [note] : []);
}
