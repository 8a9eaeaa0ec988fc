/**
 * Costs of a watch and a guard of 100, 1,000 and 10,000 cgroups: which of them may grow with the number, and which must not.
 * `--cgroups 100,1000,10000`. The guard does a dry run, and the cgroups are empty. The floor of arming a guard on v1 is one threshold of
 * each cgroup, registered without anything else.
 */

import { parseArgs } from "node:util";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { microseconds } from "../../core/kernel/clock.ts";
import {
  type Fd,
  O_RDONLY,
  O_WRONLY,
  openEventfd,
  openFd,
  writeAsync,
  writeText,
} from "../../core/kernel/fd.ts";
import { delay } from "../../core/timing.ts";
import { MIB, setLimit } from "../cgroups.ts";
import { Mistake, note, parsed, progress } from "../terminal.ts";
import { createBenchCgroup, makeChildren } from "./cleanup.ts";
import { costsOf, cpuShare } from "./costs.ts";
import { startDryGuard, startWatch, type Watch } from "./programs.ts";
import {
  against,
  figure,
  type Measured,
  mebibytes,
  type Row,
  row,
  summarize,
} from "./statistics.ts";
import { keptOpen } from "./sweep.ts";

/** Until one-time work is done and garbage is collected (milliseconds). */
const SETTLE_MS = 3000;
const IDLE_MS = 10_000;
const WAKES = 60;
/** Milliseconds between two wake-ups: kernfs notifies a file at most once in 10 ms. */
const PAUSE_MS = 20;
const SWEEPS = 30;
/** On a loaded machine a grace period of the kernel takes long. */
const START_MS = 60_000;
/** Seconds in which a guard of so many cgroups is to be armed. */
const ARMED_TARGETS: Readonly<Record<number, number>> = { 1000: 1, 10_000: 15 };
/** Open files of a guard for each cgroup. */
const FILES_TARGET = 3;
/** A wake-up among most cgroups, against one among fewest. */
const WAKE_TARGET = 2;
/** Registrations by one thread that are measured: each takes as long as any other. */
const MAX_ONE_BY_ONE = 100;
/** All threads of the runtime, twice (core/guard/threshold_arming.ts). */
const REGISTERED_TOGETHER = 64;
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

