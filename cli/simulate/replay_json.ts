/** What would be done otherwise than it was, though at the same look: by the plans, which the times do not tell. Pure. */

import { timestamp } from "../../core/events/event.ts";
import { recordedPolicy } from "../../core/guard/record.ts";
import type { RecordedKill, Replayed, ReplayedCgroup, Row } from "../../core/guard/replay.ts";
import { LEVELS } from "../../core/policy/levels.ts";
import type { RecordedPolicy } from "../../core/record/format.ts";
import { formatDuration } from "../options/units.ts";
import type { ReplayPolicy } from "./replay_options.ts";

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
          "it kills with ",
          graceOf(now.grace_period),
          graceOf(then.grace_period),
        ],
        [acts.has("kill"), "it kills ", earnestOf(now.dry_run), earnestOf(then.dry_run)],
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

/* What a replay comes to, in the shape that leaves the program: docs/schema/replay.schema.json. Pure. */

export interface ReplayReport {
  readonly type: "replay";
  readonly v: 2;
  readonly recording: {
    readonly command: string;
    readonly oomkit: string;
    readonly host: string;
    readonly kernel: string;
    readonly hierarchy: 1 | 2;
    readonly from: string;
    readonly to: string;
    /** `full`: the run went on. `cut_off`: it was killed, or the file was. */
    readonly ending: "ended" | "full" | "cut_off";
    readonly lost_snapshots: number;
  };
  readonly policy: {
    readonly from: "recording" | "configuration" | "options";
    readonly config: string | null;
    /** Options that were given instead. */
    readonly given: readonly string[];
    /** Of a configuration or of options; the recording's own, bent by what was given, stand in it. */
    readonly policies: readonly RecordedPolicy[] | null;
  };
  readonly cgroups: readonly {
    readonly cgroup: string;
    readonly limit: number | null;
    readonly samples: number;
    readonly decisions: number;
    /** Why it is not guarded under this policy. */
    readonly left: string | null;
  }[];
  readonly decisions: readonly {
    readonly cgroup: string;
    readonly act: Row["act"];
    readonly usage: number;
    readonly limit: number | null;
    readonly replayed: string | null;
    readonly recorded: string | null;
    /** Milliseconds later than recorded; below zero for earlier. */
    readonly later_ms: number | null;
  }[];
  readonly told: readonly {
    readonly ts: string;
    readonly cgroup: string;
    readonly what: RecordedKill["what"];
    readonly victim: string | null;
    /** Milliseconds from the last strike of the replay in that cgroup before it. */
    readonly after_strike_ms: number | null;
  }[];
  /** Whether it does the very same as the recording says was done; `null` where that says nothing of it. */
  readonly same: boolean | null;
  /** What is done otherwise at the same look, and what cannot be known. */
  readonly notes: readonly string[];
}

export function replayReport(
  replayed: Replayed,
  rows: readonly Row[],
  policy: ReplayPolicy,
): ReplayReport {
  const { head, from, to, ending, lost, cgroups, kills } = replayed;
  const { command, oomkit, host, kernel, hierarchy } = head;
  const ofGuard = command === "guard";
  const others = otherwise(cgroups);
  return {
    type: "replay",
    v: 2,
    recording: {
      ...{ command, oomkit, host, kernel, hierarchy },
      from: timestamp(from),
      to: timestamp(to),
      ending,
      lost_snapshots: lost,
    },
    policy: {
      from: policy.config !== undefined ? "configuration" : policy.other ? "options" : "recording",
      config: policy.config ?? null,
      given: policy.given,
      policies: policy.other?.all.map(recordedPolicy) ?? null,
    },
    cgroups: cgroups.map(({ path, limit, samples, replayed, notGuarded }) => ({
      cgroup: path,
      limit,
      samples,
      decisions: replayed.length,
      left: notGuarded ?? null,
    })),
    decisions: rows.map(({ cgroup, act, usage, limit, replayed, recorded }) => ({
      cgroup,
      act,
      usage,
      limit,
      replayed: replayed === undefined ? null : timestamp(replayed),
      recorded: recorded === undefined ? null : timestamp(recorded),
      later_ms: replayed === undefined || recorded === undefined
        ? null
        : thousandths(replayed - recorded),
    })),
    told: kills.map(({ at, cgroup, what, victim }) => {
      const kill = rows.findLast((row) =>
        row.cgroup === cgroup && row.act === "kill" && (row.replayed ?? Infinity) <= at
      );
      const after = kill?.replayed === undefined ? null : thousandths(at - kill.replayed);
      return { ts: timestamp(at), cgroup, what, victim: victim ?? null, after_strike_ms: after };
    }),
    same: ofGuard
      ? others.length === 0 && rows.every(({ replayed, recorded }) => replayed === recorded)
      : null,
    notes: [...others, ...notesOf(replayed, rows, ofGuard)],
  };
}

const thousandths = (ms: number) => Math.round(1000 * ms) / 1000;

function notesOf(
  { cgroups, ending, lost }: Replayed,
  rows: readonly Row[],
  ofGuard: boolean,
): string[] {
  const some = (test: (cgroup: ReplayedCgroup) => boolean) => cgroups.some(test);
  const assumedReads = cgroups.reduce((sum, each) => sum + each.assumedReads, 0);
  const isStrike = ({ act }: Row) => act === "kill" || act === "escalate";
  const added = rows.some((row) =>
    isStrike(row) && row.replayed !== undefined && row.replayed !== row.recorded
  );
  const missing = rows.some((row) =>
    isStrike(row) && row.recorded !== undefined && row.replayed !== row.recorded
  );
  const notes: (readonly [boolean, string])[] = [
    [
      added,
      "how usage would have gone on after a strike that did not happen is not known: of that cgroup nothing more is said until usage is below the level again",
    ],
    [
      missing,
      "after a recorded strike that is not replayed at the same look, usage is as that strike left it",
    ],
    [
      some(({ mode }) => mode !== undefined),
      "usage was recorded under another mode, and would have gone otherwise under this one",
    ],
    [
      !ofGuard,
      "it is no recording of a guard: it looks when that run did, a guard would have looked more often where it mattered",
    ],
    [
      assumedReads > 0,
      `page cache was not read at ${
        assumedReads === 1 ? "1 look" : `${assumedReads} looks`
      }: what was read last stands in, or none`,
    ],
    [lost > 0, `${lost} snapshots were lost as it was recorded`],
    [ending === "full", "the recording was full before the run ended"],
    [ending === "cut_off", "the recording was broken off"],
  ];
  return notes.flatMap(([holds, note]) => holds ? [note] : []);
}
