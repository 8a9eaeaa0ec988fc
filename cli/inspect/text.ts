/** The text of `inspect`: one cgroup, a tree of cgroups, or the whole machine. */

import type { Ancestry } from "../../core/cgroup/ancestry.ts";
import {
  COUNTERS,
  type Field,
  FLAGS,
  LIMITS,
  SIZES,
  STATS,
  type Values,
} from "../../core/cgroup/fields.ts";
import { identify } from "../../core/cgroup/identity.ts";
import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import type { OomForecast } from "../../core/cgroup/oom_forecast.ts";
import type { CgroupTree } from "../../core/cgroup/subtree.ts";
import { shortened } from "../../core/errors.ts";
import { shareOf } from "../../core/policy/check.ts";
import { type Headroom, reclaimable, workingSet } from "../../core/policy/limits.ts";
import type { Counters, Pressure, PressureLine, Snapshot } from "../../core/snapshot.ts";
import { formatBytes, formatDuration, formatPercent } from "../options/units.ts";
import { printable } from "../output/output.ts";
import { type Column, cutMiddle, tabulate } from "../terminal/layout.ts";
import { fullness, usageBar } from "../terminal/bars.ts";
import { flow, itemLines, type TextLayout, textLines, wrap } from "../terminal/layout.ts";

const left = (title: string): Column => ({ title, align: "left" });
const right = (title: string): Column => ({ title, align: "right" });

/** A table with dim titles. */
function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { style, width }: TextLayout,
  shorten?: (text: string, width: number) => string,
): string[] {
  const [titles, ...lines] = tabulate(columns, rows, width, shorten);
  return [style("dim", titles!), ...lines];
}

/** The whole machine: its memory, the most likely victim, and the cgroups by usage. */
export function nodeLines(
  found: Inspection,
  tree: CgroupTree,
  machine: Machine,
  layout: TextLayout,
  treeLayout: TreeLayout = {},
): string[] {
  const { hierarchy } = found.cgroup;
  const { memory, kernel, hostname, pressure, oomKill } = machine;
  const { style, width } = layout;
  const where = `memory in cgroup v${hierarchy.version.number} at ${printable(hierarchy.mount)}`;
  const rows = (name: string, items: readonly string[]) => itemLines(name, items, layout);
  return [
    style("bold", printable(hostname ?? "this machine")),
    style("dim", flow([`Linux ${printable(kernel ?? "")}`, where], width).join("\n")),
    "",
    ...machineBar(machine, layout),
    ...rows("memory", [
      `available ${formatBytes(memory.available)}`,
      `total ${formatBytes(memory.total)}`,
    ]),
    ...rows("swap", [
      `free ${formatBytes(memory.swapFree)}`,
      `total ${formatBytes(memory.swapTotal)}`,
    ]),
    ...rows("pressure", pressureItems(pressure)),
    ...rows("OOM kills", [
      oomKill === undefined ? "not counted by this kernel" : `${oomKill} since boot (all causes)`,
    ]),
    ...processLines(found, layout),
    ...forecastLines(found, layout),
    "",
    ...treeLines(tree, layout, treeLayout),
  ];
}

/** One cgroup: its limit, its headroom, its memory, and the most likely victim. */
export const inspectionLines = (found: Inspection, machine: Machine, layout: TextLayout) => [
  ...headingLines(found, layout),
  ...memoryLines(found, machine, layout),
  ...victimLines(found, layout),
];

export const headingLines = (found: Inspection, { style, width }: TextLayout): string[] => [
  style("bold", printable(found.cgroup.path)),
  ...flow(identityItems(found), width).map((line) => style("dim", line)),
];

/** The processes and which of them the kernel would kill. */
export const victimLines = (found: Inspection, layout: TextLayout): string[] => [
  ...processLines(found, layout),
  ...forecastLines(found, layout),
];

