/** What of an event goes into a picture: its mark, and who died. Pure. */

import type {
  RecordedCgroup,
  RecordedEvent,
  RecordedSnapshot,
  RecordingLine,
} from "../record/format.ts";
import type { ChartEvent, Group, KilledProcess, Kind, Picture, Step } from "./picture.ts";
import { append, emptySeries, halve, MAX_POINTS, type Series } from "./series.ts";
import { verdictOf } from "./verdict.ts";

/** An event of oomkit, or one of a simulation's own; out of a file it may be anything beside its type. */
export type RecordedBody = RecordedEvent["event"];

const KINDS: Readonly<Record<string, Kind>> = {
  oom_kill: "kill",
  oom_group_kill: "kill",
  action: "act",
  oom: "oom",
  max: "oom",
  high: "oom",
  threshold: "level",
  level_reached: "level",
  pressure: "level",
};

export const kindOf = (type: string): Kind => KINDS[type] ?? "note";

/** Of what a picture has to leave out some when there are too many. */
export const isKill = (kind: Kind): boolean => kind === "kill" || kind === "act";

type Dead = Omit<KilledProcess, "at" | "group">;
type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? value as Fields : {};
const textOf = (value: unknown): string | null => typeof value === "string" ? value : null;
const numberOf = (value: unknown): number | null => typeof value === "number" ? value : null;

/** Who died of it; a group killed at once is told of victim by victim besides. */
export function killedProcessOf(event: RecordedBody): Dead | undefined {
  const fields = fieldsOf(event);
  if (event.type === "oom_kill") return killedByKernel(event, fields);
  const isDeath = event.type === "action" && fields.dry_run !== true &&
    fields.outcome === "killed" &&
    (fields.action === "process" || fields.action === "container");
  if (!isDeath) return undefined;
  const victim = fieldsOf(fields.victim);
  const signal = textOf(fields.signal);
  return {
    cgroup: textOf(victim.cgroup) ?? textOf(fields.container) ?? event.cgroup,
    pid: numberOf(victim.pid),
    comm: textOf(victim.comm) ??
      (fields.action === "container" ? "everything in the cgroup" : null),
    bytes: numberOf(victim.rss),
    by: "oomkit",
    how: `at ${textOf(fields.level)}${signal === null ? "" : `, by ${signal}`}`,
  };
}

function killedByKernel(event: RecordedBody, fields: Fields): Dead {
  const victim = fieldsOf(fields.victim);
  const owner = textOf(fields.limit_owner);
  const where = fields.scope === "system"
    ? "as the machine ran out"
    : owner === null || owner === event.cgroup
    ? "at its limit"
    : `at the limit of ${owner}`;
  return {
    cgroup: event.cgroup,
    pid: numberOf(victim.pid),
    comm: textOf(victim.comm),
    bytes: sum(victim.anon_rss, victim.file_rss, victim.shmem_rss),
    by: "kernel",
    how: fields.inferred === true ? `${where}; no counter could confirm it` : where,
  };
}

function sum(...parts: readonly unknown[]): number | null {
  const known = parts.filter((part) => typeof part === "number");
  return known.length === 0 ? null : known.reduce((total, part) => total + part, 0);
}

/* A recording's lines, one after the other, into a picture; in bounded memory, however long the run. Pure. */

/** How things are said, which is not for this folder to know. */
export interface Words {
  /** A name from outside, made harmless to the eye. */
  readonly printable: (name: string) => string;
  /** An event's facts in one line, its names shown; `undefined` for what a picture has no use for. */
  readonly facts: (event: RecordedBody) => string | undefined;
}

export interface ChartBuilder {
  add(line: RecordingLine): void;
  /** @param remarks what the reader has to know of how the lines were come by. */
  picture(remarks?: readonly string[]): Picture | undefined;
}

/** All series together: 16 bytes each, so some 10 MB at the very most, in a guard too. */
const MAX_IN_ALL = 600_000;
/** Where builds or jobs come and go there is no end of them; of those that are gone the ones that were far from their limit go. */
export const MAX_GROUPS = 10_000;
const MAX_EVENTS = 5000;
const MAX_CASUALTIES = 1000;

interface Raw {
  id: number;
  cgroup: RecordedCgroup;
  limits: Step[];
  usage: Series;
  working: Series;
  some: Series;
  full: Series;
  peak: number | null;
  peakShare: number | null;
  peakShareLimit: number | null;
  peakShareHeadroom: number | null;
  removedAt: number | null;
}

