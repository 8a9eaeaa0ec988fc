/** The whole machine: what it has, what is left, who would die, and where the memory is. */

import type { Ancestry } from "../../core/cgroup/ancestry.ts";
import { identify } from "../../core/cgroup/identity.ts";
import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import type { OomForecast } from "../../core/cgroup/oom_forecast.ts";
import type { CgroupTree } from "../../core/cgroup/subtree.ts";
import {
  type AncestorLimit,
  type Headroom,
  type HighLimit,
  reclaimable,
  workingSet,
} from "../../core/policy/limits.ts";
import type {
  Counters,
  Limits,
  MemoryStats,
  Pressure,
  PressureLine,
  Snapshot,
} from "../../core/snapshot.ts";
import { formatBytes, formatDuration, formatPercent } from "../options/units.ts";
import { printable } from "../output/output.ts";
import { flow, itemLines, type TextLayout, textLines, wrap } from "../terminal/wrap.ts";
import { tabulate } from "../terminal/table.ts";
import { fullness, type Usage, usageBar } from "../terminal/usage_bar.ts";
import { treeLines } from "./tree.ts";

export function nodeLines(
  found: Inspection,
  tree: CgroupTree,
  machine: Machine,
  look: TextLayout,
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
  { style, width }: TextLayout,
): string[] {
  if (!total || available === undefined) return [];
  const percent = 100 * (total - available) / total;
  const words = ` ${formatPercent(percent)} of ${formatBytes(total)}`;
  const drawn = plainBar({ usage: total - available, limit: total }, width - words.length);
  return [style(fullness(percent), drawn) + words];
}

const plainBar = (usage: Omit<Usage, "marks">, width: number) =>
  usageBar({ ...usage, marks: [] }, Math.max(10, width), { unicode: true }, (_, text) => text);

/* The limit that counts: how full it is, whose it is, and what is left. */

const HIDDEN = "an ancestor that cannot be seen from here";

export function limitLines(found: Inspection, machine: Machine, look: TextLayout): string[] {
  const { cgroup: { path }, ancestry } = found;
  const next = hitNext(ancestry);
  return [
    ...barLine(found, machine, look),
    ...textLines("limit", whose(ancestry, machine), look),
    ...(ancestry.high === undefined ? [] : textLines("high", slowed(ancestry.high), look)),
    ...textLines("left", left(ancestry, machine), look),
    ...(next === undefined ? [] : textLines("hit first", next, look)),
    ...ancestryLines(path, ancestry, look),
  ];
}

/** The limit that is hit next: this cgroup's part of it, then everybody else's, then what is free. */
function barLine(
  { cgroup, snapshot, ancestry }: Inspection,
  machine: Machine,
  look: TextLayout,
): string[] {
  const { headroom } = ancestry;
  const { total, available } = machine.memory;
  const whole = headroom?.limit ?? (cgroup.hierarchy.kernel ? total : undefined);
  const used = headroom
    ? linkOf(ancestry, headroom.owner)?.usage ?? snapshot.usage
    : total !== undefined && available !== undefined
    ? total - available
    : undefined;
  if (whole === undefined || whole === 0 || used === undefined) return [];
  const own = Math.min(used, snapshot.usage ?? 0);
  const percent = 100 * used / whole;
  const words = ` ${formatPercent(percent)} of ${formatBytes(whole)}`;
  const drawn = plainBar(
    { usage: used, workingSet: own, limit: whole },
    look.width - words.length,
  );
  return [look.style(fullness(percent), drawn) + words];
}

function whose(ancestry: Ancestry, machine: Machine): string {
  const { limit, certain, chain, unreadable } = ancestry;
  const [unread] = unreadable;
  const unsure = unread === undefined
    ? "an ancestor that cannot be seen may be tighter"
    : `the limit of ${printable(unread)} cannot be read`;
  if (limit.bytes === Infinity) {
    const total = machine.memory.total;
    return certain
      ? `none, neither here nor above; the machine has ${formatBytes(total)}`
      : `none that can be seen; ${unsure}`;
  }
  const size = formatBytes(limit.bytes);
  if (limit.owner === undefined) return `${size}, set by ${HIDDEN}`;
  const up = chain.findIndex((link) => link.path === limit.owner);
  const who = up === 0
    ? "its own"
    : `set by ${printable(limit.owner)}, ${up === 1 ? "its parent" : `${up} levels up`}`;
  return `${size}, ${who}${certain ? "" : `; ${unsure}`}`;
}

/** Seldom looked for where something is slow, and no limit that kills tells of it. */
const slowed = ({ bytes, owner }: HighLimit) =>
  `slowed down from ${formatBytes(bytes)} on (memory.high of ${printable(owner)})`;

function left({ headroom, workingSetHeadroom, limit }: Ancestry, { memory }: Machine): string {
  if (headroom === undefined) {
    return limit.bytes === Infinity
      ? `${formatBytes(memory.available)}, which is what the machine has`
      : "not known";
  }
  const amount = (room: Headroom) => `${formatBytes(room.bytes)} (${formatPercent(room.percent)})`;
  const most = headroom.owner === undefined ? "at most " : "";
  const more = workingSetHeadroom ? `; ${amount(workingSetHeadroom)} beyond the working set` : "";
  return `${most}${amount(headroom)}${more}`;
}

