/** A subtree as a table: the memory of each cgroup. */

import { identify } from "../../core/cgroup/identity.ts";
import type { CgroupTree } from "../../core/cgroup/subtree.ts";
import { workingSet } from "../../core/policy/limits.ts";
import { cutMiddle, tabulate, type TextLayout } from "../terminal/layout.ts";
import { printable } from "../output/output.ts";
import { formatBytes, formatPercent } from "../options/units.ts";

const COLUMNS = [
  { title: "USAGE", align: "right" },
  { title: "WORKING SET", align: "right" },
  { title: "LIMIT", align: "right" },
  { title: "USED", align: "right" },
  { title: "KILLS", align: "right" },
  { title: "CGROUP", align: "left" },
] as const;

export function treeLines(tree: CgroupTree, { style, width }: TextLayout): string[] {
  const [titles, ...lines] = tabulate(COLUMNS, [...rowsOf(tree)], width, shorten);
  return [style("dim", titles!), ...lines];
}

/** Keeps the indentation, which shows the level. */
function shorten(cell: string, width: number): string {
  const name = cell.trimStart();
  const indent = cell.length - name.length;
  return " ".repeat(indent) + cutMiddle(name, Math.max(12, width - indent));
}

function* rowsOf(tree: CgroupTree): Generator<string[]> {
  const { cgroup, depth, snapshot, children, leftOut } = tree;
  const { usage, limits: { max } } = snapshot;
  const kills = snapshot.subtree.oomKill ?? snapshot.local.oomKill;
  const percent = usage === undefined || !max || max === Infinity ? undefined : 100 * usage / max;
  const indent = "  ".repeat(depth);
  yield [
    formatBytes(usage),
    formatBytes(workingSet(snapshot)),
    max === Infinity ? "–" : formatBytes(max),
    formatPercent(percent),
    kills?.toString() ?? "–",
    indent + printable(nameOf(cgroup.path, depth)),
  ];
  for (const child of children) yield* rowsOf(child);
  if (leftOut > 0) yield ["", "", "", "", "", `${indent}  … and ${leftOut} smaller`];
}

/** A container id is shortened to its first twelve digits. */
function nameOf(path: string, depth: number): string {
  if (depth === 0) return path;
  const name = path.slice(path.lastIndexOf("/") + 1);
  const { containerId } = identify(path);
  return containerId && /^[0-9a-f]{64}$/.test(containerId)
    ? name.replace(containerId, containerId.slice(0, 12))
    : name;
}
