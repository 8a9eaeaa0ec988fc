/** An event as one line of text, on a terminal or in a log: time, type, cgroup, and the facts in words and figures. */

import { EVENT_TYPES } from "../../core/events/event.ts";
import type {
  ActionBody,
  ActionSkippedBody,
  CounterDeltas,
  EventOf,
  EventType,
  GuardArmedBody,
  KillBody,
  LevelReachedBody,
  OomkitEvent,
  RestoredBody,
} from "../../core/events/event.ts";
import { isKillAction } from "../../core/policy/actions.ts";
import { formatBytes, formatCount, formatDuration, formatPercent } from "../options/units.ts";
import type { Style } from "../terminal/palette.ts";
import { printable } from "./output.ts";

type Format = Parameters<Style>[0];

const FORMATS: Readonly<Record<EventType, Format>> = {
  threshold: "yellow",
  pressure: "yellow",
  high: "yellow",
  max: "yellow",
  oom: "red",
  oom_kill: ["bold", "red"],
  oom_group_kill: ["bold", "red"],
  guard_armed: "cyan",
  level_reached: "yellow",
  action: ["bold", "magenta"],
  action_skipped: "green",
  restored: "cyan",
  limit_changed: "cyan",
  cgroup_created: "green",
  cgroup_removed: "dim",
  degraded: "magenta",
  summary: "bold",
};
const TYPE_WIDTH = Math.max(...Object.keys(FORMATS).map((type) => type.length));
const CGROUP_WIDTH = 28;

/** `10:02:19.005  oom_kill  …/oomkit-sim-4242-77  pid 4242 (oomkit) killed …  [kmsg]`, padded to columns. The time is local. */
export function eventText(event: OomkitEvent, style: Style): string {
  const { type, source } = event;
  const at = new Date(event.ts);
  return [
    style("dim", exactTime(at)),
    eventType(event, style),
    ...type === "summary" ? [] : [cgroupName(event.cgroup).padEnd(CGROUP_WIDTH)],
    eventFacts(event),
    ...source === "none" ? [] : [style("dim", `[${source}]`)],
  ].join("  ");
}

export function eventType({ type }: OomkitEvent, style: Style): string {
  return style(FORMATS[type], type) + " ".repeat(TYPE_WIDTH - type.length);
}

/** Where ten columns have to do, as in the live view. */
const SHORT_TYPES: Partial<Record<EventType, string>> = {
  oom_group_kill: "group_kill",
  guard_armed: "armed",
  level_reached: "level",
  action_skipped: "skipped",
  limit_changed: "limit",
  cgroup_created: "created",
  cgroup_removed: "removed",
};
const SHORT_TYPE_WIDTH = 10;

/** @param type of an event; a recording may have others too */
export function shortEventType(type: string, style: Style): string {
  const known = EVENT_TYPES.find((each) => each === type);
  const name = (known && SHORT_TYPES[known]) ?? printable(type);
  const text = name.slice(0, SHORT_TYPE_WIDTH);
  const padding = " ".repeat(SHORT_TYPE_WIDTH - text.length);
  return (known === undefined ? text : style(FORMATS[known], text)) + padding;
}

/** `10:02:19`, local time. */
export const clockTime = (at: Date): string =>
  [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, "0")).join(":");

