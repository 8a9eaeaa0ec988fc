/**
 * Usage of many cgroups, and how soon each reaches a limit, for a live view. A round reads one file of each cgroup; limits,
 * which rarely change, are read less often.
 */

import { readLimitAndUsage, readMachineMemory } from "../cgroup/ancestry.ts";
import { type Cgroup, parentOf, readUsage, tryReader } from "../cgroup/cgroup.ts";
import { parentPath } from "../cgroup_path.ts";
import { OomkitError } from "../errors.ts";
import {
  type AncestorLimit,
  effectiveLimit,
  headroom,
  type MachineMemory,
} from "../policy/limits.ts";
import { delay } from "../timing.ts";

/** Bytes; absent is unknown. */
export interface CgroupUsage {
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

/** A changed limit is shown this late at most, where its change is not notified. */
const MAX_LIMIT_AGE_MS = 5000;
/** The first rounds after that read this fraction of all limits each, so that no round has to read all of them. */
const LIMIT_SPREAD = 10;
/** The guard and the watch in this thread are delayed no longer than this. */
const MAX_MS_PER_TURN = 4;

/** What is known of a cgroup. */
class Track {
  readonly parent: string | undefined;
  readonly history = new UsageHistory();
  usage: number | undefined;
  /** The cgroup's own. */
  limit: number | undefined;
  hierarchicalLimit: number | undefined;
  /** The last round that read it. */
  round = -1;

  constructor(readonly cgroup: Cgroup, public readLimitsAt: number) {
    const { path, hierarchy } = cgroup;
    this.parent = path === hierarchy.root ? undefined : parentPath(path);
  }

  readLimits(): void {
    const { version, hidden } = this.cgroup.hierarchy;
    const readFile = tryReader(this.cgroup);
    this.limit = this.cgroup.machine
      ? readLimitAndUsage(this.cgroup).limit
      : version.limit(readFile);
    // Only v1 has the row; it includes ancestors that a container's mount does not show.
    this.hierarchicalLimit = hidden
      ? version.snapshot((name) => name === "memory.stat" ? readFile(name) : undefined)
        .limits.hierarchical
      : undefined;
  }
}

export class LiveUsage {
  /** By path; also the ancestors of the cgroups of a round. */
  readonly #tracks = new Map<string, Track>();
  #round = 0;
  #tookMs = 0;
  /** The paths of the last round. */
  #requested = new Set<string>();
  /** Of this round; `undefined` for cgroups of a copy. */
  #machine: MachineMemory | undefined;
  /** Paths without a usage in this round, such as v2's root, which is above every cgroup. */
  readonly #withoutUsage = new Set<string>();

  /**
   * @param now milliseconds of a monotonic clock.
   * @param yieldTurn lets other work of this thread run.
   */
  constructor(
    private readonly now: () => number,
    private readonly yieldTurn: () => Promise<void> = () => delay(0),
  ) {}

  /** Milliseconds that the last round took, including other work of this thread. */
  get tookMs(): number {
    return this.#tookMs;
  }

