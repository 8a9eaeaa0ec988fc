/** `inspect` of a recording: its summary, events and peaks. Loaded only where a target may be a recording. */

import { discover } from "../../core/cgroup/hierarchy.ts";
import { resolveTarget } from "../../core/cgroup/resolve.ts";
import { OomkitError, shortened } from "../../core/errors.ts";
import { timestamp } from "../../core/events/event.ts";
import { toJson } from "../../core/events/json.ts";
import { bytesText, spanText } from "../../core/figures.js";
import {
  type ChartEvent,
  CLOSE_SHARE,
  type Group,
  type Kind,
  mostSevere,
  type Picture,
  type Tone,
} from "../../core/picture/picture.ts";
import { PictureBuilder } from "../../core/picture/picture_builder.ts";
import { type ExitCode, OK } from "../exit.ts";
import { type Common, wantsJson } from "../options/subcommand.ts";
import { formatCount, formatPercent } from "../options/units.ts";
import { cgroupName } from "../output/event_text.ts";
import { print, printable } from "../output/output.ts";
import { pictureWords } from "../output/picture.ts";
import { recordingLines } from "../output/recording.ts";
import { terminalWidth } from "../terminal/capabilities.ts";
import {
  type Column,
  cutMiddle,
  foldLine,
  tabulate,
  type TextLayout,
  textLines,
} from "../terminal/layout.ts";
import { chooseStyle, type Style } from "../terminal/palette.ts";
import { widthOf } from "../terminal/width.ts";

const MAX_LISTED_EVENTS = 40;
const MAX_LISTED_CGROUPS = 20;
/** One longer name in a file from elsewhere would widen every line. */
const MAX_PADDED_WIDTH = 80;

/** Options that apply to cgroups only, by attribute name and as they are given. */
const CGROUP_OPTIONS = {
  root: "--root",
  tree: "--tree",
  depth: "--depth",
  top: "--top",
  processes: "--processes",
  check: "--check",
  minHeadroom: "--min-headroom",
  maxUsage: "--max-usage",
  require: "--require",
  annotate: "--annotate",
  junit: "--junit",
} as const;

/** `undefined` if `names` are cgroups. Throws `OomkitError` for a recording beside other targets. */
export function openRecordingAmong(
  names: readonly string[],
  root: string | undefined,
  nameOfRecordings: RegExp,
) {
  const [only] = names;
  const name = names.find(beginsLikeRecording) ??
    (names.length === 1 && !isCgroup(only!, root) ? only : undefined);
  if (name === undefined) return undefined;
  return {
    /** Throws `OomkitError` for the first option that does not apply. */
    refuseOptions(isGiven: (attribute: string) => boolean): void {
      const [, option] = Object.entries(CGROUP_OPTIONS).find(([attribute]) => isGiven(attribute)) ??
        [];
      if (option === undefined) return;
      throw new OomkitError(
        `cannot use ${option} with the recording ${
          printable(shortened(name))
        }: it applies to cgroups`,
        `leave ${option} out`,
      );
    },
    /** Prints the recording. Throws `OomkitError` if it cannot be read. */
    show(flags: Common): Promise<ExitCode> {
      if (names.length > 1) {
        throw new OomkitError(
          `cannot inspect ${names.length} targets together: ${
            printable(shortened(name))
          } is a recording`,
          "name one recording alone",
        );
      }
      if (!nameOfRecordings.test(name) && !beginsLikeRecording(name)) {
        throw new OomkitError(
          `cannot inspect ${printable(shortened(name))}: ` +
            "no cgroup has this name, and the file of this name is not a recording",
          "give a cgroup or a file written by --record",
        );
      }
      return showRecording(name, flags);
    },
  };
}

/** The first byte of a JSON line, and the first two of gzip (RFC 1952). */
const BEGINNINGS = [[0x7b], [0x1f, 0x8b]] as const;

/** A unit's file in the working directory has the name of a cgroup as well, so the name does not decide. */
function beginsLikeRecording(path: string): boolean {
  try {
    // Opening a FIFO would block.
    if (!Deno.statSync(path).isFile) return false;
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(2);
    const length = file.readSync(bytes) ?? 0;
    return BEGINNINGS.some((beginning) =>
      length >= beginning.length && beginning.every((byte, at) => byte === bytes[at])
    );
  } catch {
    // The reader reports the error.
    return false;
  }
}