type Unplaced<T> = T & { readonly of: string };

export function buildChart({ printable: shown, facts }: Words): ChartBuilder {
  let head: Extract<RecordingLine, { type: "recording" }> | undefined;
  let why: string | undefined;
  let last = -Infinity;
  let points = 0;
  const raws = new Map<number, Raw>();
  const events: Unplaced<ChartEvent>[] = [];
  const killedProcesses: Unplaced<KilledProcess>[] = [];
  const kills = new Map<string, number>();
  const tolds: { verdict?: string | undefined; isFine?: boolean; would: number } = { would: 0 };
  const left = { groups: 0, events: 0, killedProcesses: 0, lost: 0, points: false };

  const put = (series: Series, at: number, value: number) => {
    const before = series.length;
    if (before >= MAX_POINTS) left.points = true;
    append(series, at, value);
    points += series.length - before;
    if (points > MAX_IN_ALL) points -= shorten(raws.values());
  };

  const makeRoom = () => {
    left.groups++;
    let least: Raw | undefined;
    for (const raw of raws.values()) {
      if (raw.removedAt === null || kills.has(raw.cgroup.path)) continue;
      if (least === undefined || (raw.peakShare ?? -1) < (least.peakShare ?? -1)) least = raw;
    }
    if (least === undefined) return;
    raws.delete(least.id);
    for (const { length } of [least.usage, least.working, least.some, least.full]) points -= length;
  };

  const addCgroup = (line: RecordedCgroup) => {
    const raw = raws.get(line.id);
    const step = { at: line.at, limit: line.limit };
    if (raw === undefined) {
      if (raws.size >= MAX_GROUPS) makeRoom();
      if (raws.size < MAX_GROUPS) raws.set(line.id, fresh(line, step));
    } else {
      raw.cgroup = line;
      if (raw.limits.at(-1)?.limit !== line.limit) raw.limits.push(step);
    }
  };

  const addSnapshot = (line: RecordedSnapshot) => {
    const raw = raws.get(line.id);
    if (raw === undefined) return;
    put(raw.usage, line.at, line.usage);
    const { inactive_file: inactive } = line;
    if (inactive !== undefined) put(raw.working, line.at, Math.max(0, line.usage - inactive));
    // It is read more seldom, and is never more than usage.
    else if (line.usage < lastOf(raw.working)) put(raw.working, line.at, line.usage);
    if (line.some !== undefined) put(raw.some, line.at, line.some);
    if (line.full !== undefined) put(raw.full, line.at, line.full);
    raw.peak = Math.max(raw.peak ?? 0, line.usage);
    const { limit } = raw.cgroup;
    if (!limit || line.usage / limit < (raw.peakShare ?? 0)) return;
    raw.peakShare = line.usage / limit;
    raw.peakShareLimit = limit;
    raw.peakShareHeadroom = Math.max(0, limit - line.usage);
  };

  const addEvent = (at: number, told: RecordedBody) => {
    const event: Readonly<Record<string, unknown>> = { ...told };
    const type = typeof event.type === "string" ? event.type : "event";
    const of = typeof event.cgroup === "string" ? event.cgroup : "";
    const text = facts(told);
    if (type === "verdict" && head?.command === "simulate") {
      tolds.verdict = text;
      tolds.isFine = event.as_expected === true;
      return;
    }
    if (type === "action" && event.outcome === "dry_run") tolds.would++;
    if (type === "oom_kill") kills.set(of, (kills.get(of) ?? 0) + 1);
    const killedProcess = killedProcessOf(told);
    if (killedProcess !== undefined) {
      if (killedProcesses.length < MAX_CASUALTIES) {
        killedProcesses.push({
          ...killedProcess,
          of,
          at,
          group: null,
          cgroup: shown(killedProcess.cgroup),
          comm: killedProcess.comm === null ? null : shown(killedProcess.comm),
          how: shown(killedProcess.how),
        });
      } else left.killedProcesses++;
    }
    if (text === undefined) return;
    const kind = kindOf(type);
    if (events.length < MAX_EVENTS) {
      return void events.push({ of, at, group: null, type, kind, text });
    }
    left.events++;
    if (!isKill(kind)) return;
    const lesser = events.findLastIndex((each) => !isKill(each.kind));
    if (lesser < 0) return;
    events.splice(lesser, 1);
    events.push({ of, at, group: null, type, kind, text });
  };

  return {
    add(line) {
      if (Number.isFinite(line.at)) last = Math.max(last, line.at);
      if (line.type === "recording") head = line;
      else if (line.type === "cgroup") addCgroup(line);
      else if (line.type === "snapshot") addSnapshot(line);
      else if (line.type === "event") addEvent(line.at, line.event);
      else if (line.type === "gone") {
        const raw = raws.get(line.id);
        if (raw !== undefined) raw.removedAt = line.at;
      } else if (line.type === "lost") left.lost += line.snapshots;
      else if (line.type === "end") why = line.reason;
    },
    picture(remarks = []) {
      if (head === undefined) return undefined;
      const groups = [...raws.values()].map((raw) => groupOf(raw, kills, shown)).sort(byWeight);
      const places = new Map(groups.map(({ id }, place) => [id, place]));
      // Of several that had the same path it is the last.
      const placeOf = new Map(
        [...raws.values()].map((raw) => [raw.cgroup.path, places.get(raw.id)!]),
      );
      const placed = <T extends Unplaced<ChartEvent | KilledProcess>>({ of, ...rest }: T) => ({
        ...rest,
        group: placeOf.get(of) ?? null,
      });
      const picture = {
        command: head.command,
        oomkit: shown(head.oomkit),
        host: shown(head.host),
        kernel: shown(head.kernel),
        hierarchy: head.hierarchy,
        from: head.at,
        to: Math.max(last, head.at + 1),
        groups,
        events: events.map(placed).sort(byTime),
        killedProcesses: killedProcesses.map(placed).sort(byTime),
        remarks: [...remarks, ...remarksOf(why, left)],
      };
      return { ...picture, ...verdictOf(picture, tolds) };
    },
  };
}

