/** What the runs of a workload mean, and the lines that are printed. */

import type { ReportedEvent } from "../soak/program.ts";
import type { Control, Workload } from "./workloads.ts";

/** One run of a workload. */
export interface Run {
  /** Of the script; 128 + N for signal N. */
  readonly code: number;
  /** By the kernel, in the cgroup and below. */
  readonly kernelKills: number;
  /** Kills by the guard, and attempts; 0 without a guard. */
  readonly guardKills: number;
  /** Levels that were reached without a kill being needed. */
  readonly skipped: number;
  /** Highest usage; `undefined` on v2 before Linux 5.19. */
  readonly peak: number | undefined;
  readonly ms: number;
}

export interface Result {
  readonly workload: Workload;
  readonly alone: readonly Run[];
  readonly guarded: readonly Run[];
}

/**
 * - `control`: it is killed, as was expected, with a guard as without.
 * - `not counted`: the kernel kills without a guard, which was not expected; nothing follows from it.
 * - `unfit`: it fails by itself, or the guard spares what it must kill.
 */
export type Verdict = "harmless" | "NOT HARMLESS" | "control" | "not counted" | "UNFIT";

const lives = ({ code, kernelKills }: Run) => code === 0 && kernelKills === 0;

export function verdictOf({ workload, alone, guarded }: Result): Verdict {
  if (workload.control !== undefined) {
    return isAsExpected(workload.control, alone, guarded) ? "control" : "UNFIT";
  }
  if (alone.some(({ kernelKills }) => kernelKills > 0)) {
    // Where the kernel kills in some runs only, a kill by the guard is still one too many if it is in every run.
    return "not counted";
  }
  if (!alone.every(lives)) return "UNFIT";
  return guarded.every((run) => lives(run) && run.guardKills === 0) ? "harmless" : "NOT HARMLESS";
}

function isAsExpected(control: Control, alone: readonly Run[], guarded: readonly Run[]): boolean {
  const isKilled = (run: Run) => run.code !== 0 && run.kernelKills + run.guardKills > 0;
  return control === "kernel kills"
    ? [...alone, ...guarded].every(isKilled)
    : alone.every(lives) && guarded.every((run) => run.guardKills > 0);
}

/** Workloads that count: those that live without a guard. */
export function countOf(results: readonly Result[]): { harmless: number; counted: number } {
  const verdicts = results.map(verdictOf);
  const harmless = verdicts.filter((verdict) => verdict === "harmless").length;
  const not = verdicts.filter((verdict) => verdict === "NOT HARMLESS").length;
  return { harmless, counted: harmless + not };
}

export const isAllRight = (results: readonly Result[]): boolean =>
  results.map(verdictOf).every((verdict) => verdict !== "NOT HARMLESS" && verdict !== "UNFIT");

const HEAD = ["workload", "limit", "peak", "without", "with the guard", "skipped", "s", "verdict"];

/** @returns a table in Markdown. */
export function tableLines(results: readonly Result[]): string[] {
  const rows = [HEAD, ...results.map(cellsOf)];
  const widths = HEAD.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(" | ")} |`;
  return [line(HEAD), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)];
}

function cellsOf(result: Result): string[] {
  const { workload, alone, guarded } = result;
  const peak = Math.max(...alone.map(({ peak = NaN }) => peak));
  const share = Number.isNaN(peak)
    ? "–"
    : `${Math.round(100 * peak / (workload.limit * 1024 ** 2))} %`;
  const seconds = [alone, guarded].map((runs) =>
    (mean(runs.map(({ ms }) => ms)) / 1000).toFixed(1)
  );
  return [
    workload.name,
    `${workload.limit} MiB`,
    share,
    outcomesOf(alone),
    outcomesOf(guarded),
    String(Math.max(...guarded.map(({ skipped }) => skipped))),
    seconds.join(" → "),
    verdictOf(result),
  ];
}

const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** `0`, or `2 × 0, 137 (guard 1)`: exit codes, with the kills. */
function outcomesOf(runs: readonly Run[]): string {
  const counts = new Map<string, number>();
  for (const { code, kernelKills, guardKills } of runs) {
    const kills = [
      ...kernelKills > 0 ? [`kernel ${kernelKills}`] : [],
      ...guardKills > 0 ? [`guard ${guardKills}`] : [],
    ];
    const outcome = kills.length === 0 ? String(code) : `${code} (${kills.join(", ")})`;
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  if (counts.size === 1) return [...counts.keys()][0]!;
  return [...counts].map(([outcome, count]) => `${count} × ${outcome}`).join("; ");
}

/** What the guard did, for a workload that is not harmless. */
export function eventLine(event: ReportedEvent): string {
  const { ts, type, cgroup } = event;
  const place = cgroup?.split("/").at(-1);
  const shown = [
    ...[
      "level",
      "action",
      "outcome",
      "reason",
      "mode",
      "limit",
      "imminent",
      "usage",
      "usage_before",
    ],
    ...["usage_after", "reclaimable", "rate", "signal_ms", "freed_ms"],
  ].filter((key) => event[key] !== undefined && event[key] !== null)
    .map((key) => `${key}=${typeof event[key] === "number" ? Math.round(event[key]) : event[key]}`);
  const victim = event.victim ? [`victim=${event.victim.comm}`] : [];
  return `  ${ts?.slice(14, 23)} ${place} ${type} ${[...shown, ...victim].join(" ")}`;
}