/** Also a control file: `inspect` says there which cgroup to name. */
function isCgroup(name: string, root: string | undefined): boolean {
  try {
    const hierarchy = discover(root);
    if (name.startsWith(`${hierarchy.mount}/`)) return true;
    return resolveTarget(hierarchy, name).length > 0;
  } catch (error) {
    if (error instanceof OomkitError) return false;
    throw error;
  }
}

async function showRecording(path: string, flags: Common): Promise<ExitCode> {
  const builder = new PictureBuilder(pictureWords);
  for await (const line of recordingLines(path)) builder.add(line);
  // The reader throws where there is no head.
  const picture = builder.picture()!;
  if (wantsJson(flags)) print(toJson(recordingDocument(picture), 2));
  else {
    // A program that reads the text gets whole paths, and one line for each event.
    const width = Deno.stdout.isTerminal() ? terminalWidth() : Infinity;
    print(pictureLines(picture, { style: chooseStyle(flags.color), width }).join("\n"));
  }
  return OK;
}

/** Documented in docs/schema/recorded_run.schema.json. */
function recordingDocument(picture: Picture) {
  const { command, oomkit, host, kernel, hierarchy, from, to } = picture;
  return {
    type: "recorded_run",
    v: 2,
    recording: {
      ...{ command, oomkit, host, kernel, hierarchy },
      from: timestamp(from),
      to: timestamp(to),
    },
    verdict: picture.verdict,
    kernel_kills: picture.kills,
    guard_kills: picture.guardKills,
    notes: picture.remarks,
    events: picture.events.map(({ at, type, cgroup, text }) => ({
      ts: timestamp(at),
      type: printable(type),
      cgroup,
      message: text,
    })),
    cgroups: picture.groups.map((group) => ({
      cgroup: group.path,
      limit: group.limit,
      limit_owner: group.owner,
      peak: group.peak,
      peak_percent: group.peakShare === null ? null : 100 * group.peakShare,
      min_headroom: group.minHeadroom,
      kernel_kills: group.kills,
      guard_kills: group.guardKills,
      removed_at: group.removedAt === null ? null : timestamp(group.removedAt),
    })),
  };
}

type Format = Parameters<Style>[0];

const TONE_FORMATS: Readonly<Record<Tone, Format>> = {
  bad: ["bold", "red"],
  warn: ["bold", "yellow"],
  fine: ["bold", "green"],
};

const KIND_FORMATS: Readonly<Record<Kind, Format>> = {
  kill: ["bold", "red"],
  act: ["bold", "magenta"],
  oom: "red",
  level: "yellow",
  note: "cyan",
};

function pictureLines(picture: Picture, layout: TextLayout): string[] {
  const { style } = layout;
  return [
    style("bold", headingOf(picture)),
    style("dim", machineText(picture)),
    "",
    ...foldLine(style(TONE_FORMATS[picture.tone], picture.verdict), layout.width),
    ...textLines("kills", killsText(picture), layout),
    ...textLines("cgroups", cgroupsText(picture.groups), layout),
    ...picture.remarks.flatMap((remark) => textLines("note", remark, layout)),
    ...eventLines(picture, layout),
    ...peakLines(picture.groups, layout),
  ];
}

/** `guard on node, 2026-11-22 05:37:28 to 05:37:30 UTC, 1.74 s`. */
function headingOf({ command, host, from, to }: Picture): string {
  const [begin, end] = [dateText(from), dateText(to)].map((text) => text.slice(0, 19));
  const until = isOneDay(from, to) ? end!.slice(11) : end;
  return `${command} on ${host}, ${begin} to ${until} UTC, ${spanText(to - from)}`;
}

const machineText = ({ kernel, hierarchy, oomkit }: Picture) =>
  `Linux ${kernel}, cgroup v${hierarchy}, recorded by oomkit ${oomkit}`;

const killsText = ({ command, kills, guardKills }: Picture) =>
  `by the kernel ${kills}` +
  (command === "guard" || guardKills > 0 ? ` · by the guard ${guardKills}` : "");

function cgroupsText(groups: readonly Group[]): string {
  const limited = groups.filter(({ limits }) => limits.some(({ limit }) => limit !== null));
  return `${groups.length}, ${limited.length} with a limit`;
}

/** `2026-11-22 05:37:28.674`. */
const dateText = (at: number) => new Date(at).toISOString().slice(0, 23).replace("T", " ");

const isOneDay = (from: number, to: number) =>
  dateText(from).slice(0, 10) === dateText(to).slice(0, 10);

