/**
 * `oomkit simulate --replay`, loaded only with this option. The result has the shape of its JSON,
 * docs/schema/replay.schema.json, from which the text is made.
 */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { versionOf } from "../../core/cgroup/versions.ts";
import { timestamp } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { policyOfRecord, recordedPolicy } from "../../core/guard/record.ts";
import {
  replay,
  type Replayed,
  type ReplayedCgroup,
  type Row,
  rowsOf,
} from "../../core/guard/replay.ts";
import { LEVELS } from "../../core/policy/levels.ts";
import type { RecordedPolicy, RecordingHead, RecordingLine } from "../../core/record/format.ts";
import { toMicroseconds } from "../../core/simulate/evaluate.ts";
import { checkMode } from "../guard/setup.ts";
import { type Common, wantsJson } from "../options/subcommand.ts";
import { formatBytes, formatCount, formatDuration } from "../options/units.ts";
import { print, printable } from "../output/output.ts";
import { recordingLines } from "../output/recording.ts";
import { chooseStyle, type Style } from "../terminal/palette.ts";
import { type ReplayPolicy, replayPolicy } from "./replay_policy.ts";

/**
 * Prints what a guard would have done. The same recording and options print the same, byte for byte.
 * Throws `OomkitError` for a recording that cannot be read, and for options that do not make a policy.
 */
export async function replayRecording(
  path: string,
  flags: Common,
  command: CommandUnknownOpts,
): Promise<number> {
  const lines = recordingLines(path);
  try {
    const { value } = await lines.next();
    // The reader throws where there is no head.
    const head = value as RecordingHead;
    const policy = await replayPolicy(command, head.policies !== null);
    const policies = policy.other?.all ??
      head.policies!.map((recorded) => policy.override(policyOfRecord(recorded)));
    // The capabilities of the machine of the recording.
    const hierarchy = { version: versionOf(head.hierarchy), writable: true, kernel: true };
    for (const each of policies) checkMode(hierarchy, each);
    const replayed = await replay(withHead(head, lines), policy);
    const report = replayReport(replayed, rowsOf(replayed), policy);
    if (wantsJson(flags)) print(toJson(report, 2));
    else for (const line of replayText(report, chooseStyle(flags.color))) print(line);
    return 0;
  } finally {
    await lines.return(undefined);
  }
}

async function* withHead(
  head: RecordingHead,
  rest: AsyncIterable<RecordingLine>,
): AsyncGenerator<RecordingLine> {
  yield head;
  yield* rest;
}

export type ReplayReport = ReturnType<typeof replayReport>;

