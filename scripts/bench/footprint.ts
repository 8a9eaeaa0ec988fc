/**
 * A guard of many cgroups in a cgroup as the DaemonSet's: its costs at rest, and whether they grow while cgroups
 * are created and removed. `--cgroups 1000 --limit 60` (MiB) `--seconds 60` (of churn) `--rate 1000` (created and removed per minute).
 */

import { parseArgs } from "node:util";
import { type Cgroup, readCounters, readPeak } from "../../core/cgroup/cgroup.ts";
import { delay } from "../../core/timing.ts";
import { forbidSwap, makeChild, MIB, setLimit } from "../cgroups.ts";
import { executable } from "../command.ts";
import { Mistake, note, parsed, progress } from "../terminal.ts";
import {
  createBenchCgroup,
  endChild,
  makeBenchDirectory,
  makeChildren,
  startChild,
  within,
} from "./cleanup.ts";
import { type Costs, costsOf, REST_TARGETS, restOf, restText } from "./costs.ts";
import { type RaceGuard, startRaceGuard } from "./programs.ts";
import { makeEmptyProgram, versionOf } from "./start_up.ts";
import { against, figure, type Measured, mebibytes, row } from "./statistics.ts";

const ANONYMOUS_TARGET = 30;
const IDLE_SECONDS = 30;
const FLOOR_MS = 10_000;
/** Until one-time work is done. */
const SETTLE_MS = 5000;
/** A cgroup is at rest after 10 s, and V8 collects the garbage of the start within a minute. */
const MS_TO_REST = 60_000;
const GUARDED_LIMIT = 64 * MIB;
const STAGES = 6;
export const FLOORS = [
  ["an empty program on the same runtime base", "setTimeout(() => {}, 1e6);"],
  [
    "the same with an empty Worker",
    'new Worker("data:text/javascript,", { type: "module" });setTimeout(() => {}, 1e6);',
  ],
] as const;
const EATEN_WITHIN_MS = 20_000;

export async function footprint(args: readonly string[]): Promise<Measured> {
  const { cgroups, limit, seconds, rate } = parse(args);
  const bench = createBenchCgroup(Infinity);
  const [node, home] = makeChildren(bench, 2) as [Cgroup, Cgroup];
  setLimit(home, limit * MIB);
  const children = makeChildren(node, cgroups, GUARDED_LIMIT);
  for (const cgroup of [home, ...children]) forbidSwap(cgroup);
  const directory = makeBenchDirectory();
  const start = performance.now();
  // The default.
  const mode = bench.hierarchy.version.canThrottle ? "throttle" : "hold-near-limit";
  await using guard = await startRaceGuard(mode, node, directory, { home });
  const armedAfter = (performance.now() - start) / 1000;
  note(`footprint: ${guard.said}`);
  await delay(MS_TO_REST);
  const idle = await restOf(guard.pid, 1000 * IDLE_SECONDS);
  const [, idleTarget = Infinity] = [...REST_TARGETS].find(([count]) => cgroups <= count) ?? [];
  const rest = costsOf(guard.pid);
  const stages: Costs[] = [];
  let next = cgroups;
  let lives = true;
  for (let stage = 0; stage < STAGES && lives; stage++) {
    progress.show("bench: footprint", stage, STAGES);
    next = await churn(children, node, next, rate, seconds / STAGES);
    await delay(SETTLE_MS);
    lives = readCounters(home)?.local.oomKill === 0n;
    if (lives) stages.push(costsOf(guard.pid));
    note(`footprint: ${lives ? costsLine(stages.at(-1)!) : "killed in its own cgroup"}`);
  }
  const floors: string[] = [];
  for (const [name, text] of FLOORS) floors.push(await floorOf(directory, name, text));
  const isAhead = lives && await guardsStill(guard, children.at(-1)!);
  const [first = rest, last = rest] = [stages[0], stages.at(-1)];
  const peak = readPeak(home) ?? NaN;
  const grown = (name: keyof Costs) => last[name] - first[name];
  const lines = [
    "",
    `guard of ${cgroups} cgroups in a cgroup of ${limit} MiB; armed after ${figure(armedAfter)} s`,
    `at rest: ${costsLine(rest)}`,
    `anonymous: ${against(ANONYMOUS_TARGET, rest.anonymous / MIB, "MiB")}`,
    ...floors,
    `CPU at rest, ${IDLE_SECONDS} s: ${against(idleTarget, idle.share, "% of a core")}; ${
      restText(idle)
    }`,
    `after ${next - cgroups} were removed and others made, ${rate} a minute: ${costsLine(last)}`,
    `grown between the first and the last sixth of that: ${mebibytes(grown("anonymous"))}, ` +
    `${grown("descriptors")} open files, ${grown("epollEntries")} epoll entries, ` +
    `${grown("inotifyWatches")} inotify watches`,
    `then a cgroup was filled: ${isAhead ? "the guard was first" : "THE GUARD WAS NOT FIRST"}`,
    `the highest usage of the guard's own cgroup: ${mebibytes(peak)}${
      lives ? "" : "; THE KERNEL KILLED THE GUARD THERE"
    }`,
  ];
  const memory = [
    row("anonymous, at rest", [rest.anonymous / MIB]),
    row("anonymous, at the end", [last.anonymous / MIB]),
    row("highest usage of its own cgroup", [peak / MIB]),
  ];
  const tables = [
    { title: "memory", unit: "MiB", rows: memory },
    { title: "CPU", unit: "% of a core", rows: [row("at rest", [idle.share])] },
  ];
  return { tables, lines, isPart: args.length > 0 };
}

