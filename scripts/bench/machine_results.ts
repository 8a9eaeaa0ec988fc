/** The options and the table of `bench:machine`. Pure. */

import { parseArgs } from "node:util";
import { MIB } from "../cgroups.ts";
import { Mistake, parsed } from "../terminal.ts";
import { figure, summarize } from "./statistics.ts";

/** `none`: the kernel alone. `oomkit-growth` kills the whole cgroup that has grown most, `oomkit` the process that the kernel would. */
export const TOOLS = [
  ...["none", "earlyoom", "nohang", "systemd-oomd", "oomd", "oomkit", "oomkit-growth"] as const,
] as const;
export type Tool = typeof TOOLS[number];

export const WORKLOADS = {
  fast: "one fast allocator",
  leak: "a slow leak",
  bomb: "a fork bomb",
  four: "four allocators",
  cache: "page-cache thrash",
  swap: "swap thrash",
  tmpfs: "a tmpfs that fills",
  big: "an allocator behind a big innocent",
} as const;
export type WorkloadName = keyof typeof WORKLOADS;

export interface MachineOptions {
  readonly runs: number;
  readonly tools: readonly Tool[];
  readonly workloads: readonly WorkloadName[];
  /** After which a workload that was not killed is ended. */
  readonly seconds: number;
  /** Of the programs. */
  readonly output: "null" | "inherit";
}

const isTool = (word: string): word is Tool => TOOLS.some((tool) => tool === word);
const isWorkload = (word: string): word is WorkloadName => Object.hasOwn(WORKLOADS, word);

export function parseMachineOptions(args: readonly string[]): MachineOptions {
  const string = { type: "string" } as const;
  const { values } = parsed(
    () =>
      parseArgs({
        args: [...args],
        options: { runs: string, only: string, seconds: string, verbose: { type: "boolean" } },
      }),
    "machine takes --runs, --only, --seconds and --verbose",
  );
  const number = (name: "runs" | "seconds", byDefault: number) => {
    const value = Number(values[name] ?? byDefault);
    if (Number.isInteger(value) && value > 0) return value;
    throw new Mistake(`cannot use --${name} ${values[name]}: it must be a whole number above 0`);
  };
  const words = values.only?.split(",") ?? [];
  const unknown = words.find((word) => !isTool(word) && !isWorkload(word));
  if (unknown !== undefined) {
    const known = [...TOOLS, ...Object.keys(WORKLOADS)].join(", ");
    throw new Mistake(`cannot measure "${unknown}": known are ${known}`);
  }
  const tools = words.filter(isTool);
  const workloads = words.filter(isWorkload);
  return {
    runs: number("runs", 1),
    tools: tools.length > 0 ? tools : TOOLS,
    workloads: workloads.length > 0 ? workloads : Object.keys(WORKLOADS).filter(isWorkload),
    seconds: number("seconds", 40),
    output: values.verbose ? "inherit" : "null",
  };
}

export interface MachineRun {
  readonly tool: Tool;
  readonly workload: WorkloadName;
  /** By the kernel, on the whole machine. */
  readonly kernelKills: number;
  /** Processes of the workload that a signal has ended, of those that were started; a bomb is one. */
  readonly allocatorsKilled: number;
  readonly isInnocentAlive: boolean;
  readonly isToolAlive: boolean;
  /** The lowest MemAvailable, bytes. */
  readonly available: number;
  readonly pauseMs: number;
  /** Until the first process of the workload was killed. */
  readonly seconds: number | undefined;
  /** Of the tool: bytes, and percent of a core. */
  readonly resident: number;
  readonly cpu: number;
}

/** What killed first, as far as it is visible from outside. */
export function outcomeOf(run: MachineRun): string {
  const killer = run.kernelKills > 0 ? "kernel" : run.allocatorsKilled > 0 ? "tool" : "nothing";
  return [
    killer,
    ...run.isInnocentAlive ? [] : ["innocent"],
    ...run.isToolAlive ? [] : ["tool ended"],
  ].join(", ");
}

function cell(runs: readonly MachineRun[]): string {
  if (runs.length === 0) return "–";
  const counts = Map.groupBy(runs, outcomeOf);
  const outcomes = [...counts].map(([outcome, those]) =>
    runs.length === 1 ? outcome : `${those.length} ${outcome}`
  );
  const least = Math.min(...runs.map(({ available }) => available));
  const pause = Math.max(...runs.map(({ pauseMs }) => pauseMs));
  return `${outcomes.join("; ")}, ${figure(least / MIB)} MiB, ${figure(pause)} ms`;
}

const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]) => [
  line(head),
  line(head.map(() => "---")),
  ...rows.map(line),
];

/** Of several runs, the lowest memory and the longest pause. */
export function machineLines(runs: readonly MachineRun[]): string[] {
  const tools = TOOLS.filter((tool) => runs.some((run) => run.tool === tool));
  const workloads = Object.entries(WORKLOADS).filter(([name]) =>
    runs.some(({ workload }) => workload === name)
  );
  const of = (tool: Tool, name: string) =>
    runs.filter((run) => run.tool === tool && run.workload === name);
  return [
    ...table(
      ["killed first, least available, longest pause", ...tools],
      workloads.map(([name, text]) => [text, ...tools.map((tool) => cell(of(tool, name)))]),
    ),
    "",
    ...table(
      ["", "RSS, MiB", "CPU, % of a core"],
      tools.filter((tool) => tool !== "none").map((tool) => {
        const its = runs.filter((run) => run.tool === tool);
        return [
          tool,
          figure(summarize(its.map(({ resident }) => resident / MIB)).max),
          figure(summarize(its.map(({ cpu }) => cpu)).median),
        ];
      }),
    ),
  ];
}
