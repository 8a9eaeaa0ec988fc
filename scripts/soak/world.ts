/** The state of a soak, and random draws on it. Only operations change what later draws depend on. */

import {
  type AllocatorProgram,
  type AllocatorSpec,
  endAllocator,
  lives,
  placeOf,
  startAllocator,
} from "./allocators.ts";
import type { KernelKill } from "./kernel_kills.ts";
import type { Hearing, Program } from "./program.ts";
import type { Random } from "./random.ts";
import type { Tree } from "./tree.ts";

export interface Group {
  readonly path: string;
  /** The cgroup of its processes: itself, or one below. */
  readonly leaf: string;
  readonly isGuarded: boolean;
  /** Bytes; `undefined`: none. */
  limit: number | undefined;
}

export interface World {
  readonly random: Random;
  readonly tree: Tree;
  readonly executable: string;
  readonly hearing: Hearing;
  /** Holds the state of the guards, their logs and the files that fill page cache. */
  readonly folder: string;
  readonly stateFolder: string;
  readonly guarded: string;
  readonly outside: string;
  readonly groups: Group[];
  readonly allocators: AllocatorProgram[];
  /** Must not be killed, whatever happens to the others. */
  readonly bystanders: AllocatorProgram[];
  readonly kernelKills: KernelKill[];
  readonly programs: Program[];
  readonly limits: Map<string, number[]>;
  guard: Program;
  watch: Program;
  /** Numbers cgroups and files, so that no name is reused by accident. */
  made: number;
  wantsToEnd: boolean;
  /** Maximum milliseconds between an event and its line. */
  readonly late: { guard: number; watch: number };
  /** Events, by program and type. */
  readonly events: Map<string, number>;
  /** Violations. */
  readonly findings: string[];
}

export const MIB = 1024 ** 2;
export const MAX_GROUPS = 10;
/** The shell that execs an allocator needs some memory first (MiB). */
const MIN_LIMIT_MIB = 16;
const MAX_LIMIT_MIB = 96;

/** Valid UTF-8 that must reach no terminal, shell or regular expression unescaped. */
const HOSTILE = [
  "a b",
  "esc\x1b[31mred",
  "new\nline",
  "c1\u009b2J",
  "--json",
  "*?[x]",
  "$(id)`id`",
  "'\"",
  "\\x2d",
  ".hidden",
  "ünï😀",
  "x".repeat(180),
  "memory.max~",
];

export const drawLimit = ({ random }: World): number =>
  (MIN_LIMIT_MIB + random.below(MAX_LIMIT_MIB - MIN_LIMIT_MIB)) * MIB;

/** The same number of draws, whatever exists. */
export function drawGroup({ random, groups }: World): Group | undefined {
  const at = random.below(1 << 20);
  return groups.length === 0 ? undefined : groups[at % groups.length];
}

export function drawName(world: World): string {
  const { random } = world;
  const isHostile = random.chance(20);
  const hostile = random.pick(HOSTILE);
  return `${isHostile ? hostile : "g"}-${++world.made}`;
}

export interface Shape {
  readonly limit: number | undefined;
  readonly isNested: boolean;
  /** Limit of the cgroup below, in bytes. */
  readonly inner: number | undefined;
}

export function drawShape(world: World): Shape {
  const { random } = world;
  const limit = drawLimit(world);
  const isNested = random.chance(25);
  const hasInner = random.chance(50);
  return {
    limit: random.chance(6) ? undefined : limit,
    isNested,
    inner: hasInner ? Math.round(limit / 2) : undefined,
  };
}

/** `undefined` when the kernel refuses the name (v1: a newline). */
export function createGroup(
  world: World,
  name: string,
  shape: Shape,
  isGuarded = true,
): Group | undefined {
  const { tree } = world;
  const path = `${isGuarded ? world.guarded : world.outside}/${name}`;
  try {
    tree.make(path);
  } catch {
    return undefined;
  }
  const leaf = shape.isNested ? `${path}/inner` : path;
  if (shape.isNested) tree.make(leaf);
  const group: Group = { path, leaf, isGuarded, limit: undefined };
  if (isGuarded) world.groups.push(group);
  setLimit(world, group, shape.limit);
  if (shape.isNested && shape.inner !== undefined) limitPath(world, leaf, shape.inner);
  return group;
}

export function setLimit(world: World, group: Group, bytes: number | undefined): boolean {
  group.limit = bytes;
  return limitPath(world, group.path, bytes);
}

/** Recorded before it is set, since a guard may see it immediately. */
export function limitPath(world: World, path: string, bytes: number | undefined): boolean {
  const known = world.limits.get(path) ?? [];
  if (bytes !== undefined) world.limits.set(path, [...known, bytes]);
  return world.tree.setLimit(path, bytes);
}

export function feedGroup(
  world: World,
  group: Group,
  spec: Omit<AllocatorSpec, "path">,
): AllocatorProgram {
  const allocator = startAllocator(world.tree, { ...spec, path: group.leaf });
  world.allocators.push(allocator);
  return allocator;
}

export const allocatorsIn = ({ allocators }: World, group: Group): AllocatorProgram[] =>
  allocators.filter((allocator) => lives(allocator) && placeOf(allocator) === group.leaf);

/** Kills everything in it, forked processes included, and waits until the kernel removes it. */
export async function removeGroup(world: World, group: Group): Promise<void> {
  const { tree, groups } = world;
  const at = groups.indexOf(group);
  if (at >= 0) groups.splice(at, 1);
  for (const allocator of allocatorsIn(world, group)) endAllocator(allocator);
  const deadline = performance.now() + 30_000;
  for (const path of tree.all(group.path)) {
    while (!tree.removeEmpty(path)) {
      for (const pid of pidsIn(world, path)) killForked(world, pid);
      if (performance.now() > deadline) {
        world.findings.push(`${path} cannot be removed: ${pidsIn(world, path).join(" ")}`);
        return;
      }
      await pause(5);
    }
  }
}

export function pidsIn({ tree }: World, path: string): number[] {
  try {
    return tree.read(path, "cgroup.procs").split("\n").filter((line) => line !== "").map(Number);
  } catch {
    return [];
  }
}

function killForked({ allocators }: World, pid: number): void {
  const known = allocators.findLast((allocator) => allocator.pid === pid && lives(allocator));
  if (known) return endAllocator(known);
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // Gone.
  }
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export interface Operation {
  readonly name: string;
  readonly weight: number;
  /** It replaces the guard or the watch, so that costs cannot be compared across it. */
  readonly isDisruptive?: true;
  /** Draws the same random numbers whatever happened before. @returns what it did, for the list of the last operations. */
  readonly run: (world: World) => string | Promise<string>;
}
