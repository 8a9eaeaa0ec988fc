/**
 * The idle check between two rounds of operations: removes everything they made, waits until the programs have reported all
 * of it, and checks what must hold.
 */

import { readLink, tryReadText } from "../../core/cgroup/files.ts";
import { delay } from "../../core/timing.ts";
import { type Costs, costsOf } from "../bench/costs.ts";
import { MIB } from "../cgroups.ts";
import { endAllocator, lives, placeOf, signalTo } from "./allocators.ts";
import {
  type DeathCounts,
  deaths,
  type Facts,
  unreportedKills,
  wrongKills,
} from "./expectations.ts";
import { continueProgram, type Program } from "./program.ts";
import { limitPath, removeGroup, type World } from "./world.ts";

/** Longer than any report takes, also in an emulated machine (milliseconds). */
const MAX_REPORT_MS = 120_000;
const POLL_MS = 20;
/** Polls until nothing more is expected to be reported: 30 s, and longer in an emulated machine. */
const MAX_POLLS = 1500;
/** Garbage is collected once a second (docs/performance.md, footprint). */
const SAMPLES = 8;
const MS_BETWEEN_SAMPLES = 400;

/** A program at its idle checks. */
export interface Life {
  readonly name: string;
  rests: number;
  readonly first: Costs;
  last: Costs;
  /** Files that were open at the first one. */
  readonly open: ReadonlyMap<string, number>;
}

/**
 * @param lives gets the costs of each program. @param since when the round began.
 * @returns also the number of processes that a killed guard left stopped.
 */
export async function rest(
  world: World,
  lives: Map<Program, Life>,
  since: number,
): Promise<{ readonly counts: DeathCounts; readonly stopped: number }> {
  const { guard, watch, findings } = world;
  for (const program of [guard, watch]) continueProgram(program);
  const stopped = await settled(world, since);
  while (world.groups.length > 0) await removeGroup(world, world.groups[0]!);
  world.allocators.forEach(endAllocator);
  await Promise.all(world.allocators.map(({ gone }) => gone));
  await marked(world);
  const { allocators, bystanders } = world;
  const facts: Facts = { ...world, allocators: [...bystanders, ...allocators] };
  findings.push(...await inTime(() => unreportedKills(facts)));
  findings.push(...await inTime(() => deaths(facts).wrongs), ...wrongKills(facts));
  const { counts } = deaths(facts);
  checkBystanders(world);
  for (const program of [guard, watch]) {
    if (program.ended) continue;
    const { name, pid } = program;
    const now = await restingCosts(program);
    const life = lives.get(program) ??
      { name, rests: 0, first: now, last: now, open: openFiles(pid) };
    lives.set(program, Object.assign(life, { rests: life.rests + 1, last: now }));
    const lines = growth(life.first, now);
    if (lines.length > 0) lines.push(`now also open: ${added(life.open, openFiles(pid))}`);
    findings.push(...lines.map((line) => `${name} has grown: ${line}`));
  }
  forget(world);
  return { counts, stopped };
}

/** Processes that the guard suspends during a kill continue within milliseconds. */
async function settled(world: World, since: number): Promise<number> {
  for (let look = 0; look < 10; look++) {
    if (world.allocators.filter(lives).length === 0) break;
    await delay(POLL_MS);
  }
  return checkStopped(world, since);
}

/** Creates and removes a marker cgroup: once both programs report it, they have reported everything before it. */
async function marked(world: World): Promise<void> {
  const { guard, watch, tree } = world;
  const path = `${world.guarded}/mark-${++world.made}`;
  tree.make(path);
  limitPath(world, path, 32 * MIB);
  await reported(world, guard, "guard_armed", path);
  await reported(world, watch, "cgroup_created", path);
  tree.removeEmpty(path);
  for (const program of [guard, watch]) await reported(world, program, "cgroup_removed", path);
}

async function reported(world: World, program: Program, type: string, path: string) {
  const deadline = performance.now() + MAX_REPORT_MS;
  while (!program.events.some((event) => event.type === type && event.cgroup === path)) {
    if (program.ended || world.wantsToEnd) return;
    if (performance.now() > deadline) {
      world.findings.push(`${program.name} does not report ${type} of ${path}`);
      return;
    }
    await delay(POLL_MS);
  }
}

/** Waits for reports: a kill is in the kernel log before the counter, and a guard reports it when memory is free. */
async function inTime(wrongs: () => string[]): Promise<string[]> {
  for (let look = 0;; look++) {
    const now = wrongs();
    if (now.length === 0 || look === MAX_POLLS) return now;
    await delay(POLL_MS);
  }
}

async function restingCosts(program: Program): Promise<Costs> {
  const samples: Costs[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    if (sample > 0) await delay(MS_BETWEEN_SAMPLES);
    const costs = costsOf(program.pid);
    const orders = openOrders(openFiles(program.pid));
    // Only the known maximum is subtracted.
    samples.push({ ...costs, descriptors: costs.descriptors - Math.min(orders, MAX_ORDERS) });
  }
  return minimum(samples);
}

