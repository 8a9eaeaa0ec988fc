/** Builds a picture from the lines of a recording, in bounded memory for a run of any length. Pure. */

import type {
  RecordedCgroup,
  RecordedEvent,
  RecordedSnapshot,
  RecordingLine,
} from "../record/format.ts";
import { isInSubtree, parentPath } from "../cgroup_path.ts";
import { clockText } from "../figures.js";
import { fieldsOf, killedProcessOf, type LimitHit, limitHitOf } from "./killed_process.ts";
import { isKill } from "./page/glyphs.js";
import type { ChartEvent, Group, KilledProcess, Kind, Picture } from "./picture.ts";
import {
  type GroupData,
  isNewPeak,
  markLimitHit,
  newGroup,
  raisePeak,
  seriesOf,
} from "./recorded_group.ts";
import { addSpike, append, halve, hold, MAX_POINTS, type Series } from "./series.ts";
import { type Outcome, verdictOf } from "./verdict.ts";

/** An event of oomkit or of a simulation. Read from a file, all fields but the type may be invalid. */
export type RecordedBody = RecordedEvent["event"];

/** Texts of the caller. */
export interface Words {
  /** Makes an external name printable. */
  readonly printable: (name: string) => string;
  /** The facts of an event in one line; `undefined` for an event that is not drawn. */
  readonly facts: (event: RecordedBody) => string | undefined;
}

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

/** Points of all series together, 16 bytes each: about 10 MB, also in a guard. */
const MAX_TOTAL_POINTS = 600_000;
/** Builds and jobs can create any number of cgroups: the removed ones furthest from their limits are dropped first. */
export const MAX_GROUPS = 10_000;
const MAX_EVENTS = 5000;
/** By the kernel, and as many by oomkit. */
const MAX_KILLED_PROCESSES = 1000;

interface Kills {
  readonly kernel: number;
  readonly guard: number;
}

const NO_KILLS: Kills = { kernel: 0, guard: 0 };
const ONE_KERNEL_KILL: Kills = { kernel: 1, guard: 0 };
const ONE_GUARD_KILL: Kills = { kernel: 0, guard: 1 };

const sumOf = (one: Kills, other: Kills): Kills => ({
  kernel: one.kernel + other.kernel,
  guard: one.guard + other.guard,
});

/** The cgroup itself if it is among `paths`, else the nearest one around it. */
function nearestIn(paths: ReadonlyMap<string, number>, path: string): string | undefined {
  for (let around = path;; around = parentPath(around)) {
    if (paths.has(around)) return around;
    if (around === "/" || !around.startsWith("/")) return undefined;
  }
}

interface Place {
  /** A path. */
  readonly of: string;
  /** The cgroup with that path when it happened; `undefined` if none was described yet. */
  readonly id: number | undefined;
}

/** Before the index of the cgroup is known. */
type Unplaced<T> = Omit<T, "group"> & Place;

export class PictureBuilder {
  readonly #words: Words;
  #head: Extract<RecordingLine, { type: "recording" }> | undefined;
  #endReason: string | undefined;
  #lastAt = -Infinity;
  readonly #groups = new Map<number, GroupData>();
  #totalPoints = 0;
  readonly #events: Unplaced<ChartEvent>[] = [];
  readonly #killedProcesses: Unplaced<KilledProcess>[] = [];
  readonly #listedKills = { kernel: 0, oomkit: 0 };
  /** By path, and the cgroup with that path at that time. */
  readonly #kills = new Map<string, Map<number | undefined, Kills>>();
  readonly #idByPath = new Map<string, number>();
  readonly #outcome: Outcome = { dryRunActions: 0 };
  readonly #omitted = { groups: 0, events: 0, killedProcesses: 0, samples: 0, points: false };

  constructor(words: Words) {
    this.#words = words;
  }

  add(line: RecordingLine): void {
    if (Number.isFinite(line.at)) this.#lastAt = Math.max(this.#lastAt, line.at);
    if (line.type === "recording") this.#head = line;
    else if (line.type === "cgroup") this.#addCgroup(line);
    else if (line.type === "snapshot") this.#addSnapshot(line);
    else if (line.type === "event") this.#addEvent(line.at, line.event);
    else if (line.type === "gone") {
      const group = this.#groups.get(line.id);
      if (group !== undefined) group.removedAt = line.at;
    } else if (line.type === "lost") this.#omitted.samples += line.snapshots;
    else if (line.type === "end") this.#endReason = line.reason;
  }

