/** What a replay comes to, for people. */

import { printable } from "../output/output.ts";
import type { ReplayReport } from "./replay_json.ts";
import type { Style } from "../terminal/style.ts";
import { formatBytes, formatDuration } from "../options/units.ts";

type Decision = ReplayReport["decisions"][number];
type Told = ReplayReport["told"][number];

export function replayText(report: ReplayReport, style: Style): string[] {
  const { recording, policy, cgroups, decisions, told, same, notes } = report;
  const samples = cgroups.reduce((sum, each) => sum + each.samples, 0);
  const lasted = Date.parse(recording.to) - Date.parse(recording.from);
  const whose = {
    recording: "the recorded policy",
    configuration: `the policy of ${printable(policy.config ?? "")}`,
    options: "the usual policy",
  }[policy.from];
  const given = policy.given.length === 0 ? "" : ` with ${policy.given.join(", ")}`;
  const count = cgroups.length === 1 ? "1 cgroup" : `${cgroups.length} cgroups`;
  const lines = [
    `${recording.command} on ${printable(recording.host)} from ${recording.from}: ${
      formatDuration(lasted)
    }, ${count}, ${samples === 1 ? "1 look" : `${samples} looks`}, replayed under ${whose}${given}`,
  ];
  // The day is told where there are several.
  const from = recording.from.slice(0, 10) === recording.to.slice(0, 10) ? 11 : 0;
  const parts = [
    ...decisions.map((each) => ({
      ts: each.replayed ?? each.recorded!,
      text: decisionText(each, same !== null),
    })),
    ...told.map((each) => ({ ts: each.ts, text: toldText(each) })),
  ].sort((a, b) => a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0);
  const isOne = new Set([...decisions, ...told].map(({ cgroup }) => cgroup)).size === 1;
  if (isOne) lines.push(`  ${printable((decisions[0] ?? told[0])!.cgroup)}`);
  for (const { ts, text: { what, rest, cgroup } } of parts) {
    const where = isOne ? "" : `  ${printable(cgroup)}`;
    lines.push(`  ${ts.slice(from, -1).replace("T", " ")}  ${what.padEnd(10)} ${rest}${where}`);
  }
  for (const { cgroup, left } of cgroups) {
    if (left !== null) lines.push(`  ${printable(cgroup)} is left alone: ${left}`);
  }
  lines.push(verdictOf(report));
  lines.push(...notes.map((note) => style("dim", `note: ${note}`)));
  return lines;
}

const WORDS: Readonly<Record<Decision["act"], string>> = {
  warn: "warn",
  critical: "critical",
  imminent: "imminent",
  reclaim: "reclaim",
  skip: "let go",
  kill: "kill",
  escalate: "escalate",
  no_victim: "no_victim",
};

interface Text {
  readonly what: string;
  readonly rest: string;
  readonly cgroup: string;
}

function decisionText(decision: Decision, ofGuard: boolean): Text {
  const { act, usage, limit, cgroup } = decision;
  const left = limit === null
    ? ""
    : usage > limit
    ? `, ${formatBytes(usage - limit)} above the limit`
    : `, ${formatBytes(limit - usage)} left`;
  const beside = ofGuard ? `: ${differenceOf(decision)}` : "";
  return { what: WORDS[act], rest: `at ${formatBytes(usage)}${left}${beside}`, cgroup };
}

function differenceOf({ replayed, recorded, later_ms }: Decision): string {
  if (recorded === null) return "not in the recording";
  if (replayed === null) return "in the recording alone";
  if (later_ms === 0 || later_ms === null) return "as recorded";
  return `${formatDuration(Math.abs(later_ms))} ${
    later_ms < 0 ? "earlier" : "later"
  } than recorded`;
}

const TOLD: Readonly<Record<Told["what"], string>> = {
  oom: "the limit was met",
  oom_kill: "the kernel killed",
  killed: "ended",
};

function toldText({ what, victim, cgroup, after_strike_ms }: Told): Text {
  const who = victim === null ? "" : ` ${printable(victim)}`;
  const after = after_strike_ms === null || what === "killed"
    ? ""
    : `, ${formatDuration(after_strike_ms)} after the strike`;
  return { what: "recorded", rest: `${TOLD[what]}${who}${after}`, cgroup };
}

function verdictOf({ same, decisions, told }: ReplayReport): string {
  const strikes = decisions.filter(({ act, replayed }) => act === "kill" && replayed !== null);
  if (same === true) {
    return decisions.length === 0
      ? "nothing is done, as nothing was"
      : "it does what was done, at the same looks";
  }
  if (same === false) {
    const others = decisions.filter(({ later_ms }) => later_ms !== 0);
    if (others.length === 0) return "it is done at the same looks, but not the same is done";
    return `${others.length} of ${decisions.length} decisions differ from what was done`;
  }
  const kills = told.filter(({ what }) => what === "oom_kill").length;
  const decision = strikes.length === 0 ? "it kills nothing" : `it kills ${times(strikes.length)}`;
  return `${decision}; the kernel killed ${times(kills)}`;
}

const times = (count: number) => count === 1 ? "once" : `${count} times`;
