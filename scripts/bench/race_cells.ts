/** The cells of the race table: limits, rates and conditions, and how to select some of them. Pure. */

import { parseArgs } from "node:util";
import { Mistake } from "../terminal.ts";

export const MIB = 1024 ** 2;

export type Condition = "idle" | "busy" | "huge" | "four" | "fifty";
export type RaceMode = "notify" | "hold" | "throttle";

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
}

const RUNS = 30;
const LIMITS = [64, 512];
const RATES = [10, 100, 1000, undefined];
const STRESSES: readonly Condition[] = ["busy", "huge", "four", "fifty"];

/** The last of each kind can lose. */
const MODES: Readonly<Record<1 | 2, readonly RaceMode[]>> = {
  1: ["notify", "hold"],
  2: ["throttle", "notify"],
};

export function cellsOf(version: 1 | 2, { only }: Pick<RaceOptions, "only">): Cell[] {
  const all = MODES[version].flatMap((mode): Cell[] => [
    ...LIMITS.flatMap((limit) =>
      RATES.map((rate) => ({ mode, limit, rate, condition: "idle" as const }))
    ),
    ...STRESSES.map((condition) => ({ mode, limit: 64, rate: undefined, condition })),
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

/** `--runs 5 --only 64,unthrottled --live`. */
export function parseRaceOptions(args: readonly string[]): RaceOptions {
  const { runs, only, live = false } = parsed(args);
  if (runs !== undefined && !/^[1-9]\d{0,3}$/.test(runs)) {
    throw new Mistake(`cannot run "${runs}" times: --runs takes a whole number`);
  }
  return {
    runs: runs === undefined ? RUNS : Number(runs),
    only: only?.split(",").filter((word) => word !== "") ?? [],
    isLive: live,
  };
}

function parsed(args: readonly string[]) {
  const option = { type: "string" } as const;
  const options = { runs: option, only: option, live: { type: "boolean" } } as const;
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new Mistake(`${(error as Error).message}; race takes --runs, --only and --live`);
  }
}

/** The first column of the table. */
export function cellName({ limit, rate, condition }: Cell, cores: number): string {
  const under = {
    idle: "",
    busy: `, ${2 * cores} busy processes on ${cores} cores`,
    huge: ", 2 MiB pages",
    four: ", 4 allocators",
    fifty: ", 50 other cgroups busy",
  }[condition];
  return `${limit} MiB, ${rate === undefined ? "unthrottled" : `${rate} MiB/s`}${under}`;
}

export function fillersOf({ condition }: Cell): number {
  return condition === "four" ? 4 : 1;
}

/** The kernel frees memory at the same pace, however slowly it was filled. */
export function hasKernelRuns({ rate }: Cell): boolean {
  return rate === undefined;
}
