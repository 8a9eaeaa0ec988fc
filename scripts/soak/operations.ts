/** All operations of a soak, and their weights. */

import { delay } from "../../core/timing.ts";
import { MIB } from "../cgroups.ts";
import { outputOf } from "../command.ts";
import { removeIfThere } from "../files.ts";
import { endAllocator, lives, placeOf, signalTo } from "./allocators.ts";
import { checkRestored } from "./idle.ts";
import { inspectionFault } from "./output.ts";
import { continueProgram, endProgram, restoreWatchdogOf } from "./program.ts";
import {
  createGroup,
  drawGroup,
  drawLimit,
  drawName,
  drawSettings,
  drawShape,
  feedGroup,
  limitPath,
  MAX_GROUPS,
  pidsIn,
  removeGroup,
  setLimit,
  startGuard,
  startWatch,
  type World,
} from "./world.ts";

interface Operation {
  readonly name: string;
  readonly weight: number;
  /** It replaces the guard or the watch, so that costs cannot be compared across it. */
  readonly isDisruptive?: true;
  /** Draws the same random numbers whatever happened before. @returns what it did, for the list of the last operations. */
  readonly run: (world: World) => string | Promise<string>;
}

const operations: readonly Operation[] = [
  { name: "make", weight: 14, run: make },
  { name: "remove", weight: 5, run: remove },
  { name: "replace", weight: 5, run: replace },
  { name: "lower the limit", weight: 6, run: lower },
  { name: "raise the limit", weight: 4, run: raise },
  { name: "take the limit away", weight: 2, run: unlimit },
  { name: "thousand cgroups", weight: 1, run: churn },
  { name: "fill", weight: 14, run: fill },
  { name: "burst", weight: 18, run: burst(1, 1) },
  { name: "burst of several", weight: 6, run: burst(2, 4) },
  { name: "page cache", weight: 5, run: fillFile("cache", 150) },
  { name: "tmpfs", weight: 2, run: fillFile("shmem", 80) },
  { name: "forks", weight: 3, run: forks },
  { name: "protected", weight: 3, run: shielded },
  { name: "idle", weight: 3, run: idle },
  { name: "move", weight: 5, run: move },
  { name: "end one", weight: 3, run: endOne },
  { name: "burst outside", weight: 2, run: outside },
  { name: "stop the guard", weight: 2, run: stop("guard") },
  { name: "stop the watch", weight: 1, run: stop("watch") },
  { name: "read the configuration again", weight: 2, run: reload },
  { name: "inspect", weight: 2, run: inspect },
  { name: "kill the guard", weight: 2, isDisruptive: true, run: killGuard(false) },
  { name: "kill the restore watchdog", weight: 1, isDisruptive: true, run: killRestoreWatchdog },
  { name: "kill guard and restore watchdog", weight: 1, isDisruptive: true, run: killGuard(true) },
  { name: "end the guard", weight: 2, isDisruptive: true, run: endGuard },
  { name: "end the watch", weight: 2, isDisruptive: true, run: endWatch },
  { name: "spoil the journals", weight: 1, isDisruptive: true, run: spoil },
];

const gentle = operations.filter(({ isDisruptive }) => !isDisruptive);

export const operationsOf = (isDisruptive: boolean): readonly Operation[] =>
  isDisruptive ? operations : gentle;

const CHURN = 1000;
const RATES = [2, 10, 50, 200, 1000];
const PIECE = 64 * 1024;
/** Keeps within the process limit of the soak, also when some of them fork eight processes at a time. */
const MAX_ALLOCATORS = 100;
const MAX_STOP_MS = 1500;

async function make(world: World): Promise<string> {
  const name = drawName(world);
  const shape = drawShape(world);
  if (world.groups.length >= MAX_GROUPS) await removeGroup(world, world.groups[0]!);
  return createGroup(world, name, shape) ? JSON.stringify(name) : `${JSON.stringify(name)} refused`;
}

async function remove(world: World): Promise<string> {
  const group = drawGroup(world);
  if (group === undefined) return "none";
  await removeGroup(world, group);
  return JSON.stringify(group.path.slice(world.guarded.length + 1));
}

