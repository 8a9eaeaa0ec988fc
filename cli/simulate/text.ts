/** A simulation as lines of text: a heading, then one row for each step and event. Pure. */

import { stripVTControlCharacters } from "node:util";
import { type OomkitEvent } from "../../core/events/event.ts";
import { epochMs } from "../../core/simulate/evaluate.ts";
import type {
  OwnEvent,
  SimulationEvent,
  StaleCgroup,
  StartEvent,
} from "../../core/simulate/event.ts";
import { formatBytes, formatDuration } from "../options/units.ts";
import { eventFacts, eventType } from "../output/event_text.ts";
import { printable } from "../output/output.ts";
import { shellWord } from "../output/shell.ts";
import { usageBar } from "../terminal/bars.ts";
import { wrapBehind } from "../terminal/layout.ts";
import type { Palette, Role, Style } from "../terminal/palette.ts";

const TIME_WIDTH = 10;
const LABEL_WIDTH = 10;
const BAR_WIDTH = 16;
/** Bar, a space and a percentage; the name of an event takes the same columns. */
const MIDDLE_WIDTH = BAR_WIDTH + 5;
const TEXT_WIDTH = 100;

/**
 * @param scale the bytes that count as full.
 * @param firstPageAt milliseconds since the epoch.
 */
export function eventRows(
  event: SimulationEvent,
  scale: number | undefined,
  firstPageAt: number | undefined,
  style: Style,
): string[] {
  if (event.type === "start") return heading(event, style);
  if (event.type === "stale_cgroup") return [staleText(event)];
  const time = style("dim", timeOf(event, firstPageAt).padStart(TIME_WIDTH));
  return [`${time}  ${row(event, scale, style)}`];
}

/** An allocation that stops by itself, and page cache, lead to no OOM. */
export const realRun = ({ stop_at: stop, kind }: StartEvent): string =>
  stop === null && kind !== "file" ? "a real OOM" : "a real allocation";

/** Time since the first page. */
export function timeOf({ ts }: SimulationEvent, firstPageAt: number | undefined): string {
  return firstPageAt === undefined ? "" : formatDuration(Math.max(0, epochMs(ts) - firstPageAt));
}

export function staleText(event: StaleCgroup & { readonly cgroup: string }): string {
  return event.removed
    ? `removed the stale cgroup ${printable(event.cgroup)} of a run that was killed`
    : printable(event.reason ?? "a stale cgroup could not be removed");
}

function row(
  event: Exclude<OwnEvent | OomkitEvent, { type: "start" | "stale_cgroup" }>,
  scale: number | undefined,
  style: Style,
): string {
  if (event.type === "step") {
    const { pid, usage, allocated } = event;
    const own = allocated === null
      ? ""
      : style("dim", `, ${formatBytes(allocated)} allocated by pid ${pid}`);
    const total = formatBytes(usage ?? undefined);
    return `${bar(usage ?? allocated, scale, style)}  ${total} in use${own}`;
  }
  const { name, facts, source } = describeEvent(event, style);
  const space = " ".repeat(Math.max(1, MIDDLE_WIDTH - stripVTControlCharacters(name).length));
  return `${name}${space}  ${facts}${source === "" ? "" : style("dim", `  [${source}]`)}`;
}

/** The coloured name of an event, what happened, and what reported it (may be empty). */
export function describeEvent(
  event: Exclude<OwnEvent | OomkitEvent, { type: "start" | "stale_cgroup" | "step" }>,
  style: Style,
): Readonly<Record<"name" | "facts" | "source", string>> {
  const own = (name: string, facts: string) => ({ name: style("cyan", name), facts, source: "" });
  switch (event.type) {
    case "allocator_started":
      return own("start", `pid ${event.pid} starts allocating`);
    case "signal":
      return own("signal", `pid ${event.pid} received ${event.signal}`);
    case "finished":
      return own("stop", `pid ${event.pid} ${STOPPED[event.reason]}`);
    case "exit": {
      const signal = event.signal === null ? "" : ` (${event.signal})`;
      return own("exit", `pid ${event.pid} exited with status ${event.exit_code}${signal}`);
    }
    case "verdict":
      return own("", "");
    default:
      return {
        name: eventType(event, style).trimEnd(),
        facts: eventFacts(withoutVictimSizes(event)),
        source: event.source === "none" ? "" : event.source,
      };
  }
}

