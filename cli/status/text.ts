/** The text of `status`: for each guard a block of facts, and a table of its cgroups. */

import {
  type CgroupStatus,
  type GuardStatus,
  isMachine,
  type LastAction,
} from "../../core/status/format.ts";
import { localTime } from "../history/text.ts";
import { formatBytes, formatCount, formatDuration, shortBytes } from "../options/units.ts";
import { printable } from "../output/output.ts";
import {
  type Column,
  cutMiddle,
  itemLines,
  tabulate,
  type TextLayout,
  textLines,
  wrapTo,
} from "../terminal/layout.ts";
import { widthOf } from "../terminal/width.ts";

/** /healthz fails after as long. */
const MAX_HEARTBEAT_AGE_SECONDS = 15;
const MAX_POLICIES = 10;
const MAX_TARGETS = 10;

/** @param rows cgroups to list */
export function guardLines(status: GuardStatus, rows: number, layout: TextLayout): string[] {
  const { cgroups } = status;
  return [
    ...headLines(status, layout),
    ...cgroupTable(cgroups.slice(0, rows), layout),
    ...cgroups.length > rows
      ? [
        layout.style(
          "dim",
          `  … and ${cgroups.length - rows} more; -n ${cgroups.length} lists all`,
        ),
      ]
      : [],
  ];
}

function headLines(status: GuardStatus, layout: TextLayout): string[] {
  const { style } = layout;
  const { policies, receivers, process, degraded, heartbeat_age_seconds: age } = status;
  const isDryRun = policies.length > 0 && policies.every(({ dry_run }) => dry_run);
  const since = localTime(Date.parse(status.started));
  const share = 100 * process.cpu_seconds / Math.max(status.uptime_seconds, 1e-3);
  const responds = age > MAX_HEARTBEAT_AGE_SECONDS
    ? style(["bold", "red"], `has not responded for ${formatDuration(1000 * age)}`)
    : "responds";
  return [
    style("bold", `guard ${status.pid}`) +
    `${status.uid === Deno.uid() ? "" : ` of user ${status.uid}`}  up ${
      formatDuration(1000 * status.uptime_seconds)
    }, since ${since}, ` +
    `oomkit ${printable(status.version)}${
      isDryRun ? `, ${style(["bold", "yellow"], "DRY RUN")}` : ""
    }`,
    ...textLines("targets", targetsText(status), layout),
    ...textLines("guarded", guardedText(status), layout),
    ...policyLines(status, layout),
    ...textLines("thread", `${printable(status.scheduling)}, ${responds}`, layout),
    ...itemLines("sources", status.sources.map(printable), layout),
    ...itemLines(
      "receivers",
      receivers.length > 0 ? receivers.map(receiverText) : ["none"],
      layout,
    ),
    ...textLines(
      "itself",
      `RSS ${formatBytes(process.rss ?? undefined)}, ` +
        `${formatBytes(process.anon_rss ?? undefined)} anonymous; ` +
        `CPU ${formatDuration(1000 * process.cpu_seconds)}, ${share.toFixed(2)}%`,
      layout,
    ),
    ...degraded.flatMap(({ requested, fallback, reason, cgroups }) =>
      textLines(
        "degraded",
        printable(`${requested} → ${fallback} (${formatCount(cgroups, "cgroup")}): ${reason}`),
        layout,
      )
    ),
    ...textLines(
      "kills",
      `by the guard ${status.guard_kills}, by the kernel ${status.victims}`,
      layout,
    ),
    ...status.last_actions.flatMap((action) => lastActionLines(action, layout)),
  ];
}

function targetsText({ targets, recursive, cgroups }: GuardStatus): string {
  const more = targets.length - MAX_TARGETS;
  const names = targets.length === 0
    ? (cgroups.some(isMachine) ? "the machine" : "none named")
    : targets.slice(0, MAX_TARGETS).map(printable).join(" ");
  return [names, ...more > 0 ? [`and ${more} more`] : [], ...recursive ? ["recursive"] : []].join(
    ", ",
  );
}

function guardedText({ cgroups }: GuardStatus): string {
  const modes = Map.groupBy(cgroups, ({ mode }) => mode);
  const counts = [...modes].map(([mode, { length }]) => `${length} ${printable(mode)}`);
  const count = formatCount(cgroups.length, "cgroup");
  return counts.length === 0 ? count : `${count}: ${counts.join(", ")}`;
}

function policyLines({ policies }: GuardStatus, layout: TextLayout): string[] {
  const used = policies.filter(({ cgroups, rule }) => cgroups > 0 || rule === null);
  const shown = used.slice(Math.max(0, used.length - MAX_POLICIES));
  const more = used.length - shown.length;
  return [
    ...more > 0 ? textLines("policy", `${formatCount(more, "rule")} not shown`, layout) : [],
    ...shown.flatMap((policy) =>
      textLines("policy", policyText(policy, policies.length > 1), layout)
    ),
  ];
}

function policyText(policy: GuardStatus["policies"][number], hasRules: boolean): string {
  const { rule, cgroups, mode, dry_run, metric, warn_percent, critical_percent, swap, psi } =
    policy;
  const actionsAt = (level: "warn" | "critical" | "imminent") =>
    policy.actions[level]?.join(" ") || "noop";
  const name = rule === null ? (hasRules ? "default" : "") : `rule "${rule}"`;
  const where = name === "" ? "" : `${name}, ${formatCount(cgroups, "cgroup")}: `;
  return printable([
    `${where}mode ${mode}`,
    ...dry_run ? ["dry run"] : [],
    ...metric === "usage" ? [] : [metric],
    `warn at ${warn_percent}% ${actionsAt("warn")}`,
    `critical at ${critical_percent}% ${actionsAt("critical")}`,
    `imminent ${actionsAt("imminent")}`,
    ...swap === undefined || swap === "count" ? [] : [`swap ${swap}`],
    ...psi ? [`below imminent only after ${psi} of stall`] : [],
  ].join(", "));
}

