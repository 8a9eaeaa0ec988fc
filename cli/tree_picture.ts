/** `oomkit inspect --tree --html tree.html`: where the node's memory is, as a picture. */

import { identify } from "../core/cgroup/identity.ts";
import { type CgroupTree, flatten } from "../core/cgroup/subtree.ts";
import type { Machine } from "../core/cgroup/machine.ts";
import type { Node } from "../core/picture/page/icicle.js";
import { treePage, treeStill } from "../core/picture/tree.ts";
import { workingSet } from "../core/policy/limits.ts";
import { printable } from "./output.ts";
import type { PictureFiles } from "./picture.ts";

/** @param at milliseconds since the epoch. Throws `OomkitError` when a file cannot be written. */
export async function drawTrees(
  files: PictureFiles,
  trees: readonly CgroupTree[],
  machine: Machine,
  at: number,
): Promise<void> {
  const moment = new Date(at).toISOString().slice(0, 19).replace("T", " ");
  const host = printable(machine.hostname ?? "this machine");
  const picture = {
    about: `oomkit inspect · ${host} · Linux ${printable(machine.kernel)} · ${moment} UTC`,
    nodes: nodesOf(trees),
  };
  files.html?.write(await treePage(picture));
  files.svg?.write(treeStill(picture));
}

/** Several trees get one above them that is as large as they are together. */
export function nodesOf(trees: readonly CgroupTree[]): Node[] {
  const [only] = trees;
  if (trees.length === 1) {
    const nodes = [...flatten(only!)].map((branch) => nodeOf(branch, 0));
    return [withUsage(nodes[0]!, nodes), ...nodes.slice(1)];
  }
  const usage = trees.reduce((sum, { snapshot }) => sum + (snapshot.usage ?? 0), 0);
  const name = `${trees.length} cgroups`;
  const above = { working: null, limit: null, kills: null, leftOut: 0 };
  return [
    { name, path: name, depth: 0, usage, ...above },
    ...trees.flatMap((tree) => [...flatten(tree)].map((branch) => nodeOf(branch, 1))),
  ];
}

/** The root of v2 counts nothing itself: it is as large as what is right beneath it. */
function withUsage(root: Node, nodes: readonly Node[]): Node {
  const known = nodes.filter(({ depth, usage }) => depth === 1 && usage !== null);
  if (root.usage !== null || known.length === 0) return root;
  return { ...root, usage: known.reduce((sum, { usage }) => sum + usage!, 0) };
}

function nodeOf({ cgroup, depth, snapshot, leftOut }: CgroupTree, deeper: number): Node {
  const { max } = snapshot.limits;
  const kills = snapshot.subtree.oomKill ?? snapshot.local.oomKill;
  return {
    name: nameOf(cgroup.path, depth),
    path: printable(cgroup.path),
    depth: depth + deeper,
    usage: snapshot.usage ?? null,
    working: workingSet(snapshot) ?? null,
    limit: max === undefined || max === Infinity ? null : max,
    kills: kills === undefined ? null : Number(kills),
    leftOut,
  };
}

/** A container is known by the first twelve digits of its id. */
function nameOf(path: string, depth: number): string {
  const name = depth === 0 ? path : path.slice(path.lastIndexOf("/") + 1);
  const { containerId } = identify(path);
  return printable(
    containerId && /^[0-9a-f]{64}$/.test(containerId)
      ? name.replace(containerId, containerId.slice(0, 12))
      : name,
  );
}