export function memoryLines(found: Inspection, machine: Machine, layout: TextLayout): string[] {
  const { snapshot } = found;
  const rows = (name: string, items: readonly string[]) => itemLines(name, items, layout);
  return [
    "",
    ...limitLines(found, machine, layout),
    "",
    ...rows("usage", [
      formatBytes(snapshot.usage),
      `working set ${formatBytes(workingSet(snapshot))}`,
      `reclaimable ${reclaimableText(snapshot)}`,
      ...itemsOf(SIZES, snapshot, formatBytes, { unknown: "–" }),
    ]),
    ...rows("memory", itemsOf(STATS, snapshot.stats, formatBytes)),
    ...rows("limits", [...itemsOf(LIMITS, snapshot.limits, formatBytes), ...flagItems(snapshot)]),
    ...rows("events", counterItems(snapshot.local)),
    ...rows("in subtree", subtreeItems(snapshot)),
    ...rows("pressure", pressureOrMachines(found, machine)),
    ...found.limitations.flatMap((line) => textLines("hidden", printable(line), layout)),
  ];
}

/** Active page cache is in the working set, so the two figures overlap. */
function reclaimableText(snapshot: Snapshot): string {
  const bytes = reclaimable(snapshot);
  const { activeFile } = snapshot.stats;
  const note = snapshot.usage !== undefined && bytes !== undefined && bytes > snapshot.usage
    ? " (read after usage)"
    : activeFile
    ? ` (${formatBytes(activeFile)} of it in the working set)`
    : "";
  return formatBytes(bytes) + note;
}