async function replace(world: World): Promise<string> {
  const group = drawGroup(world);
  const shape = drawShape(world);
  if (group === undefined) return "none";
  const name = group.path.slice(world.guarded.length + 1);
  await removeGroup(world, group);
  createGroup(world, name, shape);
  return JSON.stringify(name);
}

/** Also below usage: v1 refuses that when it cannot reclaim enough, v2 kills. */
function lower(world: World): string {
  const group = drawGroup(world);
  const percent = 40 + world.random.below(55);
  if (group?.limit === undefined) return "none";
  const bytes = Math.max(8 * MIB, Math.round(group.limit * percent / 100));
  const before = group.limit;
  if (setLimit(world, group, bytes)) return `to ${percent} %`;
  group.limit = before;
  return "refused";
}

function raise(world: World): string {
  const group = drawGroup(world);
  const bytes = drawLimit(world);
  if (group === undefined) return "none";
  setLimit(world, group, Math.max(group.limit ?? 0, bytes));
  return "";
}

/** A burst there is bounded by its address space, and the whole soak has a limit. */
function unlimit(world: World): string {
  const group = drawGroup(world);
  if (group === undefined) return "none";
  setLimit(world, group, undefined);
  return "";
}

function churn(world: World): string {
  const { tree } = world;
  const each = world.random.pick([1, 1, 10]);
  for (let n = 0; n < CHURN; n += each) {
    const paths = Array.from({ length: each }, (_, at) => `${world.guarded}/churn-${n + at}`);
    for (const path of paths) tree.make(path);
    for (const path of paths) {
      if (n % 5 === 0) limitPath(world, path, 32 * MIB);
      tree.removeEmpty(path);
    }
  }
  for (let n = 0; n < CHURN; n++) world.limits.delete(`${world.guarded}/churn-${n}`);
  return `${each} at a time`;
}

const isCrowded = ({ allocators }: World) => allocators.filter(lives).length >= MAX_ALLOCATORS;

function fill(world: World): string {
  const group = drawGroup(world);
  const rate = world.random.pick(RATES) * MIB;
  const percent = 20 + world.random.below(130);
  if (group?.limit === undefined || isCrowded(world)) return "none";
  feedGroup(world, group, { kind: "fed", rate, most: group.limit * percent / 100 });
  return `${percent} % at ${rate / MIB} MiB/s`;
}

/** Bursts at once: `least` to `most`. */
function burst(least: number, most: number) {
  return (world: World): string => {
    const group = drawGroup(world);
    const count = least === most ? least : least + world.random.below(most - least + 1);
    if (group?.limit === undefined || isCrowded(world)) return "none";
    for (let n = 0; n < count; n++) feedGroup(world, group, { kind: "burst" });
    return least === most ? "" : String(count);
  };
}

/** Only the soak can free what an exited process has left in a tmpfs. */
function fillFile(kind: "cache" | "shmem", spread: number) {
  return (world: World): string => {
    const group = drawGroup(world);
    const percent = 50 + world.random.below(spread);
    if (group?.limit === undefined || isCrowded(world)) return "none";
    const directory = kind === "cache" ? world.directory : "/dev/shm";
    const file = `${directory}/oomkit-soak-${Deno.pid}-${++world.made}`;
    const count = Math.round(group.limit * percent / 100 / PIECE);
    const allocator = feedGroup(world, group, { kind, file, count });
    void allocator.gone.then(() => removeIfThere(file));
    return `${percent} %`;
  };
}

function forks(world: World): string {
  const group = drawGroup(world);
  const count = 20 + world.random.below(100);
  if (group === undefined || isCrowded(world)) return "none";
  feedGroup(world, group, { kind: "forks", count });
  return String(count);
}

function shielded(world: World): string {
  const group = drawGroup(world);
  const percent = 10 + world.random.below(50);
  if (group?.limit === undefined || isCrowded(world)) return "none";
  const most = group.limit * percent / 100;
  feedGroup(world, group, { kind: "fed", isProtected: true, rate: 50 * MIB, most });
  return `${percent} %`;
}

function idle(world: World): string {
  const group = drawGroup(world);
  if (group === undefined || isCrowded(world)) return "none";
  feedGroup(world, group, { kind: "idle" });
  return "";
}

