/** The race table: its cells, how to select some of them, and the tables and lines of the results. Pure. */

import { parseArgs } from "node:util";
import type { Mode } from "../../core/policy/levels.ts";
import { MIB } from "../cgroups.ts";
import { Mistake, parsed } from "../terminal.ts";
import { against, figure, row, summarize, type Table } from "./statistics.ts";

export type Condition = "idle" | "busy" | "huge" | "four" | "fifty" | "high";
/** Other programs that kill before the kernel does. */
export type Peer = "earlyoom" | "oomd" | "systemd-oomd";
/** What races against the kernel: a guard in this mode, or a peer instead of it. */
export type RaceMode = Mode | Peer;

/** What runs beside all cells of a race. */
export const LOADS = {
  cpu4: "4 CPU workers of stress-ng",
  cpu8: "8 CPU workers of stress-ng",
  io: "an I/O worker of stress-ng",
  guard: "a second guard of the same cgroups",
} as const;
export type Load = keyof typeof LOADS;

export interface Cell {
  readonly mode: RaceMode;
  /** MiB. */
  readonly limit: number;
  /** MiB per second; unthrottled when absent. */
  readonly rate: number | undefined;
  readonly condition: Condition;
}

export interface RaceOptions {
  readonly runs: number;
  /** Words that a cell must have; a kind without a word does not matter. */
  readonly only: readonly string[];
  /** With the live view of the guard, in a terminal of its own. */
  readonly isLive: boolean;
  readonly beside?: Load;
  /** The peers race instead of the guard. */
  readonly isOfPeers: boolean;
}

const RUNS = 30;
export const LIMITS = [64, 512];
const RATES = [10, 100, 1000, undefined];
const STRESSES: readonly Condition[] = ["busy", "huge", "four", "fifty"];

/** The default first; `notify` can lose. */
const MODES: Readonly<Record<1 | 2, readonly RaceMode[]>> = {
  1: ["hold-near-limit", "notify", "hold"],
  2: ["throttle", "notify"],
};

/** oomd and systemd-oomd read files of v2 only. */
const PEERS: Readonly<Record<1 | 2, readonly Peer[]>> = {
  1: ["earlyoom"],
  2: ["earlyoom", "oomd", "systemd-oomd"],
};

/** They act on pressure, for which their documents advise a `memory.high`. */
const PEER_STRESSES: Readonly<Record<1 | 2, readonly Condition[]>> = { 1: [], 2: ["high"] };

export function cellsOf(
  version: 1 | 2,
  { only: words, isOfPeers }: Pick<RaceOptions, "only" | "isOfPeers">,
): Cell[] {
  const modes = (isOfPeers ? PEERS : MODES)[version];
  const only = words.map((word) => word === "default" ? MODES[version][0]! : word);
  const stresses = isOfPeers ? PEER_STRESSES[version] : STRESSES;
  const all = modes.flatMap((mode): Cell[] => [
    ...LIMITS.flatMap((limit) =>
      RATES.map((rate) => ({ mode, limit, rate, condition: "idle" as const }))
    ),
    ...stresses.map((condition) => ({ mode, limit: 64, rate: undefined, condition })),
  ]);
  const kinds = [0, 1, 2, 3].map((kind) => new Set(all.map((cell) => wordsOf(cell)[kind]!)));
  const unknown = only.find((word) => !kinds.some((words) => words.has(word)));
  if (unknown !== undefined) {
    const known = kinds.flatMap((words) => [...words]).join(", ");
    throw new Mistake(`cannot race "${unknown}" on cgroup v${version}: known are ${known}`);
  }
  const requested = kinds.map((words) => only.filter((word) => words.has(word)));
  return all.filter((cell) =>
    wordsOf(cell).every((word, kind) =>
      requested[kind]!.length === 0 || requested[kind]!.includes(word)
    )
  );
}

function wordsOf({ mode, limit, rate, condition }: Cell): string[] {
  return [mode, String(limit), rate === undefined ? "unthrottled" : String(rate), condition];
}

