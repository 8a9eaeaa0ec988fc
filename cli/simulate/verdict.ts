/** The verdict of a simulation, for a reader who has never seen an OOM. */

import type { Crossing, Ended, Verdict } from "../../core/simulate/event.ts";
import { printable } from "../output/output.ts";
import type { Style } from "../terminal/style.ts";
import { formatBytes, formatDuration } from "../options/units.ts";

const LABEL_WIDTH = 10;

/** @param cgroup the path of the one that it took place in. */
export function verdictText(verdict: Verdict, cgroup: string, style: Style): string[] {
  const colour = verdict.as_expected ? "green" : "red";
  return [
    "",
    `${style(["bold", colour], "verdict".padEnd(LABEL_WIDTH))}${style("bold", headline(verdict))}`,
    ...verdictFacts(verdict, cgroup)
      .map(([name, text]) => `${style("bold", name.padEnd(LABEL_WIDTH))}${text}`),
  ];
}

/** What the verdict rests on, each with its label; nothing for what is not known. */
export function verdictFacts(verdict: Verdict, cgroup: string): [string, string][] {
  const facts: [string, string][] = [
    ["limit", limitText(verdict, cgroup)],
    ["exit", exitTexts(verdict)],
    ["witnesses", witnessText(verdict)],
    ["time", timeText(verdict)],
  ];
  return facts.filter(([, text]) => text !== "");
}

/** Who won, in one sentence without its end. */
export function headline(verdict: Verdict): string {
  const surprise = verdict.as_expected
    ? ""
    : `; that is not what was expected (${
      verdict.expected === "survive" ? "to survive" : verdict.expected ?? "no failure"
    })`;
  return `${what(verdict)}${surprise}`;
}

function what(verdict: Verdict): string {
  const { outcome, processes, fake } = verdict;
  const victims = processes.filter(({ oom_killed }) => oom_killed === true);
  switch (outcome) {
    case "oom_kill":
      if (fake) return "out of memory: a kernel would have killed here, but no process has died";
      return victims.length === 0
        ? "the kernel's OOM killer struck, but none of the allocators"
        : `the kernel's OOM killer ended ${pidText(victims)} with SIGKILL`;
    case "survived":
      return fake
        ? "nothing would have been killed"
        : `the kernel killed nothing: ${pidText(processes)} ${HOW_LIVED[verdict.ended_by]}`;
    case "user_kill":
      return `user space won: ${pidText(processes)} ${
        processes.length === 1 ? "was" : "were"
      } ended before the kernel's OOM killer had to`;
    case "interrupted":
      return "interrupted before the kernel had to kill";
    case "failed":
      return `the kernel's OOM killer did nothing, and yet ${pidText(processes)} failed`;
  }
}

const HOW_LIVED = {
  itself: "ended by itself",
  time: "lived until the time was over",
  interrupt: "lived until it was interrupted",
} as const;

function pidText(processes: readonly Ended[]): string {
  const pids = processes.map(({ pid }) => pid).join(", ");
  return processes.length === 1 ? `pid ${pids}` : `pids ${pids}`;
}

function limitText(verdict: Verdict, cgroup: string): string {
  const { limit, limit_owner: owner, peak, limit_hits: hits } = verdict;
  const whose = owner === null
    ? ""
    : owner === cgroup
    ? ", the cgroup's own"
    : ` of ${printable(owner)}`;
  const size = limit === null ? "none" : `${formatBytes(limit)}${whose}`;
  const top = peak === null ? "" : `; usage peaked at ${formatBytes(peak)}`;
  const often = hits === null || hits === 0n
    ? ""
    : `, the limit was hit ${hits} ${hits === 1n ? "time" : "times"}`;
  return `${size}${top}${often}`;
}

/** Those that ended alike stand together. */
function exitTexts({ processes, ended_by: by }: Verdict): string {
  const groups = Map.groupBy(processes, (process) => exitText(process, by));
  if (groups.size === 1) return [...groups.keys()][0]!;
  return [...groups].map(([text, those]) => `${pidText(those)}: ${text}`).join("; ");
}

function exitText(
  { exit_code: code, signal, oom_killed: killed }: Ended,
  endedBy: Verdict["ended_by"],
): string {
  const how = signal === null ? "" : code === 137 ? " = 128 + 9, SIGKILL" : ` (${signal})`;
  const by = killed === true
    ? ", sent by the kernel"
    : signal !== "SIGKILL" || killed === null
    ? ""
    : endedBy === "itself"
    ? ", not sent by the OOM killer"
    : ", sent by oomkit itself";
  return `status ${code}${how}${by}`;
}

function witnessText(verdict: Verdict): string {
  const {
    oom_kill_count: counted,
    oom_kill_log_lines: logged,
    group_kills: group,
    sources_agree: agree,
  } = verdict;
  const count = (n: bigint | number, one: string, many: string) =>
    `${n} ${BigInt(n) === 1n ? one : many}`;
  const kills = (n: bigint | number) => count(n, "kill", "kills");
  const together = group === null || group === 0n
    ? undefined
    : `the whole cgroup was killed at once${
      group === 1n ? "" : `, ${group} times`
    } (memory.oom.group)`;
  if (counted === null) {
    return logged === null
      ? "neither counter nor kernel log can be read"
      : `kernel log: ${kills(logged)}`;
  }
  if (logged === null) {
    const why = verdict.fake ? "" : "; the kernel log cannot be read";
    // The counter may have victims of a group more than once, so that it cannot say how many processes there were.
    return `the cgroup's oom_kill counter: ${together ?? kills(counted)}${why}`;
  }
  return agree === true
    ? `the cgroup's oom_kill counter and the kernel log agree: ${
      together === undefined
        ? kills(logged)
        : `${together}, ${count(logged, "process", "processes")}`
    }`
    : `they disagree: the cgroup's oom_kill counter says ${counted}, the kernel log ${logged}`;
}

function timeText({ lasted_ms: lasted, crossings, limit }: Verdict): string {
  if (lasted === null) return "";
  const told = crossings.map((crossing) => crossingText(crossing, limit));
  return [
    `${formatDuration(lasted)} from the first page to the last`,
    ...(told.length === 0 ? [] : [`told of ${told.join(", of ")}`]),
  ].join("; ");
}

function crossingText({ threshold, left_ms: left }: Crossing, limit: number | null): string {
  const share = limit === null
    ? formatBytes(threshold)
    : `${Math.round(1000 * threshold / limit) / 10}%`;
  if (left === null) return share;
  return `${share} ${formatDuration(Math.abs(left))} ${left < 0 ? "after" : "before"} that`;
}