/** Milliseconds to register one threshold of each cgroup. */
interface Floor {
  readonly oneByOne: number;
  readonly together: number;
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
  const floors: Floor[] = [];
  const children: Cgroup[] = [];
  for (const size of sizes) {
    children.push(...makeChildren(parent, size - children.length, 64 * MIB, children.length));
    sweeps.push(row(`usage of ${size}, kept open`, await sweep(children)));
    if (parent.hierarchy.version.notifiesThresholds) floors.push(await registerAll(children));
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
  const armed = table("until it is armed", "ms", ({ armed }) => [armed]);
  const floorRows = floors.flatMap(({ oneByOne, together }, n) => [
    row(`${sizes[n]} thresholds, in parallel`, [together]),
    row(`${sizes[n]} thresholds, by one thread`, [oneByOne]),
  ]);
  return {
    tables: [
      { title: "a sweep", unit: "µs", rows: sweeps },
      { ...armed, rows: [...armed.rows, ...floorRows] },
      table("anonymous memory", "MiB", ({ anonymous }) => [anonymous / MIB]),
      table("open files", "files", ({ descriptors }) => [descriptors]),
      table("CPU at rest", "% of a core", ({ idle }) => [idle]),
      table("limit written → line", "µs", ({ wakes }) => wakes),
    ],
    lines: [
      ...names.flatMap((name) => growth(name, found[name]!)),
      ...compared("guard -r", found["guard -r"]!, floors),
      ...wakeLines("watch -r", found["watch -r"]!),
    ],
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

/** What is registered goes with its eventfd, at the end. */
async function registerAll(cgroups: readonly Cgroup[]): Promise<Floor> {
  using eventfds = new DisposableStack();
  const open = (
    { dir, hierarchy: { version } }: Cgroup,
  ): { control: Fd; text: string } & Disposable => {
    const eventfd = eventfds.use(openEventfd());
    const file = openFd(`${dir}/${version.usageFile}`, O_RDONLY);
    const control = openFd(`${dir}/cgroup.event_control`, O_WRONLY);
    const text = `${eventfd.number} ${file.number} ${32 * MIB}`;
    return {
      control,
      text,
      [Symbol.dispose]() {
        file.close();
        control.close();
      },
    };
  };
  const some = cgroups.slice(0, MAX_ONE_BY_ONE);
  const began = performance.now();
  for (const cgroup of some) {
    using registration = open(cgroup);
    writeText(registration.control, registration.text);
  }
  const between = performance.now();
  const left = cgroups.values();
  const registerNext = async () => {
    for (const cgroup of left) {
      using registration = open(cgroup);
      const text = new TextEncoder().encode(registration.text);
      if (await writeAsync(registration.control, text) < 0) {
        throw new Mistake(`cannot register a threshold of ${cgroup.path}`);
      }
    }
  };
  await Promise.all(Array.from({ length: REGISTERED_TOGETHER }, registerNext));
  const oneByOne = (between - began) * cgroups.length / some.length;
  return { oneByOne, together: performance.now() - between };
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

/** Marginal cost of a cgroup among many against among few. */
function growth(name: string, all: readonly Figures[]): string[] {
  const [first, middle, last] = [all[0]!, all.at(-2)!, all.at(-1)!];
  if (all.length < 3) return [];
  const slope = (from: Figures, to: Figures, of: (figures: Figures) => number) =>
    (of(to) - of(from)) / (to.cgroups - from.cgroups);
  const ratio = (of: (figures: Figures) => number) =>
    slope(middle, last, of) / slope(first, middle, of);
  const growthOf = (what: string, value: number) =>
    `${what} ${value.toFixed(2)} × (${value <= EVEN ? "evenly" : "NOT EVENLY"})`;
  return [
    `${name}, one more of ${last.cgroups} against one more of ${middle.cgroups}: ${
      growthOf("armed", ratio(({ armed }) => armed))
    }, ${growthOf("anonymous", ratio(({ anonymous }) => anonymous))}`,
  ];
}

/** Against the floor and the targets. */
function compared(
  name: string,
  all: readonly Figures[],
  floors: readonly Floor[],
): string[] {
  const [first] = all;
  return all.flatMap(({ cgroups, armed, descriptors }, n) => {
    const seconds = armed / 1000;
    const target = ARMED_TARGETS[cgroups];
    const time = target === undefined ? `${figure(seconds)} s` : against(target, seconds, "s");
    const floor = floors[n];
    const beside = floor
      ? `, ${figure(armed / floor.together)} × as many registrations in parallel, ${
        figure(armed / floor.oneByOne)
      } × by one thread`
      : "";
    const files = n === 0 ? "" : `; open files of one more cgroup: ${
      against(
        FILES_TARGET,
        perCgroup(descriptors - first!.descriptors, cgroups - first!.cgroups),
        "files",
      )
    }`;
    return [`${name}, ${cgroups}: armed after ${time}${beside}${files}`];
  });
}

/** To a tenth: a thread more or less has files of its own. */
const perCgroup = (files: number, cgroups: number) => Math.round(10 * files / cgroups) / 10;

function wakeLines(name: string, all: readonly Figures[]): string[] {
  const [first, last] = [all[0]!, all.at(-1)!];
  if (all.length < 2) return [];
  const ratio = summarize(last.wakes).median / summarize(first.wakes).median;
  return [
    `${name}: a wake of ${last.cgroups} against one of ${first.cgroups}: ${
      against(WAKE_TARGET, ratio, "×")
    }`,
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
