/** The state of a soak, random draws on it, and its programs. Only operations change what later draws depend on. */

import { delay } from "../../core/timing.ts";
import { MIB } from "../cgroups.ts";
import {
  type AllocatorProgram,
  type AllocatorSpec,
  endAllocator,
  lives,
  placeOf,
  PROTECTED,
  signalTo,
  startAllocator,
} from "./allocators.ts";
import type { KernelKill } from "./kernel_kills.ts";
import { eventFault, unexpectedReason } from "./output.ts";
import { type Hearing, type Program, type ReportedEvent, startProgram } from "./program.ts";
import { ROOT_LIMIT, type Tree } from "./tree.ts";

/** Numbers that a seed reproduces: everything that a soak draws comes from here, and nothing of it from the clock. */
export class Random {
  #state: number;

  /** Marsaglia's xorshift with 32 bits; the state must not be 0. @param seed a whole number. */
  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0 || 1;
    // Seeds that lie side by side begin alike.
    for (let round = 0; round < 16; round++) this.below(1);
  }

  /** A whole number of [0, n). */
  below(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    this.#state >>>= 0;
    return Math.floor(this.#state / 2 ** 32 * n);
  }

  /** True so many times in a hundred. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<Thing>(things: readonly Thing[]): Thing {
    return things[this.below(things.length)]!;
  }

  /** One of these, each as often as its weight says. */
  weighed<Thing extends { readonly weight: number }>(things: readonly Thing[]): Thing {
    let left = this.below(things.reduce((sum, { weight }) => sum + weight, 0));
    return things.find(({ weight }) => (left -= weight) < 0)!;
  }
}

export interface Group {
  readonly path: string;
  /** The cgroup of its processes: itself, or one below. */
  readonly leaf: string;
  readonly isGuarded: boolean;
  /** Bytes; `undefined`: none. */
  limit: number | undefined;
}

export class World implements Hearing {
  /** Holds the state of the guards, their logs and the files that fill page cache. */
  readonly directory = Deno.makeTempDirSync({ prefix: "oomkit-soak-" });
  readonly stateDirectory = `${this.directory}/state`;
  readonly guarded: string;
  readonly outside: string;
  readonly groups: Group[] = [];
  readonly allocators: AllocatorProgram[] = [];
  /** Must not be killed, whatever happens to the others. */
  readonly bystanders: AllocatorProgram[] = [];
  readonly kernelKills: KernelKill[] = [];
  readonly programs: Program[] = [];
  readonly limits: Map<string, number[]>;
  /** Both are started before the first operation. */
  guard!: Program;
  watch!: Program;
  /** Numbers cgroups and files, so that no name is reused by accident. */
  made = 0;
  wantsToEnd = false;
  /** Maximum milliseconds between an event and its line, of programs that were never stopped. */
  readonly late = { guard: 0, watch: 0 };
  /** Events, by program and type. */
  readonly events = new Map<string, number>();
  /** Violations. */
  readonly findings: string[] = [];

  constructor(readonly tree: Tree, readonly random: Random, readonly executable: string) {
    Deno.mkdirSync(this.stateDirectory, { mode: 0o700 });
    this.guarded = `${tree.path}/guarded`;
    this.outside = `${tree.path}/outside`;
    this.limits = new Map([[tree.path, [ROOT_LIMIT]]]);
  }

  line({ name, stops }: Program, event: ReportedEvent): void {
    const { late, events, findings } = this;
    if (stops.length === 0) late[name] = Math.max(late[name], Date.now() - Date.parse(event.ts));
    const what = `${name} ${event.type}`;
    events.set(what, (events.get(what) ?? 0) + 1);
    const fault = eventFault(event);
    if (fault) findings.push(`${name}: ${fault} in ${JSON.stringify(event)}`);
  }

  stderrLine({ name }: Program, line: string): void {
    const why = unexpectedReason(line);
    if (why) this.findings.push(`${name} prints ${why}: ${JSON.stringify(line)}`);
  }

  broken({ name, ending }: Program, line: string): void {
    if (ending?.signal === "SIGKILL") return;
    this.findings.push(`${name}: it is no JSON: ${JSON.stringify(line)}`);
  }
}

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

interface Shape {
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

/** Kills everything in it, forked processes included, and waits until the kernel removes it. */
export async function removeGroup(world: World, group: Group): Promise<void> {
  const { tree, groups, allocators } = world;
  const at = groups.indexOf(group);
  if (at >= 0) groups.splice(at, 1);
  const living = allocators.filter(lives);
  for (const each of living) if (placeOf(each) === group.leaf) endAllocator(each);
  const deadline = performance.now() + 30_000;
  for (const path of tree.all(group.path)) {
    while (!tree.removeEmpty(path)) {
      for (const pid of pidsIn(world, path)) {
        const known = allocators.findLast((each) => each.pid === pid && lives(each));
        if (known) endAllocator(known);
        else signalTo(pid, "SIGKILL");
      }
      if (performance.now() > deadline) {
        world.findings.push(`${path} cannot be removed: ${pidsIn(world, path).join(" ")}`);
        return;
      }
      await delay(5);
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

interface Settings {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Should the soak be killed, they must not go on for ever. */
const LONGEST = "12h";

/** The same number of draws each time. */
export function drawSettings({ random, tree, directory }: World): Settings {
  const modes = tree.version === 1 ? ["notify", "hold"] : ["throttle", "throttle", "notify"];
  const words = [
    ...["--mode", random.pick(modes)],
    ...["--policy", random.pick(["process", "process", "process", "container"])],
  ];
  const perhaps = (percent: number, ...more: string[]) => {
    if (random.chance(percent)) words.push(...more);
  };
  perhaps(20, "--grace-period", "300ms");
  perhaps(20, "--metric", "working-set");
  perhaps(25, "--margin-ratio", "0.1");
  perhaps(20, "--on-warn", "signal");
  perhaps(20, "--on-critical", "reclaim,exec:true");
  const log = random.pick(["", `${directory}/log`, "/dev/full"]);
  return { words, env: log === "" ? {} : { OOMKIT_LOG_FILE: log } };
}

/** Returns when it guards. */
export async function startGuard(world: World, { words, env }: Settings): Promise<void> {
  const options = ["-r", world.guarded, ...words, "--ignore", PROTECTED, "--for", LONGEST];
  await start(world, "guard", options, { OOMKIT_STATE_DIR: world.stateDirectory, ...env });
}

/** Watches the whole soak, unguarded cgroups included. */
export async function startWatch(world: World): Promise<void> {
  await start(world, "watch", ["-r", world.tree.path], {});
}

async function start(
  world: World,
  name: Program["name"],
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const program = startProgram(name, world.executable, ["--json", ...words], env, world);
  world[name] = program;
  world.programs.push(program);
  if (await program.ready || world.wantsToEnd) return;
  world.findings.push(`${name} did not begin: ${program.stderrLines.join(" | ")}`);
}
