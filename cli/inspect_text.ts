/** One cgroup on one screen: what is the limit, who set it, how much is left, who would die. */

import { identify } from "../core/cgroup/identity.ts";
import type { Inspection } from "../core/cgroup/inspection.ts";
import type { Machine } from "../core/cgroup/machine.ts";
import { reclaimable, workingSet } from "../core/policy/limits.ts";
import type {
  Counters,
  Limits,
  MemoryStats,
  Pressure,
  PressureLine,
  Snapshot,
} from "../core/snapshot.ts";
import { fateSentence } from "./inspect_fate.ts";
import { processLines } from "./inspect_processes.ts";
import { limitLines } from "./inspect_limit.ts";
import { printable } from "./output.ts";
import { itemLines, textLines, type UsageSample } from "./look.ts";
import { flow, wrap } from "./table.ts";
import { formatBytes, formatDuration } from "./units.ts";

export function inspectionLines(found: Inspection, machine: Machine, look: UsageSample): string[] {
  const { cgroup, snapshot, forecast } = found;
  const { style, width } = look;
  const rows = (name: string, items: readonly string[]) => itemLines(name, items, look);
  return [
    style("bold", printable(cgroup.path)),
    ...flow(identityItems(found), width).map((line) => style("dim", line)),
    "",
    ...limitLines(found, machine, look),
    "",
    ...rows("usage", [
      formatBytes(snapshot.usage),
      `working set ${formatBytes(workingSet(snapshot))}`,
      `reclaimable ${formatBytes(reclaimable(snapshot))}`,
      `peak ${formatBytes(snapshot.peak)}`,
    ]),
    ...rows("memory", memoryItems(snapshot.stats)),
    ...rows("limits", [...limitItems(snapshot.limits), ...stateItems(snapshot)]),
    ...rows("counted", counterItems(snapshot.local)),
    ...rows("in subtree", subtreeItems(snapshot)),
    ...rows("pressure", pressureOf(found, machine)),
    ...found.limitations.flatMap((line) => textLines("unseen", printable(line), look)),
    ...processLines(found, look),
    ...(forecast
      ? ["", ...wrap(fateSentence(forecast, found), width).map((line) => style("bold", line))]
      : []),
  ];
}

function identityItems({ cgroup }: Inspection): string[] {
  const { hierarchy } = cgroup;
  const { containerId, runtime, podUid, qos, unit } = identify(cgroup.path);
  return [
    `cgroup v${hierarchy.version.number}${hierarchy.hybrid ? " (hybrid)" : ""}`,
    ...(hierarchy.kernel ? [] : ["a copied or fake tree"]),
    ...(hierarchy.writable ? [] : ["read-only"]),
    ...(containerId === undefined
      ? []
      : [`container ${printable(containerId.slice(0, 12))}${runtime ? ` (${runtime})` : ""}`]),
    ...(podUid === undefined ? [] : [`pod ${podUid}${qos ? ` (${qos})` : ""}`]),
    ...(unit === undefined ? [] : [printable(unit)]),
  ];
}

/** Only what is known: v1 and v2 and older kernels do not tell the same. */
function known(pairs: readonly (readonly [string, string | undefined])[]): string[] {
  return pairs.filter(([, value]) => value !== undefined).map(([name, value]) =>
    `${name} ${value}`
  );
}

const bytes = (value: number | undefined) => value === undefined ? undefined : formatBytes(value);

const memoryItems = (stats: MemoryStats) =>
  known([
    ["anon", bytes(stats.anon)],
    ["file", bytes(stats.file)],
    ["shmem", bytes(stats.shmem)],
    ["kernel", bytes(stats.kernel)],
    ["slab", bytes(stats.slab)],
    ["stack", bytes(stats.kernelStack)],
    ["page tables", bytes(stats.pageTables)],
    ["sock", bytes(stats.sock)],
    ["swap", bytes(stats.swap)],
  ]);

const limitItems = (limits: Limits) =>
  known([
    ["max", bytes(limits.max)],
    ["high", bytes(limits.high)],
    ["low", bytes(limits.low)],
    ["min", bytes(limits.min)],
    ["soft", bytes(limits.soft)],
    ["swap", bytes(limits.swap)],
    ["memory+swap", bytes(limits.memsw)],
  ]);

/** Only what is out of the ordinary. */
const stateItems = ({ oomGroup, oomKillDisabled, underOom }: Snapshot) => [
  ...(oomGroup ? ["oom.group on: one dies, all die"] : []),
  ...(oomKillDisabled ? ["killer off: at the limit all wait"] : []),
  ...(underOom ? ["under OOM now"] : []),
];

const counterItems = (counters: Counters) =>
  known([
    ["limit hit", counters.max?.toString()],
    ["high", counters.high?.toString()],
    ["oom", counters.oom?.toString()],
    ["oom_kill", counters.oomKill?.toString()],
    ["oom_group_kill", counters.oomGroupKill?.toString()],
  ]);

/** Only where something was counted beneath: the subtree's counters include the cgroup's own. */
function subtreeItems({ local, subtree }: Snapshot): string[] {
  const items = counterItems(subtree);
  return items.join() === counterItems(local).join() ? [] : items;
}

/** Where the cgroup has none of its own, the machine's is better than nothing. */
function pressureOf({ cgroup, snapshot }: Inspection, machine: Machine): string[] {
  if (snapshot.pressure || !cgroup.hierarchy.kernel) return pressureItems(snapshot.pressure);
  return pressureItems(machine.pressure).map((item) => `machine ${item}`);
}

export const pressureItems = (pressure: Pressure | undefined) =>
  known([["some", stall(pressure?.some)], ["full", stall(pressure?.full)]]);

function stall(line: PressureLine | undefined): string | undefined {
  if (line === undefined) return undefined;
  const { avg10, avg60, avg300, total } = line;
  const averages = [avg10, avg60, avg300].map((percent) => percent.toFixed(2)).join(" ");
  return `${averages} % (10, 60, 300 s), ${formatDuration(Number(total) / 1000)} in all`;
}