/** Its memory stays where it was charged. */
function move(world: World): string {
  const { random, allocators, tree } = world;
  const [at, isOut] = [random.below(1 << 20), random.chance(15)];
  const group = drawGroup(world);
  const living = allocators.filter((allocator) => lives(allocator) && allocator.kind !== "forks");
  if (group === undefined || living.length === 0) return "none";
  const allocator = living[at % living.length]!;
  // Outside the guarded subtree only the kernel would end a process that never exits by itself.
  const to = isOut && allocator.kind !== "burst" ? `${world.outside}/quiet` : group.leaf;
  const from = placeOf(allocator);
  // Its shell has not moved to its first cgroup yet.
  if (!pidsIn(world, from).includes(allocator.pid)) return "on its way";
  allocator.places.push({ path: to, since: Date.now() });
  if (tree.write(to, "cgroup.procs", String(allocator.pid))) return to === from ? "nowhere" : "";
  allocator.places.pop();
  return "refused";
}

function endOne(world: World): string {
  const at = world.random.below(1 << 20);
  const living = world.allocators.filter(lives);
  if (living.length === 0) return "none";
  endAllocator(living[at % living.length]!);
  return "";
}

/** Outside the guarded subtree the kernel kills, and no guard may. */
function outside(world: World): string {
  if (isCrowded(world)) return "none";
  const path = `${world.outside}/loud`;
  feedGroup(world, { path, leaf: path, isGuarded: false, limit: 32 * MIB }, { kind: "burst" });
  return "";
}

function stop(name: "guard" | "watch") {
  return async (world: World): Promise<string> => {
    const ms = 1 + world.random.below(MAX_STOP_MS);
    const isWaited = world.random.chance(30);
    const program = world[name];
    signalTo(program.pid, "SIGSTOP");
    program.stops.push({ from: Date.now() });
    const over = delay(ms).then(() => continueProgram(program));
    if (isWaited) await over;
    return `${ms} ms`;
  };
}

function reload({ guard }: World): string {
  signalTo(guard.pid, "SIGHUP");
  return "";
}

async function inspect(world: World): Promise<string> {
  const target = world.random.pick([world.guarded, `${world.guarded}/**`, world.tree.path]);
  const { code, stdout, stderr } = await outputOf(
    world.executable,
    ["inspect", "--json", target],
    { env: { NO_COLOR: "1" } },
  );
  if (code !== 0 && !/^oomkit: [^\n]+\n$/.test(stderr)) {
    world.findings.push(`inspect ended with ${code}: ${stderr}`);
  }
  const fault = code === 0 ? inspectionFault(JSON.parse(stdout)) : undefined;
  if (fault !== undefined) world.findings.push(`inspect: does not fit the schema: ${fault}`);
  return `${code}`;
}

function killGuard(withRestoreWatchdog: boolean) {
  return async (world: World): Promise<string> => {
    const settings = drawSettings(world);
    if (withRestoreWatchdog) killRestoreWatchdog(world);
    await endProgram(world.guard, "SIGKILL");
    await startGuard(world, settings);
    return world.guard.words.join(" ");
  };
}

function killRestoreWatchdog(world: World): string {
  const restoreWatchdog = restoreWatchdogOf(world.guard.pid);
  if (restoreWatchdog === undefined) return "none";
  signalTo(restoreWatchdog, "SIGKILL");
  return "";
}

async function endGuard(world: World): Promise<string> {
  const settings = drawSettings(world);
  await endProgram(world.guard, world.random.pick(["SIGTERM", "SIGINT"] as const));
  checkRestored(world);
  await startGuard(world, settings);
  return world.guard.words.join(" ");
}

async function endWatch(world: World): Promise<string> {
  await endProgram(world.watch, "SIGTERM");
  await startWatch(world);
  return "";
}

/** A journal that no guard has written must not end a guard. */
async function spoil(world: World): Promise<string> {
  const settings = drawSettings(world);
  const text = world.random.pick(["", "{", "[1,null]", '[{"dir":"/"}]', "\0\0"]);
  const path = `${world.stateDirectory}/guard-1-${++world.made}.json`;
  Deno.writeTextFileSync(path, text);
  await endProgram(world.guard, "SIGTERM");
  await startGuard(world, settings);
  removeIfThere(path);
  return JSON.stringify(text);
}
