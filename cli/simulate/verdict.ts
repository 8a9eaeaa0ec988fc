/** The verdict of a simulation in words, why, and what to try next, for readers that have never seen an OOM. Pure. */

import type { ProcessExit, StartEvent, Verdict } from "../../core/simulate/event.ts";
import { formatBytes, formatCount, formatDuration } from "../options/units.ts";
import { printable } from "../output/output.ts";
import { shellWord } from "../output/shell.ts";
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
    ["machine", machineText(verdict)],
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
      return `user space was faster: ${pidText(processes)} ` +
        `${processes.length === 1 ? "was" : "were"} killed before an OOM kill`;
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
  return `${processes.length === 1 ? "pid" : "pids"} ${processes.map(({ pid }) => pid).join(", ")}`;
}

function limitText(verdict: Verdict, cgroup: string): string {
  const { limit, limit_owner: owner, peak, limit_hits: hits } = verdict;
  const place = owner === cgroup ? "this cgroup" : printable(owner ?? "");
  const source = owner === null ? "" : `, set on ${place}`;
  const size = limit === null ? "none" : `${formatBytes(limit)}${source}`;
  const highest = peak === null ? "" : `; usage peaked at ${formatBytes(peak)}`;
  const hitCount = hits ? `; the limit was hit ${formatCount(hits, "time")}` : "";
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
  const kills = (count: bigint | number) => formatCount(count, "kill");
  const groupKills = groups ? `${formatCount(groups, "group kill")} (memory.oom.group)` : undefined;
  const counter = `the ${verdict.machine === null ? "cgroup" : "machine"}'s oom_kill counter`;
  if (counted === null) {
    return logged === null
      ? "neither the oom_kill counter nor the kernel log can be read"
      : `kernel log: ${kills(logged)}`;
  }
  if (logged === null) {
    // With group kills the counter may contain victims twice: it cannot tell the number of processes.
    const doubt = verdict.fake ? "" : "; the kernel log cannot be read";
    return `${counter}: ${groupKills ?? kills(counted)}${doubt}`;
  }
  if (verdict.sources_agree !== true) {
    return `the sources disagree: ${kills(counted)} by ${counter}, ` +
      `${kills(logged)} in the kernel log`;
  }
  const agreed = groupKills === undefined
    ? kills(logged)
    : `${groupKills}, ${formatCount(logged, "process", "processes")}`;
  return `${counter} and the kernel log agree: ${agreed}`;
}

function machineText({ machine }: Verdict): string {
  if (machine === null) return "";
  const { killed_by: killer, available_min: least, longest_pause_ms: pause } = machine;
  const by = killer === null
    ? "nothing was killed"
    : killer.kind === "kernel"
    ? "killed by the kernel"
    : `killed by ${killer.name === null ? "another program" : printable(killer.name)}` +
      (killer.pid === null ? "" : ` (pid ${killer.pid})`);
  return [
    by,
    ...least === null ? [] : [`at least ${formatBytes(least)} stayed available`],
    ...pause === null ? [] : [`the longest pause of a 1 ms ticker was ${formatDuration(pause)}`],
  ].join("; ");
}

function timeText({ duration_ms: duration, thresholds, limit }: Verdict): string {
  if (duration === null) return "";
  const texts = thresholds.map(({ threshold, before_peak_ms: before }) => {
    const share = limit === null
      ? formatBytes(threshold)
      : `${Math.round(1000 * threshold / limit) / 10}%`;
    if (before === null) return `${share} alert fired`;
    const side = before < 0 ? "after" : "before";
    return `${share} alert fired ${formatDuration(Math.abs(before))} ${side} the peak`;
  });
  return [`${formatDuration(duration)} from the first page to the last`, ...texts].join("; ");
}

interface Suggestion {
  readonly command: string;
  /** What the command shows. */
  readonly shows: string;
}

const MIB = 1024 ** 2;
/** From nothing to the limit, slow enough for a person to follow. */
const SLOW_SECONDS = 5;

const suggest = (command: string, shows: string): Suggestion => ({ command, shows });

/**
 * At most three, the closest first.
 * @param program its name, as the user called it.
 */
export function suggestionsFor(
  start: StartEvent,
  { outcome }: Verdict,
  program: string,
): Suggestion[] {
  const { limit, rate, kind, swap_off, fake_reason, machine } = start;
  if (machine) return [];
  const again = `${program} simulate${limit === null ? "" : ` ${limitOption(limit)}`}`;
  const inspect = suggest(
    `${program} inspect`,
    "which limit applies to your shell, what set it, and how much memory is left",
  );
  if (fake_reason !== null) {
    return [suggest(`sudo ${again}`, "a real OOM, with the permission to create cgroups"), inspect];
  }
  if (outcome === "oom_kill") {
    const slowly = limit !== null && suggest(
      `${again} --rate ${slowRate(limit)}/s`,
      "slow enough to follow: both alerts fire seconds before the OOM kill",
    );
    const file = suggest(
      `${again} --kind file`,
      "page cache instead: the kernel reclaims it in time, and nothing is killed",
    );
    return [
      ...slowly && rate === null ? [slowly] : [],
      ...kind === "file" ? [] : [file],
      ...swap_off === null ? [inspect] : guardSuggestions(start, again, program),
    ];
  }
  if (outcome === "user_kill") {
    return [suggest(again, "the same without a guard: the kernel has to kill"), inspect];
  }
  const shows = kind === "file"
    ? "memory that cannot be reclaimed: the kernel has to kill"
    : "growth up to the limit: the kernel has to kill";
  return limit === null ? [inspect] : [suggest(again, shows), inspect];
}

/**
 * One suggestion of two commands. A pattern, because the next run has another cgroup, and so that nothing else is guarded.
 */
function guardSuggestions({ cgroup }: StartEvent, again: string, program: string): Suggestion[] {
  const pattern = shellWord(`${cgroup.slice(0, cgroup.lastIndexOf("/"))}/oomkit-sim-*`);
  return [
    suggest(
      `${program} guard ${pattern} --policy process`,
      "in a second terminal, then in this one:",
    ),
    suggest(`${again} --expect user_kill`, "the guard kills before the kernel does"),
  ];
}

function limitOption(limit: number): string {
  return limit % MIB === 0 ? `--mb ${limit / MIB}` : `--limit ${limit}`;
}

/** Such as `4M`: a size as the options take it. */
function slowRate(limit: number): string {
  const rate = limit / SLOW_SECONDS;
  if (rate < MIB) return `${Math.max(1, Math.round(rate / 1024))}K`;
  return `${Math.round(rate / MIB)}M`;
}

/** Why the simulation ended as it did; `undefined` where the verdict says it all. */
export function explanation({ limit, kind }: StartEvent, verdict: Verdict): string | undefined {
  if (verdict.fake) return undefined;
  switch (verdict.outcome) {
    case "oom_kill":
      return `usage reached ${limit === null ? "its limit" : formatBytes(limit)}, the kernel ` +
        "found nothing left to reclaim, and killed the process that frees the most memory: " +
        "no warning, no chance to clean up";
    case "survived":
      return kind === "file"
        ? "page cache can be dropped: at the limit the kernel reclaimed the oldest pages again and again"
        : undefined;
    case "user_kill":
      return "a signal from user space came first, while there was still memory left";
    default:
      return undefined;
  }
}