/** The cost of the runtime alone, without this project's code. */
async function floorOf(directory: string, name: string, text: string): Promise<string> {
  const program = await makeEmptyProgram(`${directory}/empty`, versionOf(executable), text);
  const child = startChild([program], { stdin: "null" });
  await delay(SETTLE_MS);
  const anonymous = mebibytes(costsOf(child.pid).anonymous);
  const rest = await restOf(child.pid, FLOOR_MS);
  endChild(child);
  await child.status;
  return `${name}: ${anonymous} anonymous, ${figure(rest.share)} % of a core at rest`;
}

function parse(args: readonly string[]) {
  const string = { type: "string" } as const;
  const options = { cgroups: string, limit: string, seconds: string, rate: string };
  const { values } = parsed(
    () => parseArgs({ args: [...args], options }),
    "footprint takes --cgroups, --limit, --seconds and --rate",
  );
  const number = (name: keyof typeof options, byDefault: number): number => {
    const value = Number(values[name] ?? byDefault);
    if (value > 0) return value;
    throw new Mistake(`cannot use --${name} ${values[name]}: it must be a number above 0`);
  };
  return {
    cgroups: number("cgroups", 1000),
    limit: number("limit", 60),
    seconds: number("seconds", 60),
    rate: number("rate", 1000),
  };
}

/** Removes the oldest and creates another, at an even pace. @returns the number of the next one. */
async function churn(
  children: Cgroup[],
  node: Cgroup,
  from: number,
  rate: number,
  seconds: number,
): Promise<number> {
  const began = performance.now();
  let next = from;
  for (; performance.now() - began < 1000 * seconds; next++) {
    Deno.removeSync(children.shift()!.dir);
    const made = makeChild(node, `n${next}`, GUARDED_LIMIT);
    forbidSwap(made);
    children.push(made);
    const due = began + 60_000 * (next + 1 - from) / rate;
    await delay(Math.max(0, due - performance.now()));
  }
  return next;
}

async function guardsStill(guard: RaceGuard, cgroup: Cgroup): Promise<boolean> {
  if (await guard.find("guard_armed", cgroup.path, EATEN_WITHIN_MS) === undefined) return false;
  const script = 'echo 0 >"$0/cgroup.procs" && exec tail /dev/zero';
  const allocator = startChild(["sh", "-c", script, cgroup.dir], { stdout: "null" });
  if (!await within(EATEN_WITHIN_MS, allocator.status)) endChild(allocator);
  await allocator.status;
  const fault = await guard.find("action", cgroup.path, EATEN_WITHIN_MS);
  return fault !== undefined && "victim" in fault && fault.victim?.pid === allocator.pid &&
    readCounters(cgroup)?.local.oomKill === 0n;
}

function costsLine({ anonymous, resident, ...rest }: Costs): string {
  return `${mebibytes(anonymous)} anonymous, ${
    mebibytes(resident)
  } resident, ${rest.descriptors} open files, ` +
    `${rest.epollEntries} epoll entries, ${rest.inotifyWatches} inotify watches`;
}