/** `10:02:19.005`, local time. */
export const exactTime = (at: Date): string =>
  `${clockTime(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;

/**
 * A path short enough for a column: container ids have twelve digits as in container runtimes, then only the last name is kept, then
 * its middle is cut, because both ends distinguish siblings.
 */
export function cgroupName(path: string): string {
  const short = printable(path).replace(/[0-9a-f]{64}/g, (id) => id.slice(0, 12));
  if (short.length <= CGROUP_WIDTH) return short;
  const name = `…/${short.split("/").at(-1)}`;
  if (name.length <= CGROUP_WIDTH) return name;
  const half = (CGROUP_WIDTH - 1) / 2;
  return `${name.slice(0, Math.ceil(half))}…${name.slice(-Math.floor(half))}`;
}

const bytes = (value: number | null | undefined) => formatBytes(value ?? undefined);
const times = (count: bigint) => count === 1n ? "" : ` ${count} times`;

/**
 * An event as one line of a log, for journald and grep: `2026-11-21T09:05:07.042000Z  oom_kill  /a/b  …`, with RFC 3339 time in
 * UTC and whole paths.
 */
export function eventLogLine(event: OomkitEvent, style: Style): string {
  const { type, source } = event;
  return [
    style("dim", event.ts),
    eventType(event, style),
    ...type === "summary" ? [] : [printable(event.cgroup).padEnd(CGROUP_WIDTH)],
    eventFacts(event, printable),
    ...source === "none" ? [] : [style("dim", `[${source}]`)],
  ].join("  ");
}

/** For a stream: a person at a terminal reads short lines, a log has whole ones. */
export const eventTextFor = (stream: { isTerminal(): boolean }) =>
  stream.isTerminal() ? eventText : eventLogLine;

/** The event with the sentence that its line of text has: so that a log search need not know the fields of each type. */
export const withMessage = (event: OomkitEvent): OomkitEvent => ({
  ...event,
  message: eventFacts(event, printable),
});

/**
 * What happened, in words and figures, without time and cgroup.
 * @param nameOf shortens the names of other cgroups
 */
export function eventFacts(
  event: OomkitEvent,
  nameOf: (path: string) => string = cgroupName,
): string {
  switch (event.type) {
    case "threshold": {
      const { usage, threshold, limit, direction, suppressed } = event;
      const share = limit === null || limit === 0
        ? ""
        : ` (${formatPercent(100 * threshold / limit)} of ${bytes(limit)})`;
      const verb = direction === "above" ? "rose above" : "fell below";
      const others = suppressed > 0
        ? `, after ${formatCount(suppressed, "unreported crossing")}`
        : "";
      return `usage ${bytes(usage)} ${verb} ${bytes(threshold)}${share}${others}`;
    }
    case "pressure":
      return pressureFacts(event);
    case "high":
      return `allocators throttled at memory.high${times(event.count)}${usageNow(event)}`;
    case "max":
      return `limit hit${times(event.count)}, the kernel reclaims${usageNow(event)}`;
    case "oom":
      return `out of memory${times(event.count)}: nothing left to reclaim${atLimit(event)}`;
    case "oom_kill":
      return killFacts(event);
    case "oom_group_kill":
      return `all processes of the cgroup killed${times(event.count)} (memory.oom.group)`;
    case "guard_armed":
      return guardArmedFacts(event);
    case "level_reached":
      return levelFacts(event);
    case "action":
      return actionFacts(event) + (event.reason === null ? "" : printable(`: ${event.reason}`));
    case "action_skipped":
      return skippedFacts(event);
    case "restored":
      return printable(restoredFacts(event));
    case "limit_changed":
      return `limit ${limitText(event.from)} → ${limitText(event.to)}`;
    case "cgroup_created":
      return "cgroup created";
    case "cgroup_removed":
      return "cgroup removed";
    case "degraded":
      return printable(`${event.requested} → ${event.fallback}: ${event.reason}`);
    case "summary":
      return summaryFacts(event, nameOf);
  }
}

/** Read after the event, so it is not the usage at the event. */
const usageNow = ({ usage }: { readonly usage: number | null }) =>
  usage === null ? "" : `, usage now ${bytes(usage)}`;
const limitText = (limit: number | null) => limit === null ? "none" : bytes(limit);

function atLimit({ cgroup, limit, limit_owner: owner }: EventOf<"oom" | "oom_kill">): string {
  const size = limit === null ? "" : ` (${bytes(limit)})`;
  if (owner === null) return limit === null ? "" : ` at the limit${size}`;
  return ` at ${
    owner === cgroup ? "the cgroup's own limit" : `the limit of ${printable(owner)}`
  }${size}`;
}

/** Kernel, Documentation/admin-guide/cgroup-v1/memory.rst, section 11. */
const PRESSURE_LEVELS = {
  low: "the kernel reclaims to make room",
  medium: "reclaim is difficult and evicts active pages",
  critical: "out of memory is near, or reached",
} as const;

function pressureFacts(event: EventOf<"pressure">): string {
  const { level, kind, stalled_us: stalled } = event;
  const time = formatDuration(stalled === null ? undefined : Number(stalled) / 1000);
  const what = level === null
    ? `${kind ?? "tasks"} stalled ${time} for memory`
    : `${level}: ${PRESSURE_LEVELS[level]}`;
  return `${what}${usageNow(event)}`;
}

function killFacts(event: EventOf<"oom_kill">): string {
  const { victim } = event;
  const what = victim === null
    ? "unknown process killed"
    : `pid ${victim.pid} (${printable(victim.comm)}) killed`;
  const why = event.scope === "system" ? " because the machine ran out of memory" : atLimit(event);
  const parts = victim === null ? [] : [
    victim.anon_rss === null ? "" : `anon ${bytes(victim.anon_rss)}`,
    victim.file_rss ? `file ${bytes(victim.file_rss)}` : "",
    victim.shmem_rss ? `shmem ${bytes(victim.shmem_rss)}` : "",
    victim.oom_score_adj ? `oom_score_adj ${victim.oom_score_adj}` : "",
  ].filter((part) => part !== "");
  const doubt = event.inferred ? "; no counter confirms it" : "";
  return [`${what}${why}`, ...parts].join(", ") + doubt;
}

function summaryFacts(event: EventOf<"summary">, nameOf: (path: string) => string): string {
  const { seconds, watched_cgroups: watched, cgroups, guard_kills: guardKills } = event;
  const total = (key: "max" | "high" | "oom" | "oom_kill" | "oom_group_kill") => {
    const counted = cgroups.map((deltas) => deltas[key]).filter((count) => count !== null);
    return counted.length === 0 ? [] : [`${key} ${counted.reduce((sum, n) => sum + n, 0n)}`];
  };
  const victims = cgroups.reduce((sum, { victims }) => sum + victims, 0);
  const only = watched === 1 ? cgroups[0] : undefined;
  return [
    only ? nameOf(only.cgroup) : formatCount(watched, "cgroup"),
    `watched for ${formatDuration(seconds * 1000)}`,
    ...(["oom_kill", "oom_group_kill", "oom", "max", "high"] as const).flatMap(total),
    guardKills === null
      ? formatCount(victims, "victim")
      : `guard killed ${guardKills}${guardVictimsText(cgroups, nameOf)}; kernel killed ${victims}`,
    ...(only && only.peak !== null ? [`peak ${bytes(only.peak)}`] : []),
  ].join(", ");
}

/** Cgroups for which the summary names the victims. */
const MAX_NAMED_CGROUPS = 3;

/** ` (python3, java in …/worker; node in …/api; and 2 more cgroups)`. */
function guardVictimsText(
  cgroups: readonly CounterDeltas[],
  nameOf: (path: string) => string,
): string {
  const killedIn = cgroups.filter(({ guard_kills }) => (guard_kills ?? 0) > 0)
    .toSorted((a, b) => b.guard_kills! - a.guard_kills!);
  if (killedIn.length === 0) return "";
  const parts = killedIn.slice(0, MAX_NAMED_CGROUPS).map(({ cgroup, guard_victims: names }) =>
    `${names.length === 0 ? "" : `${printable(names.join(", "))} `}in ${nameOf(cgroup)}`
  );
  const others = killedIn.length - parts.length;
  const more = others > 0 ? [`and ${formatCount(others, "more cgroup")}`] : [];
  return ` (${[...parts, ...more].join("; ")})`;
}

function levelFacts({ level, metric_value, metric, limit, rate }: LevelReachedBody): string {
  const what = metric === "usage" ? "usage" : "working set";
  const pace = rate !== null && rate > 0 ? `, rising by ${formatBytes(rate)}/s` : "";
  const share = `${formatPercent(100 * metric_value / limit)} of ${formatBytes(limit)}`;
  return `${level}: ${what} ${formatBytes(metric_value)} (${share})${pace}`;
}

function skippedFacts(event: ActionSkippedBody): string {
  const { reason, usage, level_bytes, reclaimable, swappable } = event;
  switch (reason) {
    case "recovered":
      return `no action: usage ${formatBytes(usage)} is below ${formatBytes(level_bytes)} again`;
    case "reclaimable_cache":
      return `no action: the kernel can reclaim ${bytes(reclaimable)} of ${formatBytes(usage)}`;
    case "swap":
      return `no action: swap has room for ${formatBytes(swappable)} of ${formatBytes(usage)}`;
  }
}

function guardArmedFacts(event: GuardArmedBody): string {
  const { limit, limit_owner: owner, mode, actions, rule } = event;
  const levels = (["warn", "critical", "imminent"] as const).map((level) => {
    const list = actions[level].length === 0 ? "noop" : printable(actions[level].join(" "));
    return `${level} ${formatBytes(event[level])} ${list}`;
  });
  const ancestor = owner === null
    ? " of the machine"
    : "cgroup" in event && owner === event.cgroup
    ? ""
    : ` of ${printable(owner)}`;
  const dryRun = event.dry_run ? ", dry run" : "";
  const byRule = rule === null ? "" : `, rule "${printable(rule)}"`;
  return `limit ${formatBytes(limit)}${ancestor}, ${mode}${dryRun}: ${levels.join(", ")}${byRule}`;
}

function restoredFacts({ file, before, outcome, reason }: RestoredBody): string {
  switch (outcome) {
    case "restored":
      return `${file} restored to ${before}`;
    case "gone":
      return `${file} not restored: the cgroup was removed`;
    case "changed":
      return `${file} not restored: another process has changed it since`;
    case "failed":
      return `${file} could not be restored to ${before}: ${reason ?? "unknown"}`;
  }
}

function actionFacts(event: ActionBody): string {
  if (isKill(event)) return guardKillFacts(event);
  const { level, outcome } = event;
  switch (event.action) {
    case "signal": {
      const { signal, count } = event;
      if (outcome === "failed") return `${signal} at ${level} was not sent`;
      const verb = outcome === "dry_run" ? "would be sent" : "sent";
      return `${signal} at ${level} ${verb} to ${formatCount(count, "process", "processes")}`;
    }
    case "reclaim":
      return outcome === "reclaimed"
        ? `reclaim at ${level}: freed ${bytes(event.freed)} in ${duration(event.freed_ms)}`
        : `reclaim at ${level} ${outcome === "dry_run" ? "would run" : "failed"}`;
    default: {
      const result = outcome === "dry_run" ? "would run" : outcome === "failed" ? "failed" : "ran";
      return `${event.action} at ${level} ${result}`;
    }
  }
}

const isKill = (event: ActionBody): event is KillBody => isKillAction(event.action);

function guardKillFacts(event: KillBody): string {
  const { victim, killed_cgroup: killedCgroup, action, signal } = event;
  const first = victim === null ? action : `pid ${victim.pid} (${printable(victim.comm)})`;
  const what = killedCgroup === null ? first : `${first} and all of ${printable(killedCgroup)}`;
  const at = `at ${formatBytes(event.usage_before)} of ${formatBytes(event.limit)}`;
  switch (event.outcome) {
    case "killed":
      return `${what} killed by ${signal} ${at}: signalled in ${duration(event.signal_ms)}, ` +
        `exited in ${duration(event.exit_ms)}, ` +
        `freed ${formatBytes(event.freed ?? 0)} in ${duration(event.freed_ms)}`;
    case "dry_run":
      return `${what} would be killed by ${signal} ${at}`;
    case "survived":
      return `${what} survived ${signal} ${at}`;
    case "failed":
      return `no ${action} could be killed ${at}`;
  }
}

const duration = (ms: number | null | undefined) => formatDuration(ms ?? undefined);
