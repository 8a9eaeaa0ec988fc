/** The text of `history`: the kills by what they have in common, the newest ones, and what was not seen. */

import type { History } from "../../core/history/history.ts";
import {
  type Grouping,
  groupKills,
  type KillGroup,
  MACHINE,
  UNNAMED,
} from "../../core/history/kill_groups.ts";
import type { PastKill, ReadLog } from "../../core/history/log_kills.ts";
import { cgroupOf } from "../../core/history/target_kills.ts";
import { formatCount, shortBytes } from "../options/units.ts";
import { printable } from "../output/output.ts";
import { type Column, cutMiddle, tabulate, type TextLayout, wrap } from "../terminal/layout.ts";

export interface Shown {
  readonly history: History;
  /** Those of the targets, oldest first. */
  readonly kills: readonly PastKill[];
  readonly since: number | undefined;
  /** The kernel's counter counts all cgroups. */
  readonly hasTargets: boolean;
  readonly groupings: readonly Grouping[];
  /** How many kills to list. */
  readonly latest: number;
}

const left = (title: string): Column => ({ title, align: "left" });
const right = (title: string): Column => ({ title, align: "right" });

const TITLES: Readonly<Record<Grouping, string>> = {
  owner: "LIMIT OWNER",
  container: "CONTAINER",
  pod: "POD",
  unit: "UNIT",
  comm: "COMM",
};

export function historyLines(shown: Shown, layout: TextLayout): string[] {
  const { history, kills } = shown;
  const { style } = layout;
  const unlogged = history.unloggedKills;
  const more = unlogged === 0 || shown.hasTargets
    ? ""
    : `; ${unlogged} more since boot are in none of the logs read`;
  const head = style(kills.length > 0 ? ["bold", "red"] : "bold", headline(kills, shown.since));
  return [
    head + more,
    ...shown.groupings.flatMap((by) => groupLines(kills, by, layout)),
    ...killLines(kills.slice(Math.max(0, kills.length - shown.latest)), kills.length, layout),
    "",
    ...history.logs.flatMap((log) => behind("read", readText(log), layout)),
    ...history.gaps.flatMap(({ source, message }) => {
      const where = source === undefined || message.startsWith("cannot") ? "" : `${source}: `;
      return behind("not seen", printable(`${where}${message}`), layout);
    }),
  ];
}

/** `7 OOM kills, 2026-11-28 20:15:01 to 2026-11-30 04:07:03 (UTC+00:00)`. */
export function headline(kills: readonly PastKill[], since: number | undefined): string {
  const after = since === undefined ? "" : ` since ${localTime(since)} (${zone(since)})`;
  if (kills.length === 0) return `no OOM kill in the logs that were read${after}`;
  const times = kills.flatMap(({ at }) => at ?? []);
  const [first] = times;
  const last = times.at(-1);
  const count = formatCount(kills.length, "OOM kill");
  if (first === undefined || last === undefined) return count;
  const begin = localTime(first);
  const end = localTime(last);
  return `${count}, ${begin === end ? begin : `${begin} to ${end}`} (${zone(last)})`;
}

/** One line about the newest kill, for a check. */
export function killText(kill: PastKill): string {
  const { victim, at } = kill;
  const time = at === undefined ? "" : ` at ${localTime(at)}`;
  return printable(`pid ${victim.pid} (${victim.comm}) in ${placeOf(kill)}${time}`);
}

const placeOf = (kill: PastKill) =>
  cgroupOf(kill) ?? (kill.owner === undefined ? "an unknown cgroup" : `below ${kill.owner}`);

/** Container ids have twelve digits, as in container runtimes; a path that has room is left whole, to be searched for. */
function shortPath(path: string, { width }: TextLayout): string {
  const whole = printable(path);
  return width === Infinity
    ? whole
    : whole.replace(/[0-9a-f]{64}/g, (id) => id.slice(0, CONTAINER_ID_DIGITS));
}