/** `--runs 5 --only default,64,unthrottled --beside cpu4`, or `--live` or `--peers`. */
export function parseRaceOptions(args: readonly string[]): RaceOptions {
  const option = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const options = { runs: option, only: option, beside: option, live: flag, peers: flag } as const;
  const { runs = String(RUNS), only = "", beside, live, peers } = parsed(
    () => parseArgs({ args: [...args], options }).values,
    "race takes --runs, --only, --beside, --live and --peers",
  );
  if (beside !== undefined && !isLoad(beside)) {
    throw new Mistake(`cannot race beside "${beside}": known are ${Object.keys(LOADS).join(", ")}`);
  }
  if (!/^[1-9]\d{0,3}$/.test(runs)) {
    throw new Mistake(`cannot run "${runs}" times: --runs takes a whole number`);
  }
  return {
    runs: Number(runs),
    only: only.split(",").filter((word) => word !== ""),
    isLive: live,
    isOfPeers: peers,
    ...beside === undefined ? {} : { beside },
  };
}

const isLoad = (word: string): word is Load => Object.hasOwn(LOADS, word);

/** The first column of the table. */
export function cellName({ limit, rate, condition }: Cell, cores: number): string {
  const under = {
    idle: "",
    busy: `, ${2 * cores} busy processes on ${cores} cores`,
    huge: ", 2 MiB pages",
    four: ", 4 allocators",
    fifty: ", 50 other cgroups busy",
    high: ", memory.high at 90 %",
  }[condition];
  return `${limit} MiB, ${rate === undefined ? "unthrottled" : `${rate} MiB/s`}${under}`;
}

/** Sizes are bytes, times milliseconds. */
export interface Run {
  readonly limit: number;
  /** The limit itself without a guard. */
  readonly threshold: number;
  readonly kernelKills: number;
  /** Kills by the guard before it first saw memory free. */
  readonly killed: number;
  /** No process was killed in time. */
  readonly isStuck: boolean;
  readonly peak: number | undefined;
  readonly signalMs: number | undefined;
  /** From the crossing of the level; without a guard from the last page. */
  readonly lastPage: number | undefined;
  readonly free: number | undefined;
}

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

const isAtLimit = ({ peak, limit }: Run) => peak === undefined || peak >= limit;

/** Figures that later runs are compared with. */
export function raceTables(raced: readonly Raced[], cores: number): Table[] {
  const table = (title: string, of: (run: Run) => number | undefined): Table => ({
    title,
    unit: "ms",
    rows: raced.map(({ cell, guarded }) =>
      row(`${title}: ${cell.mode}, ${cellName(cell, cores)}`, known(guarded.map(of)))
    ).filter(({ summary }) => summary.runs > 0),
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
    return ["", ...aligned([[title, ...HEADINGS], ...rows.map((row) => columnsOf(row, cores))])];
  });
}

function columnsOf({ cell, guarded, alone }: Raced, cores: number): string[] {
  const killed = [...new Set(guarded.map((run) => run.killed))].sort();
  return [
    cellName(cell, cores),
    `${guarded.filter(hasWon).length}/${guarded.length}`,
    String(guarded.filter(isAtLimit).length),
    killed.length < 2 ? `${killed[0] ?? "–"}` : `${killed[0]}–${killed.at(-1)}`,
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
  const { median, p95, max, runs } = summarize(known(values));
  if (runs === 0) return "–";
  const missing = values.length - runs;
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
  const others = runs.filter((run) => run.kernelKills === 0 && !hasWon(run));
  const stuck = others.filter(({ isStuck }) => isStuck).length;
  const unreported = others.length - stuck;
  const undone = (stuck === 0 ? "" : `; in ${stuck} no process was killed in time`) +
    (unreported === 0 ? "" : `; in ${unreported} the process ended and no kill was reported`);
  return [
    `the kernel's kills in ${runs.length} runs: ${count(kills)}${undone}`,
    ...counted.filter(({ cell: { limit, rate, condition } }) =>
      limit === 64 && rate === undefined && condition === "idle"
    ).flatMap((each) => evaluate(each, isTimed)),
  ];
}

function evaluate({ cell: { mode }, guarded, alone }: Raced, isTimed: boolean): string[] {
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