  /** `undefined` without the first line. @param remarks added to those of the recording */
  picture(remarks: readonly string[] = []): Picture | undefined {
    const head = this.#head;
    if (head === undefined) return undefined;
    const { printable } = this.#words;
    // The last of several cgroups with the same path.
    const idByPath = new Map([...this.#groups].map(([id, { cgroup: { path } }]) => [path, id]));
    const idOf = ({ of, id }: Place) =>
      id !== undefined && this.#groups.has(id) ? id : idByPath.get(nearestIn(idByPath, of) ?? "");
    const killsIn = new Map<number | undefined, Kills>();
    let allKills = NO_KILLS;
    for (const [of, byId] of this.#kills) {
      for (const [id, kills] of byId) {
        const around = idOf({ of, id });
        killsIn.set(around, sumOf(killsIn.get(around) ?? NO_KILLS, kills));
        allKills = sumOf(allKills, kills);
      }
    }
    const to = Math.max(this.#lastAt, head.at + 1);
    for (const data of this.#groups.values()) {
      for (const series of seriesOf(data)) hold(series, data.removedAt ?? to);
    }
    const groups = [...this.#groups.values()]
      .map((data) => this.#groupOf(data, killsIn.get(data.id) ?? NO_KILLS))
      .sort(byImportance);
    const indices = new Map<number | undefined, number>(groups.map(({ id }, index) => [id, index]));
    const placed = <T extends Place>({ of, id, ...rest }: T) => ({
      ...rest,
      group: indices.get(idOf({ of, id })) ?? null,
    });
    const picture = {
      command: head.command,
      oomkit: printable(head.oomkit),
      host: printable(head.host),
      kernel: printable(head.kernel),
      hierarchy: head.hierarchy,
      from: head.at,
      to,
      groups,
      kills: allKills.kernel,
      guardKills: allKills.guard,
      events: this.#events.map(placed).sort(byTime),
      killedProcesses: this.#killedProcesses.map(placed).sort(byTime),
      remarks: [...remarks, ...this.#remarks()],
    };
    return { ...picture, ...verdictOf(picture, this.#outcome) };
  }

  #addCgroup(line: RecordedCgroup): void {
    const group = this.#groups.get(line.id);
    const step = { at: line.at, limit: line.limit };
    if (group === undefined) {
      if (this.#groups.size >= MAX_GROUPS) this.#dropGroup();
      if (this.#groups.size >= MAX_GROUPS) return;
      this.#groups.set(line.id, newGroup(line, step));
      this.#idByPath.set(line.path, line.id);
    } else {
      group.cgroup = line;
      if (group.limits.at(-1)?.limit !== line.limit) group.limits.push(step);
    }
  }

  /** Drops the removed cgroup without kills that stayed furthest from its limit. */
  #dropGroup(): void {
    this.#omitted.groups++;
    let furthest: GroupData | undefined;
    for (const group of this.#groups.values()) {
      if (group.removedAt === null || this.#kills.has(group.cgroup.path)) continue;
      if (furthest === undefined || (group.peakShare ?? -1) < (furthest.peakShare ?? -1)) {
        furthest = group;
      }
    }
    if (furthest === undefined) return;
    this.#groups.delete(furthest.id);
    const { path } = furthest.cgroup;
    if (this.#idByPath.get(path) === furthest.id) this.#idByPath.delete(path);
    for (const { length } of seriesOf(furthest)) this.#totalPoints -= length;
  }

  #addSnapshot(line: RecordedSnapshot): void {
    const group = this.#groups.get(line.id);
    if (group === undefined) return;
    const { at, usage, peak, inactive_file: inactive } = line;
    const { working, cgroup: { limit } } = group;
    this.#append(group.usage, at, usage);
    raisePeak(group, usage, limit);
    if (peak !== undefined && isNewPeak(group, peak)) this.#addUnseen(group, at, peak, limit);
    // memory.stat is read less often than usage.
    group.inactiveFile = inactive ?? group.inactiveFile;
    if (group.inactiveFile !== null) {
      this.#append(working, at, Math.max(0, usage - group.inactiveFile));
    }
    if (line.some !== undefined) this.#append(group.some, at, line.some);
    if (line.full !== undefined) this.#append(group.full, at, line.full);
  }

  /** Adds usage that no sample has shown. */
  #addUnseen(group: GroupData, at: number, usage: number, limit: number | null): void {
    raisePeak(group, usage, limit);
    const before = group.usage.length;
    addSpike(group.usage, at, usage);
    this.#totalPoints += group.usage.length - before;
  }

  /** All of the limit was in use, whatever the samples show. */
  #addLimitHit(at: number, hit: LimitHit): void {
    for (const group of this.#groups.values()) {
      const { path, usage_cgroup, limit_owner } = group.cgroup;
      const owner = hit.owner ?? (path === hit.cgroup ? limit_owner : null);
      const limit = hit.limit ?? group.cgroup.limit;
      if (group.removedAt !== null || owner === null || limit === null) continue;
      if (usage_cgroup === owner) this.#addUnseen(group, at, limit, limit);
      // Its samples are of a part of what the limit counts.
      else if (limit_owner === owner && isInSubtree(hit.cgroup, path)) markLimitHit(group, limit);
    }
  }

  #append(series: Series, at: number, value: number): void {
    const before = series.length;
    if (before >= MAX_POINTS) this.#omitted.points = true;
    append(series, at, value);
    this.#totalPoints += series.length - before;
    if (this.#totalPoints > MAX_TOTAL_POINTS) this.#halveLongest();
  }

  #halveLongest(): void {
    const longest = this.#groups.values().flatMap(seriesOf)
      .reduce((longest, series) => series.length > longest.length ? series : longest);
    this.#totalPoints -= longest.length;
    halve(longest);
    this.#totalPoints += longest.length;
  }

  #addEvent(at: number, body: RecordedBody): void {
    const event = fieldsOf(body);
    const type = typeof event.type === "string" ? event.type : "event";
    const of = typeof event.cgroup === "string" ? event.cgroup : "";
    const text = this.#words.facts(body);
    if (type === "verdict" && this.#head?.command === "simulate") {
      this.#outcome.verdict = text;
      this.#outcome.isAsExpected = event.as_expected === true;
      return;
    }
    if (type === "action" && event.outcome === "dry_run") this.#outcome.dryRunActions += 1;
    const hit = limitHitOf(body);
    if (hit !== undefined) this.#addLimitHit(at, hit);
    const place = { of, id: this.#idByPath.get(of) };
    const killed = killedProcessOf(body, this.#words.printable);
    if (killed !== undefined) this.#addKill({ ...killed, ...place, at });
    if (text === undefined) return;
    const kind = KINDS[type] ?? "note";
    if (this.#events.length >= MAX_EVENTS) {
      this.#omitted.events++;
      if (!isKill(kind)) return;
      const lesser = this.#events.findLastIndex((each) => !isKill(each.kind));
      if (lesser < 0) return;
      this.#events.splice(lesser, 1);
    }
    this.#events.push({ ...place, at, cgroup: this.#words.printable(of), type, kind, text });
  }

  #addKill(killed: Unplaced<KilledProcess>): void {
    const { of, id, by } = killed;
    const byId = this.#kills.get(of) ?? new Map<number | undefined, Kills>();
    const one = by === "kernel" ? ONE_KERNEL_KILL : ONE_GUARD_KILL;
    byId.set(id, sumOf(byId.get(id) ?? NO_KILLS, one));
    this.#kills.set(of, byId);
    if (this.#listedKills[by] >= MAX_KILLED_PROCESSES) this.#omitted.killedProcesses++;
    else {
      this.#listedKills[by]++;
      this.#killedProcesses.push(killed);
    }
  }

  #groupOf({ cgroup, ...data }: GroupData, { kernel, guard }: Kills): Group {
    const { printable } = this.#words;
    const printableOrNull = (name: string | null) => name === null ? null : printable(name);
    return {
      ...data,
      path: printable(cgroup.path),
      container: printableOrNull(cgroup.container_id),
      pod: printableOrNull(cgroup.pod_uid),
      limit: cgroup.limit,
      owner: printableOrNull(cgroup.limit_owner),
      marks: cgroup.reference_lines.map(({ name, bytes }) => ({ name: printable(name), bytes })),
      kills: kernel,
      guardKills: guard,
    };
  }

  #remarks(): string[] {
    const { points, samples, groups, events, killedProcesses } = this.#omitted;
    const end = this.#endReason;
    return [
      end === "full" && "The recording reached its maximum size before the end of the run.",
      end === undefined &&
      `The recording is incomplete: its end is missing, after ${clockText(this.#lastAt)} UTC.`,
      points && "The longest curves keep only the minimum and maximum of each interval.",
      samples > 0 && `${samples} samples were lost: they came faster than they could be written.`,
      groups > 0 && `${groups} more cgroups are not shown.`,
      events > 0 && `${events} more events are not shown.`,
      killedProcesses > 0 && `${killedProcesses} more victims are not shown.`,
    ].filter((remark) => remark !== false);
  }
}

const byTime = (a: { at: number }, b: { at: number }) => a.at - b.at;

/** Most kills first, then the highest share of the limit, then the highest peak. */
function byImportance(a: Group, b: Group): number {
  return b.kills + b.guardKills - a.kills - a.guardKills ||
    (b.peakShare ?? -1) - (a.peakShare ?? -1) ||
    (b.peak ?? -1) - (a.peak ?? -1) || (a.path < b.path ? -1 : 1);
}
