/** The verdict of a simulation in words, for readers that have never seen an OOM. Pure. */

import type { ProcessExit, Verdict } from "../../core/simulate/event.ts";
import { formatBytes, formatDuration } from "../options/units.ts";
import { printable } from "../output/output.ts";
import type { Style } from "../terminal/palette.ts";

const LABEL_WIDTH = 10;

/** @param cgroup the path of the cgroup of the simulation. */
export function verdictText(verdict: Verdict, cgroup: string, style: Style): string[] {
  const colour = verdict.as_expected ? "green" : "red";
  return [
    "",
    `${style(["bold", colour], "verdict".padEnd(LABEL_WIDTH))}${style("bold", headline(verdict))}`,
    ...verdictFacts(verdict, cgroup)
      .map(([name, text]) => `${style("bold", name.padEnd(LABEL_WIDTH))}${text}`),
  ];
}

/** What the verdict is based on, each fact with its label; unknown facts are left out. */
export function verdictFacts(verdict: Verdict, cgroup: string): [string, string][] {
  const facts: [string, string][] = [
    ["limit", limitText(verdict, cgroup)],
    ["exit", exitTexts(verdict)],
    ["sources", sourceText(verdict)],
    ["time", timeText(verdict)],
  ];
  return facts.filter(([, text]) => text !== "");
}

/** The outcome in one sentence, without a full stop. */
export function headline(verdict: Verdict): string {
  const { as_expected: asExpected, expected } = verdict;
  return asExpected
    ? outcomeText(verdict)
    : `${outcomeText(verdict)}; expected: ${expected ?? "any outcome but a failure"}`;
}

function outcomeText({ outcome, processes, fake, ended_by: endedBy }: Verdict): string {
  const victims = processes.filter(({ oom_killed }) => oom_killed === true);
  switch (outcome) {
    case "oom_kill":
      if (fake) return "out of memory: a real kernel would have killed here, nothing was killed";
      return victims.length === 0
        ? "the kernel's OOM killer killed a process, but none of the allocators"
        : `the kernel's OOM killer killed ${pidText(victims)} with SIGKILL`;
    case "survived":
      return fake
        ? "nothing would have been killed"
        : `the kernel killed nothing: ${pidText(processes)} ${SURVIVED[endedBy]}`;
    case "user_kill":
      return `user space was faster: ${pidText(processes)} ${
        processes.length === 1 ? "was" : "were"
      } killed before an OOM kill`;
    case "interrupted":
      return "interrupted before an OOM kill";
    case "failed":
      return `the kernel's OOM killer did nothing, but ${pidText(processes)} failed`;
  }
}

const SURVIVED = {
  exit: "exited normally",
  timeout: "survived until the time given by --for was over",
  interrupt: "survived until the interrupt",
} as const;

function pidText(processes: readonly ProcessExit[]): string {
  const pids = processes.map(({ pid }) => pid).join(", ");
  return processes.length === 1 ? `pid ${pids}` : `pids ${pids}`;
}

function limitText(verdict: Verdict, cgroup: string): string {
  const { limit, limit_owner: owner, peak, limit_hits: hits } = verdict;
  const source = owner === null
    ? ""
    : owner === cgroup
    ? ", set on this cgroup"
    : `, set on ${printable(owner)}`;
  const size = limit === null ? "none" : `${formatBytes(limit)}${source}`;
  const highest = peak === null ? "" : `; usage peaked at ${formatBytes(peak)}`;
  const hitCount = hits === null || hits === 0n
    ? ""
    : `; the limit was hit ${plural(hits, "time", "times")}`;
  return `${size}${highest}${hitCount}`;
}

/** Processes that ended alike share one text. */
function exitTexts({ processes, ended_by: endedBy }: Verdict): string {
  const groups = Map.groupBy(processes, (process) => exitText(process, endedBy));
  if (groups.size === 1) return [...groups.keys()][0]!;
  return [...groups].map(([text, those]) => `${pidText(those)}: ${text}`).join("; ");
}

function exitText(
  { exit_code: code, signal, oom_killed: oomKilled }: ProcessExit,
  endedBy: Verdict["ended_by"],
): string {
  const meaning = signal === null ? "" : code === 137 ? " = 128 + 9 (SIGKILL)" : ` (${signal})`;
  const sender = oomKilled === true
    ? ", sent by the kernel"
    : signal !== "SIGKILL" || oomKilled === null
    ? ""
    : endedBy === "exit"
    ? ", not sent by the OOM killer"
    : ", sent by oomkit";
  return `status ${code}${meaning}${sender}`;
}

function sourceText(verdict: Verdict): string {
  const { oom_kill_count: counted, oom_kill_log_lines: logged, group_kills: groups } = verdict;
  const kills = (count: bigint | number) => plural(count, "kill", "kills");
  const groupKills = groups === null || groups === 0n
    ? undefined
    : `${plural(groups, "group kill", "group kills")} (memory.oom.group)`;
  if (counted === null) {
    return logged === null
      ? "neither the oom_kill counter nor the kernel log can be read"
      : `kernel log: ${kills(logged)}`;
  }
  if (logged === null) {
    // With group kills the counter may contain victims twice: it cannot tell the number of processes.
    return `the cgroup's oom_kill counter: ${groupKills ?? kills(counted)}${
      verdict.fake ? "" : "; the kernel log cannot be read"
    }`;
  }
  if (verdict.sources_agree !== true) {
    return `the sources disagree: ${kills(counted)} by the cgroup's oom_kill counter, ` +
      `${kills(logged)} in the kernel log`;
  }
  const agreed = groupKills === undefined
    ? kills(logged)
    : `${groupKills}, ${plural(logged, "process", "processes")}`;
  return `the cgroup's oom_kill counter and the kernel log agree: ${agreed}`;
}

const plural = (count: bigint | number, one: string, many: string) =>
  `${count} ${BigInt(count) === 1n ? one : many}`;

function timeText({ duration_ms: duration, alerts, limit }: Verdict): string {
  if (duration === null) return "";
  const texts = alerts.map(({ threshold, before_peak_ms: before }) => {
    const share = limit === null
      ? formatBytes(threshold)
      : `${Math.round(1000 * threshold / limit) / 10}%`;
    if (before === null) return `${share} alert fired`;
    return `${share} alert fired ${formatDuration(Math.abs(before))} ${
      before < 0 ? "after" : "before"
    } the peak`;
  });
  return [`${formatDuration(duration)} from the first page to the last`, ...texts].join("; ");
}
