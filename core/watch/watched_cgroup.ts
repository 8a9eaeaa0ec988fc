/** One watched cgroup: what was last seen of it, what is armed, and what has still to be told. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { type Cgroup, readSummary } from "../cgroup/cgroup.ts";
import { pidsOf } from "../cgroup/processes.ts";
import { type ControlFile, openWithinBudget } from "../kernel/control_file.ts";
import type { EffectiveLimit } from "../policy/limits.ts";
import type { Source } from "../events/event.ts";
import type { Counters } from "../snapshot.ts";
import type { Armed } from "./triggers.ts";
import type { RemovedChildrenKills } from "./removed_cgroups.ts";

/** Of this cgroup alone, and of everything beneath it. */
export interface BothCounters {
  readonly local: Counters;
  readonly subtree: Counters;
}

export interface Threshold {
  readonly bytes: number;
  above: boolean;
}

export interface WatchedCgroup {
  readonly cgroup: Cgroup;
  /** Named by the user, not found beneath one that was. */
  readonly isTarget: boolean;
  /** Its kills are those of its whole subtree, since nobody watches the cgroups beneath it. */
  readonly countsSubtree: boolean;
  /** v2: where its kills are accounted for once it is gone. */
  readonly removedKills?: RemovedChildrenKills;
  /** As the watch began; all zero for a cgroup that was made later. */
  readonly first: BothCounters;
  last: BothCounters;
  /** The same, and of what could not be read then what was read before. */
  known: BothCounters;
  /** Bytes; the cgroup's own. */
  limit: number | undefined;
  effective: EffectiveLimit;
  usage: number | undefined;
  peak: number | undefined;
  thresholds: Threshold[];
  armed: Armed[];
  /** Only where thresholds are polled. */
  usageFile?: ControlFile;
  usageReadAt: number;
  /** How it is notified of OOMs; `poll` where it is not. */
  source: Source;
  /** Milliseconds of the watch's clock; `Infinity` when nothing is to be done but wait. */
  nextPollAt: number;
  /** The same for usage alone, where thresholds are polled. */
  nextUsagePollAt: number;
  /** When `max` and `high` were last told: a thrashing cgroup raises them hundreds of times a second. */
  reportedAt: number;
  reportedMax: bigint | undefined;
  reportedHigh: bigint | undefined;
  /** Kills logged before this are in the counters that it began with; `-Infinity` for a cgroup that was made later. */
  readonly since: number;
  /** When the counters were last read; nothing was killed unseen before. */
  readAt: number;
  /** Kills counted but not told; negative when the kernel log was ahead of the counter. */
  pendingKills: bigint;
  pendingSince: number;
  /** The earliest that those kills can have been logged. */
  pendingFrom: number;
  /** `oom_kill` events told. */
  victims: number;
  /** How often the kernel log named one of those once more. */
  repeated: number;
  /**
   * Signs of kills that no counter has shown yet, which a removal would take with it; negative when kills were told
   * before the OOM behind them was notified.
   */
  suspectedKills: number;
  /** It is gone, and what was left of its notifications may have been the removal or one more OOM. */
  maybeKilled: boolean;
  /**
   * Its processes as seen when it last came near a kill, and when that was: they are listed until they have given up their
   * memory.
   */
  readonly pids: Map<number, number>;
  /** v1: notifications of the OOM eventfd; the removal is one of them. */
  notified: number;
  /** v1: those told as `oom`. */
  reportedOoms: number;
  /** When an OOM or a kill was last heard of. */
  lastOomAt: number;
  /** Kills told of it that it took along before its counter could be read. */
  killsBeforeRemoval: bigint;
  /** When it was found to be gone. */
  goneAt: number | undefined;
}

/** The counters that count for a member's events. */
export function counting(
  watched: Pick<WatchedCgroup, "countsSubtree" | "cgroup">,
  both: BothCounters,
): Counters {
  const hasSubtree = both.subtree.oomKill !== undefined;
  return hasSubtree && (watched.countsSubtree || both.local.oomKill === undefined)
    ? both.subtree
    : both.local;
}

/** 0 where one of the two could not be read: it has not risen by all that it ever counted. */
export const riseOf = (now: bigint | undefined, before: bigint | undefined): bigint =>
  now === undefined || before === undefined ? 0n : now - before;

/** What could not be read this time is as it was. */
export const withKnown = (known: BothCounters, { local, subtree }: BothCounters): BothCounters => ({
  local: { ...known.local, ...local },
  subtree: { ...known.subtree, ...subtree },
});