/** The tightest limit is not always the one that is hit: siblings use up a parent's. */
function hitNext({ headroom, limit }: Ancestry): string | undefined {
  if (headroom === undefined || headroom.owner === limit.owner) return undefined;
  const owner = headroom.owner === undefined ? HIDDEN : printable(headroom.owner);
  return `the ${formatBytes(headroom.limit)} of ${owner}: wider, but shared with others`;
}

/** Where more than one limit counts, all of them, so that one sees which is how full. */
function ancestryLines(path: string, { chain, headroom }: Ancestry, look: TextLayout): string[] {
  const limited = chain.filter(({ limit }) => limit !== undefined && limit !== Infinity);
  if (limited.length === 0 || limited.every((link) => link.path === path)) return [];
  const rows = limited.map((link) => [
    link.path === headroom?.owner ? "▸" : "",
    formatBytes(link.limit),
    formatBytes(link.usage),
    link.usage === undefined ? "–" : formatBytes(Math.max(0, link.limit! - link.usage)),
    printable(link.path),
  ]);
  const columns = [
    { title: "", align: "left" },
    { title: "LIMIT", align: "right" },
    { title: "USAGE", align: "right" },
    { title: "LEFT", align: "right" },
    { title: "OF", align: "left" },
  ] as const;
  const [titles, ...lines] = tabulate(columns, rows, look.width);
  return ["", look.style("dim", titles!), ...lines];
}

const linkOf = ({ chain }: Ancestry, path: string | undefined): AncestorLimit | undefined =>
  chain.find((link) => link.path === path);

/* The processes of a cgroup, the likeliest victim first. */

/** After an empty line; nothing at all when there are none. */
export function processLines(
  { members, forecast }: Inspection,
  { style, width }: TextLayout,
): string[] {
  if (members === undefined || members.processes.length === 0) return [];
  const { processes, total } = members;
  // A pid inside a container is worth a column only where there is one.
  const nested = processes.some(({ nsPids }) => nsPids.length > 1);
  const columns = [
    { title: "", align: "left" },
    { title: "PID", align: "right" },
    ...(nested ? [{ title: "INSIDE", align: "right" } as const] : []),
    { title: "RSS", align: "right" },
    { title: "SCORE", align: "right" },
    { title: "ADJ", align: "right" },
    { title: "BADNESS", align: "right" },
    { title: "COMMAND", align: "left" },
  ] as const;
  const victim = forecast?.victim?.process.pid;
  const rows = processes.map((process) => [
    process.pid === victim ? "▸" : "",
    String(process.pid),
    ...(nested ? [String(process.nsPids.slice(1).join("/") || "–")] : []),
    formatBytes(process.rss),
    process.oomScore?.toString() ?? "–",
    process.oomScoreAdj?.toString() ?? "–",
    process.badness === undefined ? "spared" : formatBytes(process.badness),
    printable(process.cmdline.join(" ") || `[${process.comm}]`),
  ]);
  const [titles, ...lines] = tabulate(columns, rows, width);
  const more = total === undefined
    ? ["only the likeliest victims of the machine; --processes all shows everyone"]
    : total > processes.length
    ? [`and ${total - processes.length} more; --processes all shows them`]
    : [];
  return [
    "",
    style("dim", titles!),
    ...lines.map((line, at) => processes[at]!.pid === victim ? style("red", line) : line),
    ...more.map((line) => style("dim", `  ${line}`)),
  ];
}

/* The sentence that says who would die. */

export function fateSentence(
  forecast: OomForecast,
  { cgroup, ancestry }: Pick<Inspection, "cgroup" | "ancestry">,
): string {
  const when = occasion(forecast, cgroup.path, ancestry.certain);
  if (forecast.oomKillerDisabled) {
    return `${when}, nobody is killed: the kernel's killer is switched off there, and whoever needs memory waits.`;
  }
  if (forecast.victim === undefined) return nobody(forecast, when);
  const { process } = forecast.victim;
  const where = process.cgroup === cgroup.path
    ? ""
    : process.cgroup === "/"
    ? ", in the root cgroup"
    : `, in ${printable(process.cgroup)}`;
  const hedge = forecast.scope === "hidden" || (forecast.processList?.hiddenProcesses ?? 0) > 0
    ? ", or somebody who cannot be seen from here"
    : "";
  const along = forecast.group && forecast.group.processes > 1
    ? `, and with it all ${forecast.group.processes} processes of ${
      printable(forecast.group.path)
    } (oom.group)`
    : "";
  return `${when}, the kernel would kill pid ${process.pid} (${
    printable(process.comm)
  })${where}${along}${hedge}.`;
}

function occasion({ scope, owner }: OomForecast, path: string, certain: boolean): string {
  switch (scope) {
    case "cgroup":
      return owner === path ? "If its limit is hit" : `If the limit of ${printable(owner!)} is hit`;
    case "hidden":
      return "If the limit of its hidden ancestor is hit";
    case "machine":
      return certain
        ? "No limit here: if the machine runs out"
        : "If a hidden ancestor or the machine runs out";
  }
}

function nobody({ scope, processList }: OomForecast, when: string): string {
  if (processList && processList.hiddenProcesses > 0) {
    return `${when}, it cannot be told who would die: no process there can be seen from here.`;
  }
  if (scope === "machine") return `${when}, it cannot be told from here who would die.`;
  return processList?.processes.length === 0
    ? `${when}, nobody would die: no process is there.`
    : `${when}, nobody would die: every process there is protected.`;
}

/* One cgroup on one screen: what is the limit, who set it, how much is left, who would die. */

export function inspectionLines(found: Inspection, machine: Machine, look: TextLayout): string[] {
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
