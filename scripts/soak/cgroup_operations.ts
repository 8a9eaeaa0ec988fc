/** Operations that create, change and remove cgroups. */

import {
  createGroup,
  drawGroup,
  drawLimit,
  drawName,
  drawShape,
  limitPath,
  MAX_GROUPS,
  MIB,
  type Operation,
  removeGroup,
  setLimit,
  type World,
} from "./world.ts";

const CHURN = 1000;

export const cgroupOperations: readonly Operation[] = [
  { name: "make", weight: 14, run: make },
  { name: "remove", weight: 5, run: remove },
  { name: "replace", weight: 5, run: replace },
  { name: "lower the limit", weight: 6, run: lower },
  { name: "raise the limit", weight: 4, run: raise },
  { name: "take the limit away", weight: 2, run: unlimit },
  { name: "thousand cgroups", weight: 1, run: churn },
];

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
    paths.forEach(tree.make);
    for (const path of paths) {
      if (n % 5 === 0) limitPath(world, path, 32 * MIB);
      tree.removeEmpty(path);
    }
  }
  for (let n = 0; n < CHURN; n++) world.limits.delete(`${world.guarded}/churn-${n}`);
  return `${each} at a time`;
}
