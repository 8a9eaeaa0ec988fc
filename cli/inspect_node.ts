/** The whole machine: what it has, what is left, who would die, and where the memory is. */

import type { Inspection } from "../core/cgroup/inspection.ts";
import type { Machine } from "../core/cgroup/machine.ts";
import type { CgroupTree } from "../core/cgroup/subtree.ts";
import { fateSentence } from "./inspect_fate.ts";
import { processLines } from "./inspect_processes.ts";
import { pressureItems } from "./inspect_text.ts";
import { treeLines } from "./inspect_tree.ts";
import { fullness, itemLines, type UsageSample } from "./look.ts";
import { printable } from "./output.ts";
import { bar, flow, wrap } from "./table.ts";
import { formatBytes, formatPercent } from "./units.ts";

export function nodeLines(
  found: Inspection,
  tree: CgroupTree,
  machine: Machine,
  look: UsageSample,
): string[] {
  const { hierarchy } = found.cgroup;
  const { memory, kernel, hostname, pressure, oomKill } = machine;
  const { style, width } = look;
  const where = `memory in cgroup v${hierarchy.version.number} at ${printable(hierarchy.mount)}`;
  const rows = (name: string, items: readonly string[]) => itemLines(name, items, look);
  return [
    style("bold", printable(hostname ?? "this machine")),
    style("dim", flow([`Linux ${printable(kernel)}`, where], width).join("\n")),
    "",
    ...memoryBar(machine, look),
    ...rows("memory", [
      `available ${formatBytes(memory.available)}`,
      `total ${formatBytes(memory.total)}`,
    ]),
    ...rows("swap", [
      `free ${formatBytes(memory.swapFree)}`,
      `total ${formatBytes(memory.swapTotal)}`,
    ]),
    ...rows("pressure", pressureItems(pressure)),
    ...rows("killed", [
      oomKill === undefined ? "not counted" : `${oomKill} since boot, by whichever limit`,
    ]),
    ...processLines(found, look),
    ...(found.forecast
      ? ["", ...wrap(fateSentence(found.forecast, found), width).map((line) => style("bold", line))]
      : []),
    "",
    ...treeLines(tree, look),
  ];
}

function memoryBar(
  { memory: { total, available } }: Machine,
  { style, width }: UsageSample,
): string[] {
  if (!total || available === undefined) return [];
  const percent = 100 * (total - available) / total;
  const words = ` ${formatPercent(percent)} of ${formatBytes(total)}`;
  const drawn = bar([[percent / 100, "█"]], Math.max(10, width - words.length));
  return [style(fullness(percent), drawn) + words];
}