function identityItems({ cgroup: { path, hierarchy } }: Inspection): string[] {
  const { containerId, runtime, podUid, qos, unit } = identify(path);
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

/** The labelled fields of a table. Leaves out unknown ones, which vary with version and kernel, unless `unknown` is given. */
function itemsOf<Table extends Readonly<Record<string, Field>>, Value>(
  table: Table,
  values: Values<Table, Value>,
  format: (value: Value) => string,
  { unknown }: { readonly unknown?: string } = {},
): string[] {
  return Object.entries(table).flatMap(([name, { label }]) => {
    const value = values[name];
    const text = value === undefined ? unknown : format(value);
    return label === undefined || text === undefined ? [] : [`${label} ${text}`];
  });
}

const flagItems = (snapshot: Snapshot): string[] =>
  Object.entries(FLAGS).flatMap(([name, { label }]) =>
    snapshot[name as keyof typeof FLAGS] ? [label] : []
  );

const counterItems = (counters: Counters) => itemsOf(COUNTERS, counters, String);

/** Empty if nothing was counted below the cgroup: the subtree's counters include its own. */
function subtreeItems({ local, subtree }: Snapshot): string[] {
  const items = counterItems(subtree);
  return items.join() === counterItems(local).join() ? [] : items;
}

/** The machine's pressure, if the cgroup has none of its own. */
function pressureOrMachines({ cgroup, snapshot }: Inspection, machine: Machine): string[] {
  if (snapshot.pressure || !cgroup.hierarchy.kernel) return pressureItems(snapshot.pressure);
  return pressureItems(machine.pressure).map((item) => `machine ${item}`);
}

function pressureItems(pressure: Pressure | undefined): string[] {
  return (["some", "full"] as const).flatMap((kind) => {
    const line = pressure?.[kind];
    return line === undefined ? [] : [`${kind} ${stallText(line)}`];
  });
}

function stallText({ avg10, avg60, avg300, total }: PressureLine): string {
  const averages = [avg10, avg60, avg300].map((percent) => percent.toFixed(2)).join(" ");
  return `${averages} % (10, 60, 300 s), ${formatDuration(Number(total) / 1000)} in total`;
}

const HIDDEN_ANCESTOR = "an ancestor that is not visible from here";

function limitLines(found: Inspection, machine: Machine, layout: TextLayout): string[] {
  const { cgroup: { path }, ancestry } = found;
  const { high } = ancestry;
  const next = nextLimitText(ancestry);
  return [
    ...limitBar(found, layout),
    ...textLines("limit", limitText(ancestry, machine), layout),
    ...(high === undefined ? [] : textLines(
      "high",
      `allocators are throttled above ${formatBytes(high.bytes)} ` +
        `(memory.high of ${printable(high.owner)})`,
      layout,
    )),
    ...textLines("headroom", headroomText(found), layout),
    ...(next === undefined ? [] : textLines("hit first", next, layout)),
    ...ancestryLines(path, ancestry, layout),
  ];
}

const machineBar = ({ memory: { total, available } }: Machine, layout: TextLayout): string[] =>
  total && available !== undefined ? barLine(total - available, 0, total, "", layout) : [];

/** Of what is hit next: the cgroup's own part, then that of others. */
function limitBar({ cgroup, snapshot, ancestry }: Inspection, layout: TextLayout): string[] {
  const { headroom, chain } = ancestry;
  if (headroom === undefined) return [];
  const { scope, limit, bytes, owner } = headroom;
  const used = scope === "cgroup" ? chain.find(({ path }) => path === owner)?.usage : limit - bytes;
  if (used === undefined) return [];
  const own = Math.min(used, snapshot.usage ?? 0);
  const ofOwner = scope === "system"
    ? " of the machine"
    : owner === cgroup.path
    ? ""
    : ` of ${owner === undefined ? "a hidden ancestor" : printable(shortened(owner))}`;
  return barLine(own, used - own, limit, ofOwner, layout);
}

/** @param ofOwner begins with a blank, empty for the cgroup's own limit. */
function barLine(
  own: number,
  others: number,
  limit: number,
  ofOwner: string,
  layout: TextLayout,
): string[] {
  const percent = shareOf(own + others, limit, 100)!;
  const words = ` ${formatPercent(percent)} of ${formatBytes(limit)}${ofOwner}`;
  const drawn = usageBar(
    { usage: own + others, workingSet: own, limit, marks: [] },
    Math.max(10, layout.width - words.length),
    { unicode: true },
    (_, text) => text,
  );
  return [layout.style(fullness(percent), drawn) + words];
}

function limitText(ancestry: Ancestry, { memory }: Machine): string {
  const { cgroupLimit: limit, certain, chain, unreadable: [unread] } = ancestry;
  const doubt = unread === undefined
    ? `${HIDDEN_ANCESTOR} may have a tighter limit`
    : `the limit of ${printable(unread)} cannot be read`;
  const machineSize = memory.total === undefined
    ? "is unknown"
    : `has ${formatBytes(memory.total)}`;
  const isWide = ancestry.limit.scope === "system";
  const more = isWide ? `, more than the machine has: ${formatBytes(memory.total)}` : "";
  if (limit.bytes === Infinity) {
    return certain
      ? `no limit on this cgroup or any parent; the machine ${machineSize}`
      : `no visible limit; ${doubt}`;
  }
  const size = formatBytes(limit.bytes);
  if (limit.owner === undefined) return `${size}, set by ${HIDDEN_ANCESTOR}${more}`;
  const levels = chain.findIndex(({ path }) => path === limit.owner);
  const owner = levels === 0
    ? "its own"
    : `set by ${printable(limit.owner)}, ${levels === 1 ? "its parent" : `${levels} levels up`}`;
  return `${size}, ${owner}${more}${certain ? "" : `; ${doubt}`}`;
}

function headroomText(
  { ancestry: { headroom, workingSetHeadroom }, snapshot, swapLeft }: Inspection,
): string {
  if (headroom === undefined) return "unknown";
  const amount = ({ bytes, percent }: Headroom) =>
    `${formatBytes(bytes)} (${formatPercent(percent)})`;
  if (headroom.scope === "system") return `${amount(headroom)} available on the machine`;
  const atMost = headroom.scope === "hidden_ancestor" ? "at most " : "";
  const isKnown = workingSet(snapshot) !== undefined;
  const more = workingSetHeadroom && isKnown
    ? `; ${amount(workingSetHeadroom)} by working set`
    : "";
  const swap = swapLeft ? `; then ${formatBytes(swapLeft)} of swap` : "";
  return `${atMost}${amount(headroom)}${more}${swap}`;
}

/** The tightest limit is not always hit first: siblings share a parent's. */
function nextLimitText({ headroom, cgroupLimit: limit }: Ancestry): string | undefined {
  if (headroom === undefined || limit.bytes === Infinity) return undefined;
  if (headroom.scope === "system") {
    return `the machine's memory: ${formatBytes(headroom.bytes)} of ` +
      `${formatBytes(headroom.limit)} is left`;
  }
  if (headroom.owner === limit.owner) return undefined;
  const owner = headroom.owner === undefined ? HIDDEN_ANCESTOR : printable(headroom.owner);
  return `the ${formatBytes(headroom.limit)} of ${owner}: higher, but shared with other cgroups`;
}

/** All limits in the ancestry and how full each is; nothing if only the cgroup itself has one. */
function ancestryLines(path: string, { chain, headroom }: Ancestry, layout: TextLayout): string[] {
  const limited = chain.filter(({ limit }) => limit !== undefined && limit !== Infinity);
  if (limited.every((each) => each.path === path)) return [];
  const columns = [left(""), right("LIMIT"), right("USAGE"), right("HEADROOM"), left("CGROUP")];
  const rows = limited.map(({ path, limit, usage }) => [
    path === headroom?.owner ? "▸" : "",
    formatBytes(limit),
    formatBytes(usage),
    usage === undefined ? "–" : formatBytes(Math.max(0, limit! - usage)),
    printable(path),
  ]);
  return ["", ...tableLines(columns, rows, layout)];
}

/** After an empty line; nothing if there are no processes. */
function processLines({ members, forecast }: Inspection, layout: TextLayout): string[] {
  if (members === undefined || members.processes.length === 0) return [];
  const { processes, total } = members;
  const isNested = processes.some(({ nsPids }) => nsPids.length > 1);
  const victim = forecast?.victim?.process.pid;
  type Cell = (each: typeof processes[number]) => string;
  const table: [Column, Cell][] = [
    [left(""), ({ pid }) => pid === victim ? "▸" : ""],
    [right("PID"), ({ pid }) => String(pid)],
    [right("NSPID"), ({ nsPids }) => nsPids.slice(1).join("/") || "–"],
    [right("RSS"), ({ rss }) => formatBytes(rss)],
    [right("SCORE"), ({ oomScore }) => oomScore?.toString() ?? "–"],
    [right("ADJ"), ({ oomScoreAdj }) => oomScoreAdj?.toString() ?? "–"],
    [
      right("BADNESS"),
      ({ badness }) => badness === undefined ? "unkillable" : formatBytes(badness),
    ],
    [left("COMMAND"), ({ cmdline, comm }) => printable(cmdline.join(" ") || `[${comm}]`)],
  ];
  const shown = table.filter(([{ title }]) => isNested || title !== "NSPID");
  const rows = processes.map((process) => shown.map(([, cell]) => cell(process)));
  const { style, width } = layout;
  const [titles, ...lines] = tableLines(shown.map(([column]) => column), rows, layout);
  const more = total === undefined
    ? ["only the machine's most likely victims; --processes all shows every process"]
    : total > processes.length
    ? [`and ${total - processes.length} more; --processes all shows them`]
    : [];
  return [
    "",
    titles!,
    ...lines.map((line, at) => processes[at]!.pid === victim ? style("red", line) : line),
    ...[...more, ...wrap(LEGEND, width - 2)].map((line) => style("dim", `  ${line}`)),
  ];
}

const LEGEND = "▸ victim; SCORE: oom_score; ADJ: oom_score_adj; BADNESS: size shifted by ADJ";

/** After an empty line. */
function forecastLines(found: Inspection, { style, width }: TextLayout): string[] {
  if (found.forecast === undefined) return [];
  const sentence = forecastSentence(found.forecast, found);
  return ["", ...wrap(sentence, width).map((line) => style("bold", line))];
}

function forecastSentence(
  forecast: OomForecast,
  { cgroup: { path }, ancestry, swapLeft }: Inspection,
): string {
  // Until then the kernel swaps at a limit, and kills nothing.
  const isSwapFirst = forecast.scope !== "system" && Boolean(swapLeft);
  const when = occasion(forecast, path, ancestry) + (isSwapFirst ? " and swap is full" : "");
  if (forecast.oomKillerDisabled) {
    return `${when}, nothing is killed: the OOM killer is disabled there, so allocators wait.`;
  }
  if (forecast.victim === undefined) return `${when}, ${noVictim(forecast)}.`;
  const { pid, comm, cgroup } = forecast.victim.process;
  const place = cgroup === "/" ? "the root cgroup" : printable(cgroup);
  const where = cgroup === path ? "" : `, in ${place}`;
  const { group, isVictimCertain } = forecast;
  const alongWith = group && group.processes > 1
    ? `, and with it all ${group.processes} processes of ${printable(group.path)} ` +
      "(memory.oom.group)"
    : "";
  const orHidden = isVictimCertain ? "" : ", or another process: not all is visible from here";
  return `${when}, the kernel would kill pid ${pid} (${
    printable(comm)
  })${where}${alongWith}${orHidden}.`;
}

function occasion(
  { scope, owner }: OomForecast,
  path: string,
  { certain, cgroupLimit: limit }: Ancestry,
): string {
  if (scope === "cgroup") {
    return owner === path ? "If its limit is hit" : `If the limit of ${printable(owner!)} is hit`;
  }
  if (scope === "hidden_ancestor") return "If the limit of a hidden ancestor is hit";
  if (!certain) return "If a hidden ancestor's limit is hit or the machine runs out of memory";
  return limit.bytes === Infinity
    ? "No limit applies: if the machine runs out of memory"
    : "If the machine runs out of memory, which is before a limit is hit";
}

function noVictim({ scope, processList, isVictimCertain }: OomForecast): string {
  if (scope === "system") {
    return "the victim is unknown: the machine's processes are not visible from here";
  }
  if (!isVictimCertain) return "the victim is unknown: not all processes are visible from here";
  return processList?.processes.length === 0
    ? "nothing is killed: there is no process"
    : "nothing is killed: every process there is unkillable";
}

interface TreeColumn {
  readonly title: string;
  readonly isWide?: true;
  cell(snapshot: Snapshot): string;
}

const TREE_COLUMNS: readonly TreeColumn[] = [
  { title: "USAGE", cell: ({ usage }) => formatBytes(usage) },
  { title: "WORKING SET", cell: (snapshot) => formatBytes(workingSet(snapshot)) },
  { title: "PEAK", isWide: true, cell: ({ peak }) => formatBytes(peak) },
  { title: "SWAP", isWide: true, cell: ({ stats }) => formatBytes(stats.swap) },
  { title: "HIGH", isWide: true, cell: ({ limits: { high } }) => limitCell(high) },
  { title: "LIMIT", cell: ({ limits: { max } }) => limitCell(max) },
  { title: "USED", cell: ({ usage, limits }) => formatPercent(shareOf(usage, limits.max, 100)) },
  {
    title: "PRESSURE",
    isWide: true,
    cell: ({ pressure }) => pressure?.some === undefined ? "–" : `${pressure.some.avg10}%`,
  },
  { title: "KILLS", cell: ({ local, subtree }) => String(subtree.oomKill ?? local.oomKill ?? "–") },
];

const limitCell = (bytes: number | undefined) => bytes === Infinity ? "–" : formatBytes(bytes);

interface TreeLayout {
  /** The cgroups as a list, with whole paths; as a tree without it. */
  readonly sorted?: readonly CgroupTree[] | undefined;
  readonly hasTitles?: boolean;
  /** All columns. */
  readonly isWide?: boolean;
  /** Names of any length, for other programs. */
  readonly hasWholeNames?: boolean;
}

/** A subtree as a table: the memory of each cgroup. */
export function treeLines(
  tree: CgroupTree,
  layout: TextLayout,
  { sorted, hasTitles = true, isWide = false, hasWholeNames = isWide }: TreeLayout = {},
): string[] {
  const columns = TREE_COLUMNS.filter((column) => isWide || !column.isWide);
  const cells = (each: CgroupTree, name: string) => [
    ...columns.map(({ cell }) => cell(each.snapshot)),
    name,
  ];
  const rows = sorted
    ? sorted.map((each) => cells(each, printable(each.cgroup.path)))
    : [...treeRows(tree, cells)];
  const lines = tableLines(
    [...columns.map(({ title }) => right(title)), left("CGROUP")],
    rows,
    layout,
    hasWholeNames ? (cell) => cell : sorted ? cutPath : shortenName,
  );
  return hasTitles ? lines : lines.slice(1);
}

const cutPath = (path: string, width: number) => cutMiddle(path, Math.max(12, width));

/** Keeps the indentation, which shows the level. */
function shortenName(cell: string, width: number): string {
  const name = cell.trimStart();
  const indent = cell.length - name.length;
  return " ".repeat(indent) + cutMiddle(name, Math.max(12, width - indent));
}

function* treeRows(
  tree: CgroupTree,
  cells: (each: CgroupTree, name: string) => string[],
): Generator<string[]> {
  const { cgroup, depth, children, leftOut } = tree;
  const indent = "  ".repeat(depth);
  const row = cells(tree, indent + printable(nameOf(cgroup.path, depth)));
  yield row;
  for (const child of children) yield* treeRows(child, cells);
  if (leftOut > 0) yield [...row.slice(1).map(() => ""), `${indent}  … and ${leftOut} smaller`];
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
