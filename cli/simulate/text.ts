/** A simulation in lines: a heading, then one row for each step and event. */

import { stripVTControlCharacters } from "node:util";
import { type OomkitEvent } from "../../core/events/event.ts";
import { momentOf } from "../../core/simulate/evaluate.ts";
import type { OwnEvent, SimulationEvent, Start } from "../../core/simulate/event.ts";
import { eventFacts, eventType } from "../output/event_text.ts";
import { printable } from "../output/output.ts";
import type { Style } from "../terminal/style.ts";
import { formatBytes, formatDuration } from "../options/units.ts";

/**
 * @param scale bytes that are the whole.
 * @param began milliseconds since the epoch.
 */
export function textOf(
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

export function leftover(event: OwnEvent & { type: "leftover" }): string {
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
  if (event.type === "step") {
    return `${bar(event.usage ?? event.allocated, scale, style)}  ${
      formatBytes(event.usage ?? undefined)
    } in use${event.allocated === null ? "" : style("dim", `, ${touched(event)}`)}`;
  }
  const { name, facts, source } = wordsOf(event, style);
  const room = " ".repeat(Math.max(1, MIDDLE_WIDTH - stripVTControlCharacters(name).length));
  return `${name}${room}  ${facts}${source === "" ? "" : style("dim", `  [${source}]`)}`;
}

/** What happened, coloured; what of it is to be known; and what told of it, where something did. */
export interface EventWords {
  readonly name: string;
  readonly facts: string;
  readonly source: string;
}

export function wordsOf(
  event: Exclude<OwnEvent | OomkitEvent, { type: "start" | "leftover" | "step" }>,
  style: Style,
): EventWords {
  const named = (name: string, facts: string) => ({ name: style("cyan", name), facts, source: "" });
  switch (event.type) {
    case "allocator_started":
      return named("enter", `pid ${event.pid} begins to allocate`);
    case "signal":
      return named("signal", `pid ${event.pid} got ${event.signal}`);
    case "finished":
      return named("stop", `pid ${event.pid} ${FINISHED[event.reason]}`);
    case "exit":
      return named(
        "exit",
        `pid ${event.pid} ended with status ${event.exit_code}${
          event.signal === null ? "" : ` (${event.signal})`
        }`,
      );
    case "verdict":
      return named("", "");
    default: {
      const source = event.source === "none" ? "" : event.source;
      return {
        name: eventType(event, style).trimEnd(),
        facts: eventFacts(withoutSizes(event)),
        source,
      };
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
