/**
 * What each of many cgroups uses, and how soon it is at a limit, read over and over again for somebody who looks on. A round reads
 * one file of each; limits, which seldom change, have their turn now and then.
 */

import { type Cgroup, parentOf, readUsage, tryReader } from "../cgroup/cgroup.ts";
import { OomkitError } from "../errors.ts";
import { type AncestorLimit, effectiveLimit, headroom } from "../policy/limits.ts";
import { createUsageHistory, type UsageHistory } from "./usage_history.ts";

/** Bytes; absent is not known. */
export interface Gauge {
  readonly usage: number | undefined;
  /** The effective one; `Infinity` for none. */
  readonly limit: number;
  /** Until the limit that is hit next, which may be one that others use up too. */
  readonly headroom: number | undefined;
  /** Bytes a second, over the last few rounds. */
  readonly rate: number | undefined;
  /** Seconds until that limit is hit, as fast as its cgroup fills; `Infinity` while it does not. */
  readonly timeLeft: number | undefined;
}

export interface Gauges {
  /** Reads them, and forgets all others. */
  round(cgroups: Iterable<Cgroup>): Promise<void>;
  /** As it was in the last round; `undefined` for who was not in it, or is gone. */
  of(path: string): Gauge | undefined;
  /** Of usage in the last minutes, oldest first; empty for who was not in the last round. */
  course(path: string): (number | undefined)[];
  /** Milliseconds that the last round took, with the turns of others. */
  took(): number;
}

export interface GaugesOptions {
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
  /** Lets others have their turn. */
  readonly rest?: () => Promise<void>;
}

/** A limit that was changed is shown this late at most, where there is no notification of it (milliseconds). */
const LIMIT_EVERY_MS = 5000;
/** First reads are spread over that time, so that no round has to read all of them. */
const LIMIT_SPREAD = 10;
/** Who guards and watches has his turn after so many milliseconds. */
const MAX_MS_PER_TURN = 4;

interface Track {
  readonly cgroup: Cgroup;
  readonly parent: string | undefined;
  readonly course: UsageHistory;
  usage: number | undefined;
  /** Its own. */
  limit: number | undefined;
  hierarchical: number | undefined;
  limitDueAt: number;
  round: number;
}

export function createGauges({ now, rest = nextTurn }: GaugesOptions): Gauges {
  const tracks = new Map<string, Track>();
  let round = 0;
  let took = 0;
  let isTarget = new Set<string>();
  /** v2's root has no usage, and is above all. */
  const silent = new Set<string>();

  const keyOf = ({ path, hierarchy }: Cgroup) =>
    path === hierarchy.root ? undefined : path.slice(0, path.lastIndexOf("/")) || "/";

  /** Reads it unless this round has; then those above it. */
  const visit = (cgroup: Cgroup) => {
    const { path } = cgroup;
    const known = tracks.get(path);
    const same = known?.cgroup.inode === cgroup.inode ? known : undefined;
    if (same?.round === round) return;
    const at = now();
    const track = same ?? {
      cgroup,
      parent: keyOf(cgroup),
      course: createUsageHistory(),
      usage: undefined,
      limit: undefined,
      hierarchical: undefined,
      limitDueAt: at,
      round,
    };
    track.round = round;
    track.usage = tryReadUsage(cgroup);
    if (track.usage === undefined) {
      silent.add(path);
      return void tracks.delete(path);
    }
    track.course.note(at, track.usage);
    if (track.limitDueAt <= at) {
      const isFirst = same === undefined;
      const spread = isFirst ? (tracks.size % LIMIT_SPREAD + 1) / LIMIT_SPREAD : 1;
      track.limitDueAt = at + LIMIT_EVERY_MS * spread;
      readLimits(track);
    }
    tracks.set(path, track);
    if (track.parent === undefined) return;
    const above = tracks.get(track.parent);
    if (above?.round === round || silent.has(track.parent)) return;
    const parent = above?.cgroup ?? parentOf(cgroup);
    if (parent) visit(parent);
  };

  const linksOf = (track: Track): AncestorLimit[] => {
    const links: AncestorLimit[] = [];
    for (
      let at: Track | undefined = track;
      at;
      at = at.parent === undefined ? undefined : tracks.get(at.parent)
    ) links.push({ path: at.cgroup.path, limit: at.limit, usage: at.usage });
    return links;
  };

  return {
    async round(cgroups) {
      const begun = now();
      let sliceEnd = begun + MAX_MS_PER_TURN;
      round += 1;
      isTarget = new Set();
      silent.clear();
      for (const cgroup of cgroups) {
        isTarget.add(cgroup.path);
        visit(cgroup);
        if (now() < sliceEnd) continue;
        await rest();
        sliceEnd = now() + MAX_MS_PER_TURN;
      }
      for (const [path, track] of tracks) if (track.round !== round) tracks.delete(path);
      took = now() - begun;
    },
    of(path) {
      const track = isTarget.has(path) ? tracks.get(path) : undefined;
      if (track === undefined) return undefined;
      const chain = linksOf(track);
      const room = headroom(chain, "usage", track.hierarchical);
      const owner = (room?.owner === undefined ? undefined : tracks.get(room.owner)) ?? track;
      return {
        usage: track.usage,
        limit: effectiveLimit(chain, track.hierarchical).bytes,
        headroom: room?.bytes,
        rate: track.course.rate(),
        timeLeft: timeLeft(room?.bytes, owner.course.rate()),
      };
    },
    course: (path) => (isTarget.has(path) ? tracks.get(path) : undefined)?.course.values() ?? [],
    took: () => took,
  };
}

/** Noise is no growth: so slow, no limit is met on the day that one looks at it (bytes a second). */
const SLOWEST = 1024;

/** Seconds. @param room bytes. @param rate bytes a second. */
export function timeLeft(room: number | undefined, rate: number | undefined): number | undefined {
  if (room === 0) return 0;
  if (room === undefined || rate === undefined) return undefined;
  return rate < SLOWEST ? Infinity : room / rate;
}

function readLimits(track: Track): void {
  const { cgroup } = track;
  const { version, hidden } = cgroup.hierarchy;
  const peek = tryReader(cgroup);
  track.limit = version.limit(peek);
  // Only v1 has the row; it counts ancestors in that a container's mount does not show.
  track.hierarchical = hidden
    ? version.snapshot((name) => name === "memory.stat" ? peek(name) : undefined).hierarchicalLimit
    : undefined;
}

/** What may not be read is not known: whoever looks on must not end what he looks at. */
function tryReadUsage(cgroup: Cgroup): number | undefined {
  try {
    return readUsage(cgroup);
  } catch (error) {
    if (!(error instanceof OomkitError)) throw error;
    return undefined;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
