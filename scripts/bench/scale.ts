/**
 * Costs of a watch and a guard of 100, 1,000 and 10,000 cgroups: which of them may grow with the number, and which must not.
 * `--cgroups 100,1000,10000`. The guard does a dry run, and the cgroups are empty.
 */

import { parseArgs } from "node:util";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { microseconds } from "../../core/kernel/clock.ts";
import { delay } from "../../core/timing.ts";
import { MIB, setLimit } from "../cgroups.ts";
import { Mistake, note, parsed, progress } from "../terminal.ts";
import { createBenchCgroup, makeChildren } from "./cleanup.ts";
import { costsOf, cpuShare } from "./costs.ts";
import { startDryGuard, startWatch, type Watch } from "./programs.ts";
import { figure, type Measured, mebibytes, type Row, row, summarize } from "./statistics.ts";
import { keptOpen } from "./sweep.ts";

/** Until one-time work is done and garbage is collected (milliseconds). */
const SETTLE_MS = 3000;
const IDLE_MS = 10_000;
const WAKES = 60;
/** Milliseconds between two wake-ups: kernfs notifies a file at most once in 10 ms. */
const PAUSE_MS = 20;
const SWEEPS = 30;
/** The v1 kernel takes 15 ms to register a threshold: 10,000 of them take minutes. */
const START_MS = 600_000;
/** A cost that grows linearly is the same per cgroup, apart from fixed costs. */
const EVEN = 2;

interface Figures {
  readonly cgroups: number;
  readonly armed: number;
  readonly anonymous: number;
  readonly descriptors: number;
  /** Percent of a core, at rest. */
  readonly idle: number;
  /** Microseconds from the write of a limit to the output line that reports it. */
  readonly wakes: readonly number[];
}

type Start = (args: readonly string[]) => Promise<Watch>;
const PROGRAMS: readonly (readonly [string, Start])[] = [
  ["watch -r", startWatch],
  ["guard -r", startDryGuard],
];

export async function scale(args: readonly string[]): Promise<Measured> {
  const sizes = parse(args);
  const parent = createBenchCgroup(Infinity);
  const sweeps: Row[] = [];
  const found: Record<string, Figures[]> = {};
  const children: Cgroup[] = [];
  for (const size of sizes) {
    children.push(...makeChildren(parent, size - children.length, 64 * MIB, children.length));
    sweeps.push(row(`usage of ${size}, kept open`, await sweep(children)));
    for (const [name, start] of PROGRAMS) {
      progress.show(`bench: scale, ${name} of ${size}`);
      const figures = await measure(name, start, parent, children);
      (found[name] ??= []).push(figures);
    }
  }
  const names = PROGRAMS.map(([name]) => name);
  const table = (title: string, unit: string, of: (figures: Figures) => readonly number[]) => ({
    title,
    unit,
    rows: names.flatMap((name) =>
      found[name]!.map((figures) => row(`${name}, ${figures.cgroups}: ${title}`, of(figures)))
    ),
  });
  return {
    tables: [
      { title: "a sweep", unit: "µs", rows: sweeps },
      table("until it is armed", "ms", ({ armed }) => [armed]),
      table("anonymous memory", "MiB", ({ anonymous }) => [anonymous / MIB]),
      table("open files", "files", ({ descriptors }) => [descriptors]),
      table("CPU at rest", "% of a core", ({ idle }) => [idle]),
      table("limit written → line", "µs", ({ wakes }) => wakes),
    ],
    lines: names.flatMap((name) => growth(name, found[name]!)),
  };
}

async function measure(
  name: string,
  start: Start,
  parent: Cgroup,
  children: readonly Cgroup[],
): Promise<Figures> {
  const cgroups = children.length;
  const began = performance.now();
  const late = setTimeout(() => note(`scale: ${name} of ${cgroups} takes long`), START_MS);
  await using beside = await start(["-r", parent.path]);
  clearTimeout(late);
  const armed = performance.now() - began;
  await delay(SETTLE_MS);
  const idle = await cpuShare(beside.pid, IDLE_MS);
  const wakes = await wakesOf(beside, children);
  const { anonymous, descriptors } = costsOf(beside.pid);
  const wake = `a wake ${figure(summarize(wakes).median / 1000)} ms`;
  note(
    `scale: ${name}, ${cgroups}: armed after ${figure(armed / 1000)} s, ${
      mebibytes(anonymous)
    }, ${descriptors} open files, ${figure(idle)} % of a core, ${wake}`,
  );
  return { cgroups, armed, anonymous, descriptors, idle, wakes };
}

/** Indices of cgroups that are far apart. */
async function wakesOf(beside: Watch, children: readonly Cgroup[]): Promise<number[]> {
  const times: number[] = [];
  for (let n = -5; n < WAKES; n++) {
    const cgroup = children[Math.floor(children.length * (n + 5) / (WAKES + 5))]!;
    await delay(PAUSE_MS);
    const start = microseconds();
    setLimit(cgroup, (96 + n) * MIB);
    for (;;) {
      const { line, at } = await beside.nextLine();
      const event = JSON.parse(line);
      if (event.type !== "limit_changed" || event.cgroup !== cgroup.path) continue;
      if (n >= 0) times.push(at - start);
      break;
    }
  }
  for (const cgroup of children) setLimit(cgroup, 64 * MIB);
  return times;
}

/** Microseconds of each run. */
function sweep(cgroups: readonly Cgroup[]): Promise<number[]> {
  const paths = cgroups.map(({ dir, hierarchy }) => `${dir}/${hierarchy.version.usageFile}`);
  return keptOpen(paths, (files) =>
    Array.from({ length: SWEEPS }, () => {
      const start = performance.now();
      for (const file of files) file.number();
      return 1000 * (performance.now() - start);
    }));
}

/** Marginal cost of a cgroup among many against among few, and wake-up times among most against among fewest. */
function growth(name: string, all: readonly Figures[]): string[] {
  const [first, middle, last] = [all[0]!, all.at(-2)!, all.at(-1)!];
  if (all.length < 3) return [];
  const slope = (from: Figures, to: Figures, of: (figures: Figures) => number) =>
    (of(to) - of(from)) / (to.cgroups - from.cgroups);
  const ratio = (of: (figures: Figures) => number) =>
    slope(middle, last, of) / slope(first, middle, of);
  const compared = (what: string, value: number) =>
    `${what} ${value.toFixed(2)} × (${value <= EVEN ? "evenly" : "NOT EVENLY"})`;
  const wake = summarize(last.wakes).median / summarize(first.wakes).median;
  return [
    `${name}, one more of ${last.cgroups} against one more of ${middle.cgroups}: ${
      compared("armed", ratio(({ armed }) => armed))
    }, ${compared("anonymous", ratio(({ anonymous }) => anonymous))}; a wake of ${last.cgroups} ${
      wake.toFixed(2)
    } × one of ${first.cgroups}`,
  ];
}

function parse(args: readonly string[]): number[] {
  const options = { cgroups: { type: "string", default: "100,1000,10000" } } as const;
  const { cgroups } = parsed(
    () => parseArgs({ args: [...args], options }),
    "scale takes --cgroups",
  ).values;
  const sizes = cgroups.split(",").map(Number);
  if (sizes.every((size, n) => Number.isInteger(size) && size > (sizes[n - 1] ?? 0))) return sizes;
  throw new Mistake(`cannot use --cgroups ${cgroups}: it must be whole numbers that rise`);
}