function fresh(cgroup: RecordedCgroup, step: Step): Raw {
  return {
    id: cgroup.id,
    cgroup,
    limits: [step],
    usage: emptySeries(),
    working: emptySeries(),
    some: emptySeries(),
    full: emptySeries(),
    peak: null,
    peakShare: null,
    peakShareLimit: null,
    peakShareHeadroom: null,
    removedAt: null,
  };
}

const lastOf = ({ v, length }: Series) => v[length - 1] ?? 0;

/** @returns by how many points the longest of them all is shorter now. */
function shorten(raws: Iterable<Raw>): number {
  let longest: Series = emptySeries();
  for (const { usage, working, some, full } of raws) {
    for (const series of [usage, working, some, full]) {
      if (series.length > longest.length) longest = series;
    }
  }
  const before = longest.length;
  halve(longest);
  return before - longest.length;
}

function groupOf(raw: Raw, kills: ReadonlyMap<string, number>, shown: Words["printable"]): Group {
  const { cgroup, ...rest } = raw;
  return {
    ...rest,
    path: shown(cgroup.path),
    container: cgroup.container_id === null ? null : shown(cgroup.container_id),
    pod: cgroup.pod_uid === null ? null : shown(cgroup.pod_uid),
    limit: cgroup.limit,
    owner: cgroup.limit_owner === null ? null : shown(cgroup.limit_owner),
    marks: cgroup.reference_lines.map(({ name, bytes }) => ({ name: shown(name), bytes })),
    kills: kills.get(cgroup.path) ?? 0,
  };
}

const byTime = (a: { at: number }, b: { at: number }) => a.at - b.at;

/** Where something died comes first, then what came closest to its limit, then what is largest. */
function byWeight(a: Group, b: Group): number {
  return b.kills - a.kills || (b.peakShare ?? -1) - (a.peakShare ?? -1) ||
    (b.peak ?? -1) - (a.peak ?? -1) || (a.path < b.path ? -1 : 1);
}

function remarksOf(
  why: string | undefined,
  left: Readonly<
    { groups: number; events: number; killedProcesses: number; lost: number; points: boolean }
  >,
): string[] {
  return [
    ...(why === "full" ? ["The recording was full before the run had ended."] : []),
    ...(why === undefined ? ["The recording was broken off: its end is missing."] : []),
    ...(left.points
      ? ["Of the longest lines only the least and the most of each stretch are kept."]
      : []),
    ...(left.lost > 0 ? [`${left.lost} looks came faster than they could be written down.`] : []),
    ...(left.groups > 0 ? [`${left.groups} more cgroups are left out here.`] : []),
    ...(left.events > 0 ? [`${left.events} more events are left out here.`] : []),
    ...(left.killedProcesses > 0
      ? [`${left.killedProcesses} more victims are left out here.`]
      : []),
  ];
}