/** What the kernel would have counted for a cgroup that was only just made. */
const zeroed = ({ local, subtree }: BothCounters): BothCounters => {
  const zero = (counters: Counters): Counters =>
    Object.fromEntries(Object.keys(counters).map((key) => [key, 0n]));
  return { local: zero(local), subtree: zero(subtree) };
};

interface Origin {
  readonly isTarget: boolean;
  readonly countsSubtree: boolean;
  /** Made after the watch began, so that all it has counted is news. */
  readonly isNew: boolean;
  readonly removedKills: RemovedChildrenKills | undefined;
}

/** Reads a cgroup for the first time; `undefined` when it is gone. */
export function createWatchedCgroup(cgroup: Cgroup, origin: Origin): WatchedCgroup | undefined {
  const since = origin.isNew ? -Infinity : performance.now();
  const snapshot = readSummary(cgroup);
  if (snapshot === undefined) return undefined;
  const now: BothCounters = { local: snapshot.local, subtree: snapshot.subtree };
  return {
    ...blankWatchedCgroup(cgroup, origin, origin.isNew ? zeroed(now) : now),
    since,
    limit: snapshot.limits.max,
    effective: readEffectiveLimit(cgroup),
    usage: snapshot.usage,
    peak: snapshot.peak,
  };
}

/** A cgroup that came and went before anything of it could be read. */
export function createMissedCgroup(
  cgroup: Cgroup,
  removedKills: RemovedChildrenKills | undefined,
): WatchedCgroup {
  const origin = { isTarget: false, countsSubtree: false, isNew: true, removedKills };
  return blankWatchedCgroup(cgroup, origin, { local: {}, subtree: {} });
}

function blankWatchedCgroup(
  cgroup: Cgroup,
  { isTarget, countsSubtree, removedKills }: Origin,
  first: BothCounters,
): WatchedCgroup {
  const mine = counting({ countsSubtree, cgroup }, first);
  return {
    cgroup,
    isTarget,
    countsSubtree,
    ...(removedKills && { removedKills }),
    first,
    last: first,
    known: first,
    limit: undefined,
    effective: { bytes: Infinity },
    usage: undefined,
    peak: undefined,
    thresholds: [],
    armed: [],
    usageReadAt: -Infinity,
    source: "poll",
    nextPollAt: Infinity,
    nextUsagePollAt: Infinity,
    reportedAt: -Infinity,
    reportedMax: mine.max,
    reportedHigh: mine.high,
    since: -Infinity,
    readAt: -Infinity,
    pendingKills: 0n,
    pendingSince: Infinity,
    pendingFrom: -Infinity,
    victims: 0,
    repeated: 0,
    suspectedKills: 0,
    maybeKilled: false,
    pids: new Map(),
    notified: 0,
    reportedOoms: 0,
    lastOomAt: -Infinity,
    killsBeforeRemoval: 0n,
    goneAt: undefined,
  };
}

/** Thresholds in bytes and percent of the effective limit, ascending; a percentage of no limit is none. */
export function thresholdsOf(
  requested: readonly ({ readonly bytes: number } | { readonly percent: number })[],
  limit: number,
): number[] {
  const bytes = requested.map((t) => "bytes" in t ? t.bytes : Math.floor(limit * t.percent / 100));
  return [...new Set(bytes.filter(Number.isFinite))].sort((a, b) => a - b);
}

/** For polling; it stays open where descriptors are to spare. */
export function keepUsageFile(watched: WatchedCgroup): void {
  const { dir, hierarchy } = watched.cgroup;
  watched.usageFile ??= openWithinBudget(`${dir}/${hierarchy.version.usageFile}`);
}

export function disarm(watched: WatchedCgroup): void {
  for (const armed of watched.armed) armed.disarm();
  watched.armed = [];
  watched.usageFile?.close();
  delete watched.usageFile;
}

/** A kill is logged within milliseconds of the OOM, and its line is waited for no longer than a quarter of a second. */
const NOTED_MS = 10_000;

/** Remembers who is in it now. Whoever was seen long ago is gone, or will be seen again: in time his pid is another's. */
export function rememberPids(
  { cgroup, pids }: Pick<WatchedCgroup, "cgroup" | "pids">,
  now: number,
): void {
  for (const [pid, at] of pids) if (now - at > NOTED_MS) pids.delete(pid);
  for (const pid of pidsOf(cgroup) ?? []) pids.set(pid, now);
}
/** Targets come first, so that a thousand members are not gone through. */
export function hasTarget(watchedCgroups: Iterable<WatchedCgroup>): boolean {
  for (const { isTarget } of watchedCgroups) if (isTarget) return true;
  return false;
}