const CONTAINER_ID_DIGITS = 12;

const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");

/** `2026-11-30 04:07:03`. */
export function localTime(at: number): string {
  const time = new Date(at);
  const date = [pad(time.getFullYear(), 4), pad(time.getMonth() + 1), pad(time.getDate())];
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => pad(part));
  return `${date.join("-")} ${clock.join(":")}`;
}

/** The offset of local times. */
function zone(at: number): string {
  const minutes = -new Date(at).getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  return `UTC${sign}${pad(Math.floor(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
}

const timeText = (at: number | undefined) => at === undefined ? "–" : localTime(at);

function groupLines(kills: readonly PastKill[], by: Grouping, layout: TextLayout): string[] {
  const groups = groupKills(kills, by);
  // Without containers a table of them says nothing.
  const isNone = groups.every(({ key }) => key === undefined);
  if (groups.length === 0 || (isNone && by !== "owner")) return [];
  const columns = [right("KILLS"), left("FIRST"), left("LAST"), left(TITLES[by])];
  const rows = groups.map((group) => [
    String(group.kills),
    timeText(group.first),
    timeText(group.last),
    shortPath(groupName(group, by), layout),
  ]);
  return table(columns, rows, layout);
}

function groupName({ key }: KillGroup, by: Grouping): string {
  if (by !== "owner") return key ?? "none";
  if (key === undefined) return "unknown";
  if (key === MACHINE) return "the machine's memory";
  return key === UNNAMED ? "a cgroup that the log does not name" : key;
}

function killLines(kills: readonly PastKill[], total: number, layout: TextLayout): string[] {
  if (kills.length === 0) return [];
  const hosts = new Set(kills.map(({ host }) => host));
  const hasLimits = kills.some(({ limit }) => limit !== undefined);
  const columns = [
    left("TIME"),
    right("PID"),
    left("COMM"),
    right("ANON"),
    ...hasLimits ? [right("LIMIT")] : [],
    ...hosts.size > 1 ? [left("HOST")] : [],
    left("CGROUP"),
  ];
  const rows = kills.map((kill) => [
    kill.at === undefined ? uptimeText(kill.uptime) : localTime(kill.at),
    String(kill.victim.pid),
    printable(kill.victim.comm),
    shortBytes(kill.victim.anon_rss ?? undefined),
    ...hasLimits ? [shortBytes(kill.limit)] : [],
    ...hosts.size > 1 ? [printable(kill.host ?? "–")] : [],
    shortPath(placeOf(kill), layout),
  ]);
  const lines = table(columns, rows, layout);
  const more = total - kills.length;
  return more === 0
    ? lines
    : [...lines, layout.style("dim", `  and ${more} earlier; --latest ${total} shows all`)];
}

/** Since boot, where the log has no date. */
const uptimeText = (uptime: bigint | undefined) =>
  uptime === undefined ? "–" : `boot + ${(Number(uptime) / 1e6).toFixed(1)} s`;

/** After an empty line. */
function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { style, width }: TextLayout,
): string[] {
  const [titles, ...lines] = tabulate(columns, rows, width, cutMiddle);
  return ["", style("dim", titles!), ...lines];
}

function readText({ kind, name, lines, from, to, boots }: ReadLog): string {
  const what = kind === "file" ? printable(name) : name === "journal" ? "the journal" : name;
  const range = from === undefined || to === undefined
    ? ", without dates"
    : `, ${localTime(from)} to ${localTime(to)}`;
  const ofBoots = boots === undefined || kind === "kmsg" ? "" : `, ${formatCount(boots, "boot")}`;
  return `${what}: ${formatCount(lines, "line")}${range}${ofBoots}`;
}

const LABEL_WIDTH = 10;

function behind(label: string, text: string, { style, width }: TextLayout): string[] {
  return wrap(text, width - LABEL_WIDTH).map((line, at) =>
    style("dim", (at === 0 ? label : "").padEnd(LABEL_WIDTH)) + line
  );
}