function replayReport(replayed: Replayed, rows: readonly Row[], policy: ReplayPolicy) {
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
      from: policy.config !== undefined ? "configuration" : policy.other ? "options" : "recording",
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
    decisions: rows.map(({ cgroup, kind, usage, limit, replayed, recorded }) => ({
      cgroup,
      decision: kind,
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

function msAfterKill(rows: readonly Row[], cgroup: string, at: number): number | null {
  const kill = rows.findLast((row) =>
    row.cgroup === cgroup && row.kind === "kill" && (row.replayed ?? Infinity) <= at
  );
  return kill?.replayed === undefined ? null : toMicroseconds(at - kill.replayed);
}

/** One line for each policy difference that matters in some cgroup, such as `at imminent: container instead of process`. */
function actionDifferences(cgroups: readonly ReplayedCgroup[]): string[] {
  const lines = cgroups.flatMap(({ replayed, policies }) => {
    const decisions = new Set(replayed.map(({ kind }) => kind));
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
  const changed = rows.filter(({ kind, replayed, recorded }) =>
    (kind === "kill" || kind === "escalate") && replayed !== recorded
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
      `page cache is unknown at ${formatCount(assumedReads, "sample")}: ` +
      "it may be all of usage, for which nothing is killed",
    ],
    [lost > 0, `${lost} snapshots were lost while recording`],
    [ending === "full", "the recording reached its maximum size before the run ended"],
    [ending === "cut_off", "the recording is truncated"],
  ];
  return notes.flatMap(([applies, note]) => applies ? [note] : []);
}

type Decision = ReplayReport["decisions"][number];
type Kill = ReplayReport["kills"][number];

const NAME_WIDTH = 10;

interface TextRow {
  readonly ts: string;
  readonly cgroup: string;
  readonly name: string;
  readonly text: string;
}

function replayText(report: ReplayReport, style: Style): string[] {
  const { recording, cgroups, decisions, kills, notes } = report;
  const rows = [
    ...decisions.map((each) => decisionRow(each, report.matches_recording !== null)),
    ...kills.map(killRow),
  ].sort((a, b) => a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0);
  // The date is shown where there are several.
  const isOneDay = recording.from.slice(0, 10) === recording.to.slice(0, 10);
  const timeStart = isOneDay ? 11 : 0;
  const isOneCgroup = new Set(rows.map(({ cgroup }) => cgroup)).size === 1;
  return [
    headingOf(report),
    ...(isOneCgroup ? [`  ${printable(rows[0]!.cgroup)}`] : []),
    ...rows.map(({ ts, cgroup, name, text }) =>
      `  ${ts.slice(timeStart, -1).replace("T", " ")}  ${name.padEnd(NAME_WIDTH)} ${text}` +
      (isOneCgroup ? "" : `  ${printable(cgroup)}`)
    ),
    ...cgroups.flatMap(({ cgroup, not_guarded_reason: reason }) =>
      reason === null ? [] : [`  ${printable(cgroup)} is not guarded: ${reason}`]
    ),
    conclusionOf(report),
    ...notes.map((note) => style("dim", `note: ${note}`)),
  ];
}

function headingOf({ recording, policy, cgroups }: ReplayReport): string {
  const samples = cgroups.reduce((sum, each) => sum + each.samples, 0);
  const duration = formatDuration(Date.parse(recording.to) - Date.parse(recording.from));
  const policyName = {
    recording: "the recorded policy",
    configuration: `the policy of ${printable(policy.config ?? "")}`,
    options: "the default policy",
  }[policy.from];
  const overrides = policy.overrides.length === 0
    ? ""
    : `, overridden by ${policy.overrides.join(", ")}`;
  return `${recording.command} on ${printable(recording.host)} from ${recording.from}: ` +
    `${duration}, ${formatCount(cgroups.length, "cgroup")}, ${formatCount(samples, "sample")}, ` +
    `replayed with ${policyName}${overrides}`;
}

/** Where the name differs from the word of the JSON. */
const DECISIONS: Partial<Record<Decision["decision"], string>> = {
  skip: "skipped",
  no_victim: "no victim",
};

function decisionRow(decision: Decision, hasGuard: boolean): TextRow {
  const { usage, limit, cgroup } = decision;
  const room = limit === null ? undefined : limit - usage;
  const left = room === undefined
    ? ""
    : `, ${formatBytes(Math.abs(room))} ${room < 0 ? "above the limit" : "left"}`;
  return {
    ts: (decision.replayed_at ?? decision.recorded_at)!,
    cgroup,
    name: DECISIONS[decision.decision] ?? decision.decision,
    text: `at ${formatBytes(usage)}${left}${hasGuard ? `: ${differenceOf(decision)}` : ""}`,
  };
}

function differenceOf({ replayed_at, recorded_at, later_ms }: Decision): string {
  if (recorded_at === null) return "not in the recording";
  if (replayed_at === null) return "only in the recording";
  if (later_ms === 0 || later_ms === null) return "as recorded";
  const direction = later_ms < 0 ? "earlier" : "later";
  return `${formatDuration(Math.abs(later_ms))} ${direction} than recorded`;
}

function killRow({ ts, cgroup, event, victim, after_kill_ms }: Kill): TextRow {
  const process = victim === null ? "a process" : printable(victim);
  const what = {
    oom: "out of memory at the limit",
    oom_kill: `the kernel killed ${process}`,
    killed: `the guard killed ${process}`,
  }[event];
  const after = after_kill_ms === null || event === "killed"
    ? ""
    : `, ${formatDuration(after_kill_ms)} after the replayed kill`;
  return { ts, cgroup, name: "recorded", text: `${what}${after}` };
}

function conclusionOf({ matches_recording: matches, decisions, kills }: ReplayReport): string {
  if (matches === true) {
    return decisions.length === 0
      ? "no decisions, as recorded"
      : "all decisions are as recorded, at the same samples";
  }
  if (matches === false) {
    const changed = decisions.filter(({ later_ms }) => later_ms !== 0);
    return changed.length === 0
      ? "all decisions are at the recorded samples, but their actions differ"
      : `${changed.length} of ${decisions.length} decisions differ from the recording`;
  }
  const byGuard = decisions.filter((each) => each.decision === "kill" && each.replayed_at !== null);
  const byKernel = kills.filter(({ event }) => event === "oom_kill");
  return `a guard would have killed ${times(byGuard)}; the kernel killed ${times(byKernel)}`;
}

const times = ({ length }: readonly unknown[]) =>
  length === 0 ? "nothing" : length === 1 ? "once" : `${length} times`;
