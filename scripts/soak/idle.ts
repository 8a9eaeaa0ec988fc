/**
 * Between two stretches of deeds everything that they have made is removed, the programs have told all of it, and what must
 * hold is looked at.
 */

import { type Costs, costsOf } from "../bench/process_costs.ts";
import { checkBystanders, checkStopped } from "./checks.ts";
import { endAllocator, lives } from "./allocators.ts";
import { growth, least } from "./growth.ts";
import { deaths, type Facts, type Tally, untoldKills, wrongBlows } from "./expectations.ts";
import { added, MAX_ORDERS, openFiles, openOrders } from "./open_files.ts";
import type { Program } from "./program.ts";
import { continueProgram } from "./programs.ts";
import { limitPath, MIB, pause, removeGroup, type World } from "./world.ts";

/** Nothing takes as long, in an emulated machine neither. */
const TOLD_MS = 120_000;
const LOOK_MS = 20;
/** After it nothing more is expected to be told: 30 s, and what an emulated machine takes for the looks. */
const LATEST_LOOK = 1500;
/** Garbage is collected once a second (docs/performance.md, footprint). */
const LOOKS = 8;
const LOOKS_MS = 400;

export interface Rest {
  readonly tally: Tally;
  readonly costs: ReadonlyMap<Program, Costs>;
  readonly stopped: number;
}

export interface Bases {
  /** Each program's costs when it rested first, and what it had open. */
  readonly first: Map<Program, Costs>;
  readonly open: Map<Program, ReadonlyMap<string, number>>;
  /** When the stretch began. */
  readonly since: number;
}

export async function rest(world: World, bases: Bases): Promise<Rest> {
  const { guard, watch, findings } = world;
  for (const program of [guard, watch]) continueProgram(program);
  const stopped = await settled(world, bases.since);
  while (world.groups.length > 0) await removeGroup(world, world.groups[0]!);
  world.allocators.forEach(endAllocator);
  await Promise.all(world.allocators.map(({ gone }) => gone));
  await marked(world);
  const facts = factsOf(world);
  findings.push(...await inTime(() => untoldKills(facts)));
  findings.push(...await inTime(() => deaths(facts).wrongs), ...wrongBlows(facts));
  const { tally } = deaths(facts);
  checkBystanders(world);
  const costs = new Map<Program, Costs>();
  for (const program of [guard, watch]) {
    if (program.ended) continue;
    costs.set(program, await restingCosts(program));
    const grown = grownSince(bases, program, costs.get(program)!);
    findings.push(...grown.map((line) => `${program.name} has grown: ${line}`));
  }
  forget(world);
  return { tally, costs, stopped };
}

function grownSince({ first, open }: Bases, program: Program, now: Costs): string[] {
  const base = first.get(program);
  if (base === undefined) {
    first.set(program, now);
    open.set(program, openFiles(program.pid));
    return [];
  }
  const lines = growth(base, now);
  return lines.length === 0
    ? []
    : [...lines, `now also open: ${added(open.get(program)!, openFiles(program.pid))}`];
}

/** Who is stopped for the moment of a blow goes on by himself. */
async function settled(world: World, since: number): Promise<number> {
  for (let look = 0; look < 10; look++) {
    if (world.allocators.filter(lives).length === 0) break;
    await pause(LOOK_MS);
  }
  return checkStopped(world, since);
}

/** A cgroup that comes and goes, of which both must tell: then they have told all that was before. */
async function marked(world: World): Promise<void> {
  const { guard, watch, tree } = world;
  const path = `${world.guarded}/mark-${++world.made}`;
  tree.make(path);
  limitPath(world, path, 32 * MIB);
  const both = async (types: readonly [string, string]) => {
    await events(world, guard, types[0], path);
    await events(world, watch, types[1], path);
  };
  await both(["guard_armed", "cgroup_created"]);
  tree.removeEmpty(path);
  await both(["cgroup_removed", "cgroup_removed"]);
}

async function events(world: World, program: Program, type: string, path: string): Promise<void> {
  const deadline = performance.now() + TOLD_MS;
  const isThere = () =>
    program.events.some((event) => event.type === type && event.cgroup === path);
  while (!isThere()) {
    if (program.ended || world.wantsToEnd) return;
    if (performance.now() > deadline) {
      world.findings.push(`${program.name} does not tell that ${path} is ${type}`);
      return;
    }
    await pause(LOOK_MS);
  }
}

/** The kernel log and a counter tell of a kill one after the other, and a guard when the victim's memory is free. */
async function inTime(wrongs: () => string[]): Promise<string[]> {
  for (let look = 0;; look++) {
    const now = wrongs();
    if (now.length === 0 || look === LATEST_LOOK) return now;
    await pause(LOOK_MS);
  }
}

async function restingCosts(program: Program): Promise<Costs> {
  const looks: Costs[] = [];
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0) await pause(LOOKS_MS);
    const costs = costsOf(program.pid);
    const orders = openOrders(openFiles(program.pid));
    // More than its share counts as what it is.
    looks.push({ ...costs, descriptors: costs.descriptors - Math.min(orders, MAX_ORDERS) });
  }
  return least(looks);
}

export function factsOf(world: World): Facts {
  const { allocators, bystanders, kernelKills, programs, guarded, limits } = world;
  return { allocators: [...bystanders, ...allocators], kernelKills, programs, guarded, limits };
}

/** What has been looked at is over: a long soak must not keep it. */
function forget(world: World): void {
  const { allocators, programs, kernelKills, limits, tree, guard, watch } = world;
  allocators.length = 0;
  kernelKills.length = 0;
  programs.splice(0, programs.length, guard, watch);
  for (const program of programs) {
    program.events.length = 0;
    program.said.length = 0;
    program.stops.length = 0;
  }
  const kept = new Set(tree.all(tree.path));
  for (const path of limits.keys()) if (!kept.has(path)) limits.delete(path);
}