function eventLines({ events, from, to }: Picture, layout: TextLayout): string[] {
  if (events.length === 0) return ["", "no events"];
  const { style, width } = layout;
  const listed = new Set(mostSevere(events, MAX_LISTED_EVENTS));
  const omitted = events.length - listed.size;
  const which = omitted === 0 ? "" : `, the ${listed.size} most severe of them (all: --json)`;
  const title = `EVENTS  ${formatCount(events.length, "event")}${which}`;
  const timeStart = isOneDay(from, to) ? 11 : 0;
  const rows = [...listed].map((event) => ({
    event,
    type: printable(event.type),
    cgroup: width === Infinity ? event.cgroup : cgroupName(event.cgroup),
  }));
  const widest = (texts: readonly string[]) =>
    Math.min(MAX_PADDED_WIDTH, Math.max(...texts.map(widthOf)));
  const typeWidth = widest(rows.map(({ type }) => type));
  const cgroupWidth = widest(rows.map(({ cgroup }) => cgroup));
  const shown = new Map(rows.map(({ event, type, cgroup }) => [
    event,
    [
      style("dim", dateText(event.at).slice(timeStart)),
      style(KIND_FORMATS[event.kind], type) + " ".repeat(Math.max(0, typeWidth - widthOf(type))),
      cgroup + " ".repeat(Math.max(0, cgroupWidth - widthOf(cgroup))),
      event.text,
    ].join("  "),
  ]));
  const lines = ["", style("dim", title)];
  for (const run of runsOf(events, listed)) {
    const line = run.event === undefined
      ? style("dim", `… ${run.omitted} more`)
      : shown.get(run.event)!;
    lines.push(...foldLine(line, width));
  }
  return lines;
}

interface Run {
  /** A listed event, or */
  readonly event?: ChartEvent;
  /** the number of events that are not listed between two others. */
  readonly omitted: number;
}

function runsOf(events: readonly ChartEvent[], listed: ReadonlySet<ChartEvent>): Run[] {
  const runs: Run[] = [];
  let omitted = 0;
  for (const event of events) {
    if (!listed.has(event)) {
      omitted++;
      continue;
    }
    if (omitted > 0) runs.push({ omitted });
    omitted = 0;
    runs.push({ event, omitted });
  }
  return omitted > 0 ? [...runs, { omitted }] : runs;
}

const right = (title: string): Column => ({ title, align: "right" });

function peakLines(groups: readonly Group[], { style, width }: TextLayout): string[] {
  if (groups.length === 0) return [];
  const listed = groups.slice(0, MAX_LISTED_CGROUPS);
  const hasKills = groups.some(({ kills }) => kills > 0);
  const hasGuardKills = groups.some(({ guardKills }) => guardKills > 0);
  const columns = [
    ...["PEAK", "PEAK %", "MIN HEADROOM", "LIMIT"].map(right),
    ...hasKills ? [right("OOM KILLS")] : [],
    ...hasGuardKills ? [right("GUARD KILLS")] : [],
    { title: "CGROUP", align: "left" } as const,
  ];
  const rows = listed.map((group) => [
    bytesText(group.peak),
    group.peakShare === null ? "–" : formatPercent(100 * group.peakShare),
    bytesText(group.minHeadroom),
    group.limit === null ? "none" : bytesText(group.limit),
    ...hasKills ? [String(group.kills)] : [],
    ...hasGuardKills ? [String(group.guardKills)] : [],
    placeText(group, width),
  ]);
  const [titles, ...lines] = tabulate(columns, rows, width, shortenPlace);
  const omitted = groups.length - listed.length;
  return [
    "",
    style("dim", titles!),
    ...lines.map((line, at) => isTight(listed[at]!) ? style("red", line) : line),
    ...omitted === 0 ? [] : [style("dim", `… ${omitted} more (all: --json)`)],
  ];
}

const MIN_PLACE_WIDTH = 16;

const shortenPlace = (text: string, width: number) =>
  cutMiddle(text, Math.max(MIN_PLACE_WIDTH, width));

const isTight = ({ peakShare }: Group) => peakShare !== null && peakShare >= CLOSE_SHARE;

function placeText({ path, owner, removedAt }: Group, width: number): string {
  const name = width === Infinity ? path : cgroupName(path);
  const limit = owner === null || owner === path ? [] : [`limit set by ${owner}`];
  const notes = [...limit, ...removedAt === null ? [] : ["removed"]];
  return notes.length === 0 ? name : `${name} (${notes.join(", ")})`;
}