  /** Reads these cgroups, and drops all others. */
  async round(cgroups: Iterable<Cgroup>): Promise<void> {
    const startedAt = this.now();
    let turnEndsAt = startedAt + MAX_MS_PER_TURN;
    this.#round += 1;
    this.#requested = new Set();
    this.#withoutUsage.clear();
    this.#machine = undefined;
    for (const cgroup of cgroups) {
      this.#machine ??= readMachineMemory(cgroup);
      this.#requested.add(cgroup.path);
      this.#visit(cgroup);
      if (this.now() < turnEndsAt) continue;
      await this.yieldTurn();
      turnEndsAt = this.now() + MAX_MS_PER_TURN;
    }
    for (const [path, { round }] of this.#tracks) {
      if (round !== this.#round) this.#tracks.delete(path);
    }
    this.#tookMs = this.now() - startedAt;
  }

  /** As of the last round; `undefined` for a cgroup that was not in it, or is gone. */
  of(path: string): CgroupUsage | undefined {
    const track = this.#requestedTrack(path);
    if (track === undefined) return undefined;
    const { usage, hierarchicalLimit, history } = track;
    const chain = this.#chainOf(track);
    const bounds = { hierarchical: hierarchicalLimit, machine: this.#machine };
    const room = headroom(chain, "usage", bounds);
    const owner = this.#tracks.get(room?.owner ?? path) ?? track;
    return {
      usage,
      limit: effectiveLimit(chain, bounds).bytes,
      headroom: room?.bytes,
      rate: history.rate(),
      timeLeft: timeLeft(room?.bytes, owner.history.rate()),
    };
  }

  /** Usage in the last minutes, oldest first; empty for a cgroup that was not in the last round. */
  history(path: string): (number | undefined)[] {
    return this.#requestedTrack(path)?.history.peaks() ?? [];
  }

  #requestedTrack(path: string): Track | undefined {
    return this.#requested.has(path) ? this.#tracks.get(path) : undefined;
  }

  /** Reads a cgroup and its ancestors, each once in a round. */
  #visit(cgroup: Cgroup): void {
    const { path } = cgroup;
    const known = this.#tracks.get(path);
    const same = known?.cgroup.inode === cgroup.inode ? known : undefined;
    if (same?.round === this.#round) return;
    const at = this.now();
    const track = same ?? new Track(cgroup, at);
    track.round = this.#round;
    track.usage = tryReadUsage(cgroup);
    if (track.usage === undefined) {
      this.#withoutUsage.add(path);
      this.#tracks.delete(path);
      return;
    }
    track.history.add(at, track.usage);
    if (track.readLimitsAt <= at) {
      const share = same ? 1 : (this.#tracks.size % LIMIT_SPREAD + 1) / LIMIT_SPREAD;
      track.readLimitsAt = at + MAX_LIMIT_AGE_MS * share;
      track.readLimits();
    }
    this.#tracks.set(path, track);
    if (track.parent === undefined) return;
    const above = this.#tracks.get(track.parent);
    if (above?.round === this.#round || this.#withoutUsage.has(track.parent)) return;
    const parent = above?.cgroup ?? parentOf(cgroup);
    if (parent) this.#visit(parent);
  }

  #chainOf({ cgroup: { path }, limit, usage, parent }: Track): AncestorLimit[] {
    const above = parent === undefined ? undefined : this.#tracks.get(parent);
    return [{ path, limit, usage }, ...above ? this.#chainOf(above) : []];
  }
}

/** Bytes a second. Slower growth is noise: at that rate no limit is reached within a day. */
const MIN_RATE = 1024;

/** Seconds. @param room bytes. @param rate bytes a second. */
export function timeLeft(room: number | undefined, rate: number | undefined): number | undefined {
  if (room === 0) return 0;
  if (room === undefined || rate === undefined) return undefined;
  return rate < MIN_RATE ? Infinity : room / rate;
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

/** Three minutes in all. */
export const MAX_INTERVALS = 60;
const INTERVAL_MS = 3000;
/** Of fewer values a step looks like a trend; more of them make the rate late when it matters. */
const VALUES_FOR_RATE = 5;
/** Older values say nothing about the rate now. */
const MAX_AGE_MS = 15_000;

/** The course of one figure over the last minutes, in little memory: one number for every few seconds. */
export class UsageHistory {
  readonly #peaks = new Float64Array(MAX_INTERVALS).fill(NaN);
  #firstInterval = NaN;
  #lastInterval = NaN;
  /** The last values, oldest first. */
  readonly #latest: { readonly at: number; readonly value: number }[] = [];

  /** @param at milliseconds of a monotonic clock. */
  add(at: number, value: number): void {
    const interval = Math.floor(at / INTERVAL_MS);
    if (Number.isNaN(this.#firstInterval)) this.#firstInterval = this.#lastInterval = interval;
    // The intervals in between are unknown.
    const from = Math.max(this.#lastInterval, interval - MAX_INTERVALS) + 1;
    for (let gap = from; gap <= interval; gap++) this.#peaks[gap % MAX_INTERVALS] = NaN;
    this.#lastInterval = interval;
    const slot = interval % MAX_INTERVALS;
    const peak = this.#peaks[slot]!;
    this.#peaks[slot] = Number.isNaN(peak) ? value : Math.max(peak, value);
    if (this.#latest.push({ at, value }) > VALUES_FOR_RATE) this.#latest.shift();
  }

  /** The highest value of each interval, oldest first, `undefined` where none was added; at most {@link MAX_INTERVALS}. */
  peaks(): (number | undefined)[] {
    if (Number.isNaN(this.#firstInterval)) return [];
    const from = Math.max(this.#firstInterval, this.#lastInterval - MAX_INTERVALS + 1);
    return Array.from({ length: this.#lastInterval - from + 1 }, (_, offset) => {
      const peak = this.#peaks[(from + offset) % MAX_INTERVALS]!;
      return Number.isNaN(peak) ? undefined : peak;
    });
  }

  /** Rise in a second over the last values; `undefined` before there are two. */
  rate(): number | undefined {
    const last = this.#latest.at(-1);
    const oldest = this.#latest.find(({ at }) => last!.at - at <= MAX_AGE_MS);
    if (last === undefined || oldest === undefined) return undefined;
    const elapsed = last.at - oldest.at;
    return elapsed > 0 ? 1000 * (last.value - oldest.value) / elapsed : undefined;
  }
}