const STOPPED = {
  stop_at: "stops at the size given by --stop-at",
  max_bytes: "stops: it has allocated its maximum and was not killed",
  signal: "stops because of the signal",
} as const;

/** Most of the victim's memory was charged elsewhere before it moved in: its sizes would be misleading here. */
function withoutVictimSizes(event: OomkitEvent): OomkitEvent {
  if (event.type !== "oom_kill" || event.victim === null) return event;
  const { pid, comm, uid } = event.victim;
  const sizes = { anon_rss: null, file_rss: null, shmem_rss: null, oom_score_adj: null };
  return { ...event, victim: { pid, comm, uid, ...sizes } };
}

const COLOURS: Partial<Record<Role, Parameters<Style>[0]>> = {
  good: "green",
  warn: "yellow",
  critical: "red",
};

function bar(usage: number | null, scale: number | undefined, style: Style): string {
  if (usage === null || scale === undefined) return " ".repeat(MIDDLE_WIDTH);
  const palette: Palette = (role, text) => style(COLOURS[role] ?? "dim", text);
  const cells = usageBar({ usage, limit: scale, marks: [] }, BAR_WIDTH, { unicode: true }, palette);
  const percent = Math.floor(100 * Math.min(1, usage / scale));
  return `${cells} ${`${percent}%`.padStart(4)}`;
}

function heading(start: StartEvent, style: Style): string[] {
  const { cgroup, pids } = start;
  const version = `cgroup v${start.hierarchy}`;
  const limit = start.limit === null
    ? "no limit"
    : `${start.machine ? "memory and swap" : "limit"} ${formatBytes(start.limit)}`;
  const whole = (name: string, text: string) => style("bold", name.padEnd(LABEL_WIDTH)) + text;
  const wrapped = (name: string, text: string) => {
    const [first = "", ...more] = wrapBehind(" ".repeat(LABEL_WIDTH), text, TEXT_WIDTH);
    return [whole(name, first.slice(LABEL_WIDTH)), ...more];
  };
  if (start.fake_reason !== null) {
    return [
      whole(
        "fake",
        "nothing is allocated or killed, " +
          `oomkit only updates the files of a fake cgroup tree: ${printable(start.fake_reason)}`,
      ),
      ...wrapped("cgroup", `${cgroup}, ${limit}, files as on ${version}`),
      whole(
        "read it",
        `oomkit inspect --root ${printable(shellWord(start.fake_root ?? ""))} ${cgroup}`,
      ),
      "",
    ];
  }
  const place = start.machine
    ? "the machine"
    : start.swap_off === null
    ? "oomkit's own cgroup"
    : `a cgroup of its own, swap ${start.swap_off ? "off" : "could not be disabled"}`;
  const pace = start.rate === null ? "as fast as possible" : `${formatBytes(start.rate)}/s`;
  const stop = start.stop_at === null ? "" : `, up to ${formatBytes(start.stop_at)}`;
  const group = start.group_kill ? ", group kill" : "";
  const growth = `${start.kind}, ${formatBytes(start.step)} at a time, ${pace}${stop}`;
  return [
    ...wrapped("simulate", `${realRun(start)} in ${place}: ${limit}, ${version}${group}`),
    whole("cgroup", printable(cgroup)),
    ...wrapped("allocator", `${pids.length === 1 ? "pid" : "pids"} ${pids.join(", ")}: ${growth}`),
    ...start.kind === "file" ? [" ".repeat(LABEL_WIDTH) + PAGE_CACHE] : [],
    ...wrapped("watching", start.sources.join("; ")),
    "",
  ];
}

const PAGE_CACHE = "page cache can be written back and reclaimed: the limit alone kills nothing";
