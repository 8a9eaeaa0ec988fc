/** Operations that start, move and end processes. */

import { endAllocator, lives, placeOf } from "./allocators.ts";
import { drawGroup, feedGroup, MIB, type Operation, pidsIn, type World } from "./world.ts";

const RATES = [2, 10, 50, 200, 1000];
const PIECE = 64 * 1024;
/** Keeps within the process limit of the soak, also when some of them fork eight processes at a time. */
const MAX_ALLOCATORS = 100;

export const processOperations: readonly Operation[] = [
  { name: "fill", weight: 14, run: fill },
  { name: "burst", weight: 18, run: burst },
  { name: "burst of several", weight: 6, run: bursts },
  { name: "page cache", weight: 5, run: cache },
  { name: "tmpfs", weight: 2, run: shmem },
  { name: "forks", weight: 3, run: forks },
  { name: "protected", weight: 3, run: shielded },
  { name: "idle", weight: 3, run: idle },
  { name: "move", weight: 5, run: move },
  { name: "end one", weight: 3, run: endOne },
  { name: "burst outside", weight: 2, run: outside },
];

const isCrowded = ({ allocators }: World) => allocators.filter(lives).length >= MAX_ALLOCATORS;

function fill(world: World): string {
  const group = drawGroup(world);
  const rate = world.random.pick(RATES) * MIB;
  const percent = 20 + world.random.below(130);
  if (group?.limit === undefined || isCrowded(world)) return "none";
  feedGroup(world, group, { kind: "fed", rate, most: group.limit * percent / 100 });
  return `${percent} % at ${rate / MIB} MiB/s`;
}

function burst(world: World): string {
  const group = drawGroup(world);
  if (group?.limit === undefined || isCrowded(world)) return "none";
  feedGroup(world, group, { kind: "burst" });
  return "";
}

function bursts(world: World): string {
  const group = drawGroup(world);
  const count = 2 + world.random.below(3);
  if (group?.limit === undefined || isCrowded(world)) return "none";
  for (let n = 0; n < count; n++) feedGroup(world, group, { kind: "burst" });
  return String(count);
}

function cache(world: World): string {
  const group = drawGroup(world);
  const percent = 50 + world.random.below(150);
  if (group?.limit === undefined || isCrowded(world)) return "none";
  const file = `${world.folder}/cache-${++world.made}`;
  const count = Math.round(group.limit * percent / 100 / PIECE);
  const allocator = feedGroup(world, group, { kind: "cache", file, count });
  void allocator.gone.then(() => removeFile(file));
  return `${percent} %`;
}

/** Only the soak can free what an exited process has left in a tmpfs. */
function shmem(world: World): string {
  const group = drawGroup(world);
  const percent = 50 + world.random.below(80);
  if (group?.limit === undefined || isCrowded(world)) return "none";
  const file = `/dev/shm/oomkit-soak-${Deno.pid}-${++world.made}`;
  const count = Math.round(group.limit * percent / 100 / PIECE);
  const allocator = feedGroup(world, group, { kind: "shmem", file, count });
  void allocator.gone.then(() => removeFile(file));
  return `${percent} %`;
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

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was never created.
  }
}
