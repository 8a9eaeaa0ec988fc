/** The timeline of a simulation: one row for each step and event, in the order in which they happened. */

import { type OomkitEvent } from "../core/report/event.ts";
import { momentOf } from "../core/simulate/judge.ts";
import type { OwnEvent, SimulationEvent, Start } from "../core/simulate/simulation_event.ts";
import { eventFacts, eventType } from "./event_text.ts";
import { printable } from "./output.ts";
import type { Style } from "./style.ts";
import { formatBytes, formatDuration } from "./units.ts";

export interface Timeline {
  add(event: SimulationEvent): void;
  /** Prints what still waits. */
  flush(): void;
  /** Forgets what still waits. */
  close(): void;
}

/**
 * Steps come by a pipe and events by the watch: rows wait until they are so old (milliseconds), so that they can be put in
 * order. Nobody minds the delay.
 */
const PATIENCE_MS = 100;

/** @param fail is told what `print` throws while nobody waits for it. */
export function createTimeline(
  print: (line: string) => void,
  style: Style,
  fail: (error: unknown) => void,
): Timeline {
  let waiting: SimulationEvent[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let scale: number | undefined;
  let began: number | undefined;
  const isNews = createNewsSense();

  const flush = (until = Infinity) => {
    clearTimeout(timer);
    timer = undefined;
    const sorted = causesFirst(waiting.toSorted((a, b) => momentOf(a.ts) - momentOf(b.ts)));
    const ripe = sorted.findIndex(({ ts }) => momentOf(ts) > until);
    const rows = ripe < 0 ? sorted : sorted.slice(0, ripe);
    waiting = sorted.slice(rows.length);
    if (waiting.length > 0) schedule();
    for (const event of rows) {
      if (!isNews(event)) continue;
      if (event.type === "entered" || event.type === "start" && event.fake !== null) {
        began ??= momentOf(event.ts);
      }
      if (event.type === "start") scale = event.limit ?? event.stop_at ?? undefined;
      for (const line of textOf(event, scale, began, style)) print(line);
    }
  };
  const schedule = () => {
    timer ??= setTimeout(() => {
      try {
        flush(Date.now() - PATIENCE_MS);
      } catch (error) {
        fail(error);
      }
    }, PATIENCE_MS);
  };
  return {
    add(event) {
      waiting.push(event);
      if (event.type === "start") flush();
      else schedule();
    },
    flush,
    close: () => clearTimeout(timer),
  };
}

/** An OOM is notified before its kill, but the kernel log may be read before the notification. */
function causesFirst(events: readonly SimulationEvent[]): SimulationEvent[] {
  const kill = events.findIndex(({ type }) => type === "oom_kill");
  const oom = events.findIndex(({ type }) => type === "oom");
  if (kill < 0 || oom < kill) return [...events];
  const cause = { ...events[oom]!, ts: events[kill]!.ts };
  const others = events.filter((_, index) => index !== oom);
  return [...others.slice(0, kill), cause, ...others.slice(kill)];
}

const LEVELS = [null, "low", "medium", "critical"];

/**
 * One screen shows what is new: pressure when it rises, since a level tells of all those beneath it too, over and over; after a
 * kill neither falling usage, which is what a kill is for, nor what was counted on the way to it.
 */
function createNewsSense(): (event: SimulationEvent) => boolean {
  let highest = 0;
  let killed = false;
  return (event) => {
    if (event.type === "oom_kill") killed = true;
    if (event.type === "max") return !killed;
    if (event.type === "threshold") return !(killed && event.direction === "below");
    if (event.type !== "pressure" || event.level === null) return true;
    const level = LEVELS.indexOf(event.level);
    const rises = level > highest;
    if (rises) highest = level;
    return rises;
  };
}

function textOf(
  event: SimulationEvent,
  scale: number | undefined,
  began: number | undefined,
  style: Style,
): string[] {
  if (event.type === "start") return heading(event, event.cgroup, style);
  if (event.type === "leftover") return [leftover(event)];
  const time = began === undefined ? "" : formatDuration(Math.max(0, momentOf(event.ts) - began));
  return [`${style("dim", time.padStart(10))}  ${row(event, scale, style)}`];
}

function leftover(event: OwnEvent & { type: "leftover" }): string {
  return event.removed
    ? `removed ${printable(event.cgroup)}, left behind by a run that was killed`
    : printable(event.reason ?? "a leftover stayed");
}

const LABEL_WIDTH = 10;
const BAR_WIDTH = 16;
/** Bar, a blank and a percentage; an event's type takes the same room. */
const MIDDLE_WIDTH = BAR_WIDTH + 5;

function row(
  event: Exclude<OwnEvent | OomkitEvent, { type: "start" | "leftover" }>,
  scale: number | undefined,
  style: Style,
): string {
  const named = (name: string, facts: string) =>
    `${style("cyan", name)}${" ".repeat(Math.max(1, MIDDLE_WIDTH - name.length))}  ${facts}`;
  switch (event.type) {
    case "step":
      return `${bar(event.usage ?? event.allocated, scale, style)}  ${
        formatBytes(event.usage ?? undefined)
      } in use${event.allocated === null ? "" : style("dim", `, ${touched(event)}`)}`;
    case "entered":
      return named("enter", `pid ${event.pid} begins to allocate`);
    case "signal":
      return named("signal", `pid ${event.pid} got ${event.signal}`);
    case "finished":
      return named("stop", `pid ${event.pid} ${FINISHED[event.why]}`);
    case "exit":
      return named(
        "exit",
        `pid ${event.pid} ended with status ${event.exit_code}${
          event.signal === null ? "" : ` (${event.signal})`
        }`,
      );
    case "verdict":
      return "";
    default: {
      const source = event.source === "none" ? "" : style("dim", `  [${event.source}]`);
      const type = eventType(event, style);
      return `${type}${" ".repeat(MIDDLE_WIDTH - 14)}  ${eventFacts(withoutSizes(event))}${source}`;
    }
  }
}

/** Most of what the victim has in memory was charged elsewhere before it moved in, and would only puzzle here. */
function withoutSizes(event: OomkitEvent): OomkitEvent {
  if (event.type !== "oom_kill" || event.victim === null) return event;
  const { pid, comm, uid } = event.victim;
  const sizes = { anon_rss: null, file_rss: null, shmem_rss: null, oom_score_adj: null };
  return { ...event, victim: { pid, comm, uid, ...sizes } };
}

const touched = ({ pid, allocated }: { pid: number | null; allocated: number | null }) =>
  `${formatBytes(allocated ?? undefined)} touched by pid ${pid}`;

const FINISHED = {
  stop: "reached the size at which it was to stop",
  most: "has touched all that it was to touch, and lives",
  signal: "ends because of the signal",
} as const;

function bar(usage: number | null, scale: number | undefined, style: Style): string {
  if (usage === null || scale === undefined) return " ".repeat(MIDDLE_WIDTH);
  const share = Math.min(1, usage / scale);
  const full = Math.round(share * BAR_WIDTH);
  const colour = share >= 0.9 ? "red" : share >= 0.65 ? "yellow" : "green";
  return `${style(colour, "█".repeat(full))}${style("dim", "░".repeat(BAR_WIDTH - full))} ${
    `${Math.floor(share * 100)}%`.padStart(4)
  }`;
}

function heading(start: Start, cgroup: string, style: Style): string[] {
  const label = (name: string) => style("bold", name.padEnd(LABEL_WIDTH));
  const limit = start.limit === null ? "without a limit" : `limit ${formatBytes(start.limit)}`;
  const version = `cgroup v${start.hierarchy}`;
  if (start.fake !== null) {
    return [
      `${label("fake")}nothing is allocated, a made-up cgroup tree is played with: ${
        printable(start.fake)
      }`,
      `${label("cgroup")}${cgroup}, ${limit}, laid out like ${version}`,
      `${label("look at")}oomkit inspect --root ${printable(start.root ?? "")} ${cgroup}`,
      "",
    ];
  }
  const place = start.swap_off === null
    ? "the own cgroup"
    : `a cgroup of its own, swap ${start.swap_off ? "off" : "could not be switched off"}`;
  const group = start.group_kill ? ", killed as a group" : "";
  const pids = `${start.pids.length === 1 ? "pid" : "pids"} ${start.pids.join(", ")}`;
  const pace = start.rate === null ? "as fast as it goes" : `${formatBytes(start.rate)}/s`;
  const stop = start.stop_at === null ? "" : `, up to ${formatBytes(start.stop_at)}`;
  return [
    `${label("simulate")}a real out of memory in ${place}: ${limit}, ${version}${group}`,
    `${label("cgroup")}${printable(cgroup)}`,
    `${label("allocator")}${pids}: ${start.kind}, ${
      formatBytes(start.step)
    } at a time, ${pace}${stop}`,
    ...(start.kind === "file" ? [`${" ".repeat(LABEL_WIDTH)}${PAGE_CACHE}`] : []),
    ...wrap(start.sources.join("; "), label("watching")),
    "",
  ];
}

const PAGE_CACHE =
  "page cache can be written back and dropped: reclaim keeps up, and the limit alone kills nobody";

const TEXT_WIDTH = 90;

/** Breaks at blanks; what follows stands beneath. */
function wrap(text: string, label: string): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last !== "" && last.length + word.length >= TEXT_WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.map((line, index) => `${index === 0 ? label : " ".repeat(LABEL_WIDTH)}${line}`);
}
