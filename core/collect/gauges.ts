/**
 * Usage of many cgroups, and how soon each reaches a limit, for a live view. A round reads one file of each cgroup; limits,
 * which rarely change, are read less often.
 */

import { type Cgroup, parentOf, readUsage, tryReader } from "../cgroup/cgroup.ts";
import { parentPath } from "../cgroup_path.ts";
import { OomkitError } from "../errors.ts";
import { type AncestorLimit, effectiveLimit, headroom } from "../policy/limits.ts";
import { delay } from "../timing.ts";
import { createUsageHistory, type UsageHistory } from "./usage_history.ts";

/** Bytes; absent is unknown. */
export interface Gauge {
  readonly usage: number | undefined;
  /** The effective limit; `Infinity` for none. */
  readonly limit: number;
  /** Below the limit that is reached next, which may be shared with other cgroups. */
  readonly headroom: number | undefined;
  /** Bytes a second, over the last few rounds. */
  readonly rate: number | undefined;
  /** Seconds until that limit is reached at the rate of its cgroup; `Infinity` while usage does not rise. */
  readonly timeLeft: number | undefined;
}

export interface Gauges {
  /** Reads these cgroups, and drops all others. */
  round(cgroups: Iterable<Cgroup>): Promise<void>;
  /** As of the last round; `undefined` for a cgroup that was not in it, or is gone. */
  of(path: string): Gauge | undefined;
  /** Usage in the last minutes, oldest first; empty for a cgroup that was not in the last round. */
  history(path: string): (number | undefined)[];
  /** Milliseconds that the last round took, including other work of this thread. */
  took(): number;
}

export interface GaugesOptions {
  /** A monotonic clock in milliseconds. */
  readonly now: () => number;
  /** Lets other work of this thread run. */
  readonly yieldTurn?: () => Promise<void>;
}

/** A changed limit is shown this late at most, where its change is not notified. */
const MAX_LIMIT_AGE_MS = 5000;
/** The first rounds after that read this fraction of all limits each, so that no round has to read all of them. */
const LIMIT_SPREAD = 10;
/** The guard and the watch in this thread are delayed no longer than this. */
const MAX_MS_PER_TURN = 4;

interface Track {
  readonly cgroup: Cgroup;
  readonly parent: string | undefined;
  readonly history: UsageHistory;
  usage: number | undefined;
  /** The cgroup's own. */
  limit: number | undefined;
  hierarchicalLimit: number | undefined;
  readLimitsAt: number;
  /** The last round that read it. */
  round: number;
}

export function createGauges(
  { now, yieldTurn = () => delay(0) }: GaugesOptions,
): Gauges {
  /** By path; also the ancestors of the cgroups of a round. */
  const tracks = new Map<string, Track>();
  let round = 0;
  let took = 0;
  /** The paths of the last round. */
  let requested = new Set<string>();
  /** Paths without a usage in this round, such as v2's root, which is above every cgroup. */
  const withoutUsage = new Set<string>();

  /** Reads a cgroup and its ancestors, each once in a round. */
  const visit = (cgroup: Cgroup) => {
    const { path } = cgroup;
    const known = tracks.get(path);
    const same = known?.cgroup.inode === cgroup.inode ? known : undefined;
    if (same?.round === round) return;
    const at = now();
    const track = same ?? newTrack(cgroup, at);
    track.round = round;
    track.usage = tryReadUsage(cgroup);
    if (track.usage === undefined) {
      withoutUsage.add(path);
      tracks.delete(path);
      return;
    }
    track.history.add(at, track.usage);
    if (track.readLimitsAt <= at) {
      const share = same ? 1 : (tracks.size % LIMIT_SPREAD + 1) / LIMIT_SPREAD;
      track.readLimitsAt = at + MAX_LIMIT_AGE_MS * share;
      readLimits(track);
    }
    tracks.set(path, track);
    if (track.parent === undefined) return;
    const above = tracks.get(track.parent);
    if (above?.round === round || withoutUsage.has(track.parent)) return;
    const parent = above?.cgroup ?? parentOf(cgroup);
    if (parent) visit(parent);
  };

  const chainOf = (track: Track): AncestorLimit[] => {
    const { cgroup: { path }, limit, usage, parent } = track;
    const above = parent === undefined ? undefined : tracks.get(parent);
    return [{ path, limit, usage }, ...above ? chainOf(above) : []];
  };

  const trackOf = (path: string) => requested.has(path) ? tracks.get(path) : undefined;

  return {
    async round(cgroups) {
      const startedAt = now();
      let turnEndsAt = startedAt + MAX_MS_PER_TURN;
      round += 1;
      requested = new Set();
      withoutUsage.clear();
      for (const cgroup of cgroups) {
        requested.add(cgroup.path);
        visit(cgroup);
        if (now() < turnEndsAt) continue;
        await yieldTurn();
        turnEndsAt = now() + MAX_MS_PER_TURN;
      }
      for (const [path, track] of tracks) if (track.round !== round) tracks.delete(path);
      took = now() - startedAt;
    },
    of(path) {
      const track = trackOf(path);
      if (track === undefined) return undefined;
      const chain = chainOf(track);
      const room = headroom(chain, "usage", track.hierarchicalLimit);
      const owner = (room?.owner === undefined ? undefined : tracks.get(room.owner)) ?? track;
      return {
        usage: track.usage,
        limit: effectiveLimit(chain, track.hierarchicalLimit).bytes,
        headroom: room?.bytes,
        rate: track.history.rate(),
        timeLeft: timeLeft(room?.bytes, owner.history.rate()),
      };
    },
    history: (path) => trackOf(path)?.history.peaks() ?? [],
    took: () => took,
  };
}

function newTrack(cgroup: Cgroup, now: number): Track {
  const { path, hierarchy } = cgroup;
  return {
    cgroup,
    parent: path === hierarchy.root ? undefined : parentPath(path),
    history: createUsageHistory(),
    usage: undefined,
    limit: undefined,
    hierarchicalLimit: undefined,
    readLimitsAt: now,
    round: -1,
  };
}

/** Bytes a second. Slower growth is noise: at that rate no limit is reached within a day. */
const MIN_RATE = 1024;

/** Seconds. @param room bytes. @param rate bytes a second. */
export function timeLeft(room: number | undefined, rate: number | undefined): number | undefined {
  if (room === 0) return 0;
  if (room === undefined || rate === undefined) return undefined;
  return rate < MIN_RATE ? Infinity : room / rate;
}

function readLimits(track: Track): void {
  const { version, hidden } = track.cgroup.hierarchy;
  const readFile = tryReader(track.cgroup);
  track.limit = version.limit(readFile);
  // Only v1 has the row; it includes ancestors that a container's mount does not show.
  track.hierarchicalLimit = hidden
    ? version.snapshot((name) => name === "memory.stat" ? readFile(name) : undefined)
      .hierarchicalLimit
    : undefined;
}

/** A file that may not be read is unknown: a view must not end the guard that it shows. */
function tryReadUsage(cgroup: Cgroup): number | undefined {
  try {
    return readUsage(cgroup);
  } catch (error) {
    if (!(error instanceof OomkitError)) throw error;
    return undefined;
  }
}
