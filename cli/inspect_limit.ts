/** The limit that counts: how full it is, whose it is, and what is left. */

import type { Ancestry } from "../core/cgroup/ancestry.ts";
import type { Inspection } from "../core/cgroup/inspection.ts";
import type { Machine } from "../core/cgroup/machine.ts";
import type { AncestorLimit, Headroom, HighLimit } from "../core/policy/limits.ts";
import { fullness, textLines, type UsageSample } from "./look.ts";
import { printable } from "./output.ts";
import { bar, tabulate } from "./table.ts";
import { formatBytes, formatPercent } from "./units.ts";

const HIDDEN = "an ancestor that cannot be seen from here";

export function limitLines(found: Inspection, machine: Machine, look: UsageSample): string[] {
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
  look: UsageSample,
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
  const drawn = bar(
    [[own / whole, "█"], [(used - own) / whole, "▒"]],
    Math.max(10, look.width - words.length),
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
function ancestryLines(path: string, { chain, headroom }: Ancestry, look: UsageSample): string[] {
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