const receiverText = (counts: GuardStatus["receivers"][number]) =>
  `${printable(counts.receiver)} ${
    (["pending", "sent", "dropped", "failed"] as const)
      .map((kind) => `${counts[kind]} ${kind}`).join(", ")
  }`;

function lastActionLines({ ts, cgroup, message }: LastAction, { width }: TextLayout): string[] {
  const time = `  ${localTime(Date.parse(ts))}  `;
  const indent = "    ";
  return [
    time + cutMiddle(printable(cgroup), width - time.length),
    ...wrapTo(printable(message), width - indent.length).map((line) => indent + line),
  ];
}

interface TableColumn extends Column {
  /** @param width of the terminal; infinite in a pipe */
  readonly cell: (cgroup: CgroupStatus, width: number) => string;
  /** Those with a higher number give way first where the path has no room; absent: never. */
  readonly yields?: number;
}

const column = (
  align: Column["align"],
  title: string,
  cell: TableColumn["cell"],
  yields?: number,
): TableColumn => ({ align, title, cell, ...yields !== undefined && { yields } });

const COLUMNS: readonly TableColumn[] = [
  column("right", "USAGE", ({ usage }) => shortBytes(usage ?? undefined)),
  column("right", "LIMIT", ({ limit }) => shortBytes(limit)),
  column("right", "%", shareText),
  column("left", "LEVEL", ({ level }) => level ?? "", 4),
  column("left", "STATE", (cgroup) => statesOf(cgroup).join(","), 1),
  column("right", "KERNEL", ({ victims }) => victims === 0 ? "" : String(victims), 5),
  column("right", "GUARD", ({ guard_kills: kills }) => kills === 0 ? "" : String(kills), 2),
  column("left", "LAST ACTION", lastActionText, 6),
  column("left", "LEVELS AT", levelsText, 7),
  column("left", "LIMIT OF", limitOwnerText, 3),
  column("left", "CGROUP", ({ cgroup }) => printable(cgroup)),
];

/** Columns for the path, as long as others can give way. */
const MIN_PATH_WIDTH = 24;

function cgroupTable(cgroups: readonly CgroupStatus[], { style, width }: TextLayout): string[] {
  if (cgroups.length === 0) return [];
  const columns = fittingColumns(cgroups, width);
  const rows = cgroups.map((each) => columns.map(({ cell }) => cell(each, width)));
  const [titles, ...lines] = tabulate(columns, rows, width, cutMiddle);
  return [
    "",
    style("dim", titles!),
    ...lines.map((line, at) => style(formatOf(cgroups[at]!), line)),
  ];
}

/** Without those that are empty, and without those for which there is no room. */
function fittingColumns(cgroups: readonly CgroupStatus[], width: number): TableColumn[] {
  const columns = COLUMNS.filter(({ cell }) => cgroups.some((each) => cell(each, width) !== ""));
  const widest = ({ title, cell }: TableColumn) =>
    cgroups.reduce((most, each) => Math.max(most, widthOf(cell(each, width))), title.length);
  const path = Math.min(MIN_PATH_WIDTH, widest(columns.at(-1)!));
  const needed = () => columns.slice(0, -1).reduce((sum, each) => sum + widest(each) + 2, 0) + path;
  while (needed() > width) {
    const first = Math.max(...columns.map(({ yields = 0 }) => yields));
    if (first === 0) break;
    columns.splice(columns.findIndex(({ yields }) => yields === first), 1);
  }
  return columns;
}

function formatOf({ level, under_oom }: CgroupStatus): Parameters<TextLayout["style"]>[0] {
  if (under_oom || level === "imminent") return "red";
  return level === null ? [] : "yellow";
}

/** Rounded down: usage below the limit is not 100 %. */
function shareText({ metric_value: value, limit }: CgroupStatus): string {
  return value === null ? "–" : `${Math.floor(100 * value / limit)}%`;
}

function statesOf(cgroup: CgroupStatus): string[] {
  return [
    ...cgroup.under_oom ? ["waiting"] : cgroup.oom_killer_disabled ? ["held"] : [],
    ...cgroup.throttled ? ["throttled"] : [],
    ...cgroup.mode === cgroup.requested_mode ? [] : ["degraded"],
  ];
}

function lastActionText({ last_action: last }: CgroupStatus): string {
  return last === null
    ? ""
    : printable(`${localTime(Date.parse(last.ts))} ${last.action} ${last.outcome}`);
}

function levelsText({ warn, critical, imminent }: CgroupStatus): string {
  return [warn, critical, imminent].map(shortBytes).join(" ");
}

/** Beside it the path of the cgroup needs room. */
const MAX_OWNER_WIDTH = 20;

function limitOwnerText({ limit_owner: owner, cgroup }: CgroupStatus, width: number): string {
  if (owner === cgroup) return "";
  if (owner === null) return "the machine";
  return cutMiddle(printable(owner), width === Infinity ? width : MAX_OWNER_WIDTH);
}
