/** The result of a replay as text. Pure. */

import { formatBytes, formatDuration } from "../options/units.ts";
import { printable } from "../output/output.ts";
import type { Style } from "../terminal/palette.ts";
import type { ReplayReport } from "./replay_report.ts";

type Decision = ReplayReport["decisions"][number];
type Kill = ReplayReport["kills"][number];

const NAME_WIDTH = 10;

interface Row {
  readonly ts: string;
  readonly cgroup: string;
  readonly name: string;
  readonly text: string;
}

export function replayText(report: ReplayReport, style: Style): string[] {
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
      `  ${ts.slice(timeStart, -1).replace("T", " ")}  ${name.padEnd(NAME_WIDTH)} ${text}${
        isOneCgroup ? "" : `  ${printable(cgroup)}`
      }`
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
  const cgroupCount = cgroups.length === 1 ? "1 cgroup" : `${cgroups.length} cgroups`;
  const sampleCount = samples === 1 ? "1 sample" : `${samples} samples`;
  return `${recording.command} on ${
    printable(recording.host)
  } from ${recording.from}: ${duration}, ${cgroupCount}, ${sampleCount}, ` +
    `replayed with ${policyName}${overrides}`;
}

const DECISIONS: Readonly<Record<Decision["decision"], string>> = {
  warn: "warn",
  critical: "critical",
  imminent: "imminent",
  reclaim: "reclaim",
  skip: "skipped",
  kill: "kill",
  escalate: "escalate",
  no_victim: "no victim",
};

function decisionRow(decision: Decision, hasGuard: boolean): Row {
  const { usage, limit, cgroup } = decision;
  const left = limit === null
    ? ""
    : usage > limit
    ? `, ${formatBytes(usage - limit)} above the limit`
    : `, ${formatBytes(limit - usage)} left`;
  return {
    ts: (decision.replayed_at ?? decision.recorded_at)!,
    cgroup,
    name: DECISIONS[decision.decision],
    text: `at ${formatBytes(usage)}${left}${hasGuard ? `: ${differenceOf(decision)}` : ""}`,
  };
}

function differenceOf({ replayed_at, recorded_at, later_ms }: Decision): string {
  if (recorded_at === null) return "not in the recording";
  if (replayed_at === null) return "only in the recording";
  if (later_ms === 0 || later_ms === null) return "as recorded";
  return `${formatDuration(Math.abs(later_ms))} ${
    later_ms < 0 ? "earlier" : "later"
  } than recorded`;
}

function killRow({ ts, cgroup, event, victim, after_kill_ms }: Kill): Row {
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
  const guardKills = decisions.filter(({ decision, replayed_at }) =>
    decision === "kill" && replayed_at !== null
  );
  const kernelKills = kills.filter(({ event }) => event === "oom_kill");
  return `a guard would have killed ${times(guardKills.length)}; ` +
    `the kernel killed ${times(kernelKills.length)}`;
}

const times = (count: number) => count === 0 ? "nothing" : count === 1 ? "once" : `${count} times`;
