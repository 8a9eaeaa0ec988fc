/** The tables of a race. Pure. */

import { type Cell, cellName, MIB, type RaceMode } from "./race_cells.ts";
import type { Run } from "./race_run.ts";
import { against, figure, summarize, type Table } from "./statistics.ts";

export interface Raced {
  readonly cell: Cell;
  readonly guarded: readonly Run[];
  /** Runs of the same filler without a guard. */
  readonly alone: readonly Run[];
}

const LAST_PAGE_MS = { median: 0.25, p95: 0.6 };

const HEADINGS = [
  "wins",
  "at limit",
  "kills per run",
  "margin used",
  "seen → signal",
  "crossing → last page",
  "crossing → free",
  "kernel: last page → free",
];

export const hasWon = ({ kernelKills, killed, isStuck }: Run) =>
  kernelKills === 0 && killed > 0 && !isStuck;

export const isAtLimit = ({ peak, limit }: Run) => peak === undefined || peak >= limit;

/** Figures that later runs are compared with. */
export function raceTables(raced: readonly Raced[], cores: number): Table[] {
  const table = (title: string, of: (run: Run) => number | undefined): Table => ({
    title,
    unit: "ms",
    rows: raced.map(({ cell, guarded }) => ({
      what: `${title}: ${cell.mode}, ${cellName(cell, cores)}`,
      summary: summarize(known(guarded.map(of))),
    })).filter(({ summary }) => summary.runs > 0),
  });
  return [
    table("crossing → last page", ({ lastPage }) => lastPage),
    table("crossing → free", ({ free }) => free),
  ];
}

/** Times are `median / p95 / max` in milliseconds. */
export function raceLines(raced: readonly Raced[], version: 1 | 2, cores: number): string[] {
  const modes = [...new Set(raced.map(({ cell }) => cell.mode))];
  return modes.flatMap((mode) => {
    const rows = raced.filter(({ cell }) => cell.mode === mode);
    const title = `${mode}, cgroup v${version}; ms: median / p95 / max`;
    return ["", ...aligned([[title, ...HEADINGS], ...rows.map((row) => cellsOf(row, cores))])];
  });
}

function cellsOf({ cell, guarded, alone }: Raced, cores: number): string[] {
  const killed = [...new Set(guarded.map((run) => run.killed))].sort();
  return [
    cellName(cell, cores),
    `${guarded.filter(hasWon).length}/${guarded.length}`,
    String(guarded.filter(isAtLimit).length),
    killed.length === 0
      ? "–"
      : killed.length === 1
      ? `${killed[0]}`
      : `${killed[0]}–${killed.at(-1)}`,
    marginUsed(guarded),
    times(guarded.map(({ signalMs }) => signalMs)),
    times(guarded.map(({ lastPage }) => lastPage)),
    times(guarded.map(({ free }) => free)),
    times(alone.map(({ free }) => free)),
  ];
}

/** The part of the margin that was used, by the peak; unknown once the peak is the limit. */
function marginUsed(runs: readonly Run[]): string {
  const first = runs[0];
  if (first === undefined) return "–";
  const margin = figure((first.limit - first.threshold) / MIB);
  if (runs.some(isAtLimit)) return `unknown, over ${margin} MiB`;
  const most = Math.max(...runs.map(({ peak, threshold }) => peak! - threshold));
  return `${figure(Math.max(0, most) / MIB)} of ${margin} MiB`;
}

function times(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return "–";
  const { median, p95, max } = summarize(known);
  const missing = values.length - known.length;
  return [median, p95, max].map(figure).join(" / ") +
    (missing === 0 ? "" : ` (${missing} unknown)`);
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]! + 2)
    ).join("").trimEnd()
  );
}

/** @param promised the modes in which the kernel must not kill; others are raced to show their losses. */
export function targetLines(
  raced: readonly Raced[],
  promised: readonly RaceMode[],
  isTimed: boolean,
): string[] {
  const counted = raced.filter(({ cell }) => promised.includes(cell.mode));
  const runs = counted.flatMap(({ guarded }) => guarded);
  const kills = runs.reduce((sum, { kernelKills }) => sum + kernelKills, 0);
  const stuck = runs.filter((run) => run.kernelKills === 0 && !hasWon(run)).length;
  const undone = stuck === 0 ? "" : `; in ${stuck} no process was killed in time`;
  return [
    `the kernel's kills in ${runs.length} runs: ${count(kills)}${undone}`,
    ...counted.filter(({ cell }) => isJudged(cell)).flatMap((each) => judge(each, isTimed)),
  ];
}

const isJudged = ({ limit, rate, condition }: Cell) =>
  limit === 64 && rate === undefined && condition === "idle";

function judge({ cell: { mode }, guarded, alone }: Raced, isTimed: boolean): string[] {
  const head = `${mode}, 64 MiB, unthrottled`;
  const atLimit = `${head}: runs at the limit: ${count(guarded.filter(isAtLimit).length)}`;
  if (!isTimed) return [atLimit];
  const lastPage = summarize(known(guarded.map((run) => run.lastPage)));
  const free = summarize(known(guarded.map((run) => run.free))).median;
  const kernel = summarize(known(alone.map((run) => run.free))).median;
  const { median, p95 } = LAST_PAGE_MS;
  const kernels = Number(figure(kernel));
  return [
    atLimit,
    `${head}: crossing → last page, median: ${against(median, lastPage.median, "ms")}`,
    `${head}: crossing → last page, p95: ${against(p95, lastPage.p95, "ms")}`,
    `${head}: crossing → free, median, against the kernel's: ${against(kernels, free, "ms")}`,
  ];
}

const count = (value: number) => `${value} (target 0: ${value === 0 ? "met" : "missed"})`;
const known = (values: readonly (number | undefined)[]) =>
  values.filter((value) => value !== undefined);