/** Drops the checked facts, so that a long soak does not grow. */
function forget(world: World): void {
  const { allocators, programs, kernelKills, limits, tree, guard, watch } = world;
  allocators.length = 0;
  kernelKills.length = 0;
  programs.splice(0, programs.length, guard, watch);
  for (const program of programs) {
    program.events.length = 0;
    program.stderrLines.length = 0;
    program.stops.length = 0;
  }
  const kept = new Set(tree.all(tree.path));
  for (const path of limits.keys()) if (!kept.has(path)) limits.delete(path);
}

/** Descriptors in use for a moment: a read, a pinned process. */
const SPARE_DESCRIPTORS = 6;
/** Epoll entries and inotify watches are rarely short-lived. */
const SPARE_WAITS = 4;
/** Garbage that V8 has not collected: within 20 MiB between two idle checks (docs/performance.md, footprint). */
const SPARE_ANONYMOUS = 32 * MIB;

/** @param base the sample after the warm-up. @returns a line for each cost that has grown. */
export function growth(base: Costs, now: Costs): string[] {
  const grown = (name: keyof Costs, spare: number, unit = 1) => {
    const more = now[name] - base[name];
    return more > spare
      ? [`${name}: ${Math.round(base[name] / unit)} at first, ${Math.round(now[name] / unit)} now`]
      : [];
  };
  return [
    ...grown("descriptors", SPARE_DESCRIPTORS),
    ...grown("epollEntries", SPARE_WAITS),
    ...grown("inotifyWatches", SPARE_WAITS),
    ...grown("anonymous", SPARE_ANONYMOUS, MIB),
  ];
}

/** The minimum of several samples, each figure by itself, since garbage comes and goes. */
function minimum(samples: readonly Costs[]): Costs {
  const min = (name: keyof Costs) => Math.min(...samples.map((sample) => sample[name]));
  return {
    anonymous: min("anonymous"),
    resident: min("resident"),
    descriptors: min("descriptors"),
    epollEntries: min("epollEntries"),
    inotifyWatches: min("inotifyWatches"),
  };
}

/** How many descriptors lead to each, as proc_pid_fd(5) names it; numbers of pipes and sockets are left out. */
function openFiles(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    // A file may be closed since it was listed.
    const target = readLink(`/proc/${pid}/fd/${name}`)?.replace(/\[\d+\]$/, "");
    if (target !== undefined) counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  return counts;
}

/** @returns the files that are open more often now, with the difference. */
function added(
  before: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>,
): string {
  return [...now].filter(([target, count]) => count > (before.get(target) ?? 0))
    .map(([target, count]) => `${count - (before.get(target) ?? 0)} × ${target}`).join(", ");
}

/** Each of the two threads of a guard keeps the files of its last 16 reclaim requests open (core/control/reclaim.ts). */
const MAX_ORDERS = 32;

/** How many of these are open. */
function openOrders(files: ReadonlyMap<string, number>): number {
  return [...files].filter(([target]) =>
    /\/memory\.(?:reclaim|force_empty)(?: \(deleted\))?$/.test(target)
  ).reduce((sum, [, count]) => sum + count, 0);
}

/** After a guard that got a signal to end: no control file is changed and no journal is left. */
export function checkRestored(world: World): void {
  const { tree, guarded, findings } = world;
  for (const path of tree.all(guarded)) {
    if (tree.isChanged(path)) findings.push(`${path} is changed, and no guard runs`);
  }
  for (const { name } of Deno.readDirSync(world.stateDirectory)) {
    // The status socket of a guard that was killed stays until the next one.
    if (!name.endsWith(".json")) continue;
    const text = Deno.readTextFileSync(`${world.stateDirectory}/${name}`);
    findings.push(`${name} is left in the state directory: ${text}`);
  }
}

/** Only a guard that was killed may have left stopped processes (docs/guarding.md, "Modes"). */
function checkStopped(world: World, since: number): number {
  const wasKilled = world.programs.some(({ ending }) =>
    ending?.signal === "SIGKILL" && ending.at >= since
  );
  const stopped = world.allocators.filter((allocator) =>
    lives(allocator) &&
    /^State:\s+T/m.test(tryReadText(`/proc/${allocator.pid}/status`) ?? "")
  );
  for (const allocator of stopped) {
    if (!wasKilled) {
      world.findings.push(`pid ${allocator.pid} in ${placeOf(allocator)} is left stopped`);
    }
    signalTo(allocator.pid, "SIGCONT");
  }
  return stopped.length;
}

/** Processes outside the guarded subtree must be alive. */
function checkBystanders(world: World): void {
  for (const { pid, ended, kind } of world.bystanders) {
    if (ended === undefined) continue;
    world.findings.push(`bystander ${pid} (${kind}), outside the guarded subtree, has been killed`);
  }
}
