/** What the kernel counted in one cgroup while it was watched. */

import { type AncestorLimits, readEffectiveLimit } from "../cgroup/ancestry.ts";
import {
  ancestorsOf,
  type Cgroup,
  openCgroup,
  readCounters,
  readLimit,
  readPeak,
  readPressure,
  readSummary,
  readUsage,
} from "../cgroup/cgroup.ts";
import { identify } from "../cgroup/identity.ts";
import type { Body, CounterDeltas, Source } from "../events/event.ts";
import { fallbackPoll, maxPollInterval, nextPollIn } from "../policy/poll_interval.ts";
import type { Counters } from "../snapshot.ts";
import type { LoggedKill } from "./kernel_log.ts";
import { type KillMatcher, NOTIFIED_WITHIN_MS } from "./kill_matcher.ts";
import type { Hint } from "./sources.ts";
import type { WatchOptions } from "./watch.ts";
import {
  counting,
  rememberPids,
  riseOf,
  thresholdsOf,
  type WatchedCgroup,
  withKnown,
} from "./watched_cgroup.ts";

/** `undefined` for a cgroup that nobody named and where nothing happened. */
export function counterDeltas(watched: WatchedCgroup): CounterDeltas | undefined {
  const first = counting(watched, watched.first);
  const last = counting(watched, watched.last);
  const rise = (key: keyof Counters): bigint | null => {
    const after = last[key];
    return after === undefined ? null : after - (first[key] ?? 0n);
  };
  const kills = rise("oomKill");
  const { containerId, podUid } = identify(watched.cgroup.path);
  const now = watched.goneAt === undefined ? readSummary(watched.cgroup) : undefined;
  const deltas: CounterDeltas = {
    cgroup: watched.cgroup.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    max: rise("max"),
    high: rise("high"),
    // v1 does not count OOMs; what was notified is all there is.
    oom: rise("oom") ??
      (watched.notified > 0 || watched.source === "eventfd" ? BigInt(watched.reportedOoms) : null),
    oom_kill: kills === null && watched.killsBeforeRemoval === 0n
      ? null
      : (kills ?? 0n) + watched.killsBeforeRemoval,
    oom_group_kill: rise("oomGroupKill"),
    victims: watched.victims,
    repeated: watched.repeated,
    peak: now?.peak ?? watched.peak ?? null,
    limit: finite(now?.limits.max ?? watched.limit),
    removed: watched.goneAt !== undefined,
  };
  const happened = deltas.victims > 0 ||
    [deltas.max, deltas.high, deltas.oom, deltas.oom_kill].some((count) =>
      count !== null && count > 0n
    );
  return watched.isTarget || happened ? deltas : undefined;
}

/** JSON has no infinity: no limit is `null`. */
export function finite(bytes: number | undefined): number | null {
  return bytes === undefined || bytes === Infinity ? null : bytes;
}

/* Reads a watched cgroup again and tells what is different. */

/** `max` and `high` of a thrashing cgroup are told at this pace, all counts included (milliseconds). */
const REPEAT_MS = 1000;
/** v1 and v2 wake before the kill; it is counted within milliseconds, and here is looked again. */
const KILL_FOLLOWS_MS = 25;
/** An OOM whose kill has not come by then ended otherwise: memory was freed in time. */
const SUSPICION_MS = 1000;
/** Before this no kill that is counted now can have been logged: it would have been noticed. */
function loggedFrom(watched: WatchedCgroup, now: number): number {
  const isPolled = watched.source === "poll";
  return isPolled ? watched.readAt : Math.max(watched.readAt, now - NOTIFIED_WITHIN_MS);
}

export interface CgroupDiffer {
  /** False when the cgroup is gone. */
  refresh(watched: WatchedCgroup, source: Source, now: number): boolean;
  /** Usage alone, against the thresholds. */
  pollUsage(watched: WatchedCgroup, now: number): void;
  setThresholds(watched: WatchedCgroup): void;
  /** True when the effective limit is another one, and thresholds in percent have been worked out anew. */
  effectiveChanged(watched: WatchedCgroup, known?: AncestorLimits): boolean;
  emitOom(watched: WatchedCgroup, count: bigint, source: Source): void;
  emitPressure(watched: WatchedCgroup, hint: Hint): void;
  emitKill(
    cgroup: string,
    watched: WatchedCgroup | undefined,
    kill: LoggedKill | undefined,
    inferred: boolean,
    source: Source,
  ): void;
  /** Tells the `max` and `high` that were held back. */
  flush(watchedCgroups: Iterable<WatchedCgroup>): void;
}

export function createCgroupDiffer(
  options: WatchOptions,
  kills: KillMatcher,
  emitEvent: (cgroup: string, source: Source, body: Body) => void,
  /** How many cgroups are watched. */
  watchedCount: () => number,
): CgroupDiffer {
  /** v2 counts an OOM where the limit is, which may be an ancestor that is not watched: path → `oom` last seen. */
  const ancestorOoms = new Map<string, bigint>();

  const noteAncestors = (cgroup: Cgroup) => {
    for (const ancestor of ancestorsOf(cgroup)) {
      if (ancestorOoms.has(ancestor.path)) return;
      const oom = readCounters(ancestor)?.local.oom;
      if (oom !== undefined) ancestorOoms.set(ancestor.path, oom);
    }
  };

  /** Whose limit it was, when the log does not say: who counted an OOM, else who has the tightest limit. */
  const ownerOf = (watched: WatchedCgroup): string | undefined => {
    const own = watched.last.local.oom;
    if (own !== undefined && own > (watched.first.local.oom ?? 0n)) return watched.cgroup.path;
    for (const ancestor of ancestorsOf(watched.cgroup)) {
      const oom = readCounters(ancestor)?.local.oom;
      const before = ancestorOoms.get(ancestor.path);
      if (oom !== undefined && before !== undefined && oom > before) return ancestor.path;
    }
    return watched.effective.owner;
  };

  const limitOf = (
    watched: WatchedCgroup | undefined,
    owner: string | undefined,
  ): number | null => {
    if (owner === undefined || watched === undefined) return null;
    if (owner === watched.cgroup.path) return finite(watched.limit);
    const cgroup = openCgroup(watched.cgroup.hierarchy, owner);
    return finite(cgroup && readLimit(cgroup));
  };

  const emitOom = (watched: WatchedCgroup, count: bigint, source: Source) => {
    watched.reportedOoms += Number(count);
    const owner = ownerOf(watched);
    emitEvent(watched.cgroup.path, source, {
      type: "oom",
      count,
      usage: watched.usage ?? null,
      limit_owner: owner ?? null,
      limit: limitOf(watched, owner),
    });
  };

  const tellRepeated = (watched: WatchedCgroup, source: Source, now: number, at_once: boolean) => {
    const { max, high } = counting(watched, watched.last);
    watched.reportedMax ??= max;
    watched.reportedHigh ??= high;
    const rises = {
      high: riseOf(high, watched.reportedHigh),
      max: riseOf(max, watched.reportedMax),
    };
    if (rises.high + rises.max === 0n) return;
    if (!at_once && now - watched.reportedAt < REPEAT_MS) {
      watched.nextPollAt = Math.min(watched.nextPollAt, watched.reportedAt + REPEAT_MS);
      return;
    }
    watched.reportedAt = now;
    const usage = watched.usage ?? null;
    for (const type of ["high", "max"] as const) {
      if (rises[type] > 0n) {
        emitEvent(watched.cgroup.path, source, { type, count: rises[type], usage });
      }
    }
    watched.reportedHigh = high ?? watched.reportedHigh;
    watched.reportedMax = max ?? watched.reportedMax;
  };

  /**
   * @param peak the highest usage ever, as the kernel knows it: of a crossing that is over before anybody looked it is
   * the only trace.
   */
  const compareThresholds = (
    watched: WatchedCgroup,
    usage: number | undefined,
    peak: number | undefined,
    source: Source,
  ) => {
    if (usage === undefined) return;
    const before = watched.peak;
    const limit = finite(watched.effective.bytes);
    const crossed = (threshold: number, direction: "above" | "below", usage: number) =>
      emitEvent(watched.cgroup.path, source, {
        type: "threshold",
        threshold,
        direction,
        usage,
        limit,
      });
    // All that was crossed on the way up comes before what was crossed on the way down.
    for (const threshold of watched.thresholds) {
      const { bytes, above } = threshold;
      const isOver = before !== undefined && peak !== undefined && before < bytes && peak >= bytes;
      if (above || (usage < bytes && !isOver)) continue;
      threshold.above = true;
      crossed(bytes, "above", usage >= bytes ? usage : peak!);
    }
    for (const threshold of watched.thresholds) {
      if (!threshold.above || usage >= threshold.bytes) continue;
      threshold.above = false;
      crossed(threshold.bytes, "below", usage);
    }
    // What was seen need not be told once more, out of the mark that it has left.
    if (before !== undefined) watched.peak = Math.max(before, usage, peak ?? usage);
    else if (peak !== undefined) watched.peak = peak;
  };

  const differ: CgroupDiffer = {
    refresh(watched, source, now) {
      const { cgroup } = watched;
      const counters = readCounters(cgroup);
      if (counters === undefined) return false;
      const before = counting(watched, watched.known);
      watched.last = counters;
      watched.known = withKnown(watched.known, counters);
      const after = counting(watched, watched.known);

      const usage = readUsage(cgroup);
      const peak = options.thresholds.length > 0 ? readPeak(cgroup) : undefined;
      compareThresholds(watched, usage, peak, source);
      watched.usage = usage;

      const oomKills = riseOf(after.oomKill, before.oomKill);
      const ooms = after.oom === undefined
        ? BigInt(watched.notified - watched.reportedOoms)
        : riseOf(after.oom, before.oom);
      tellRepeated(watched, source, now, ooms > 0n || oomKills > 0n);
      if (ooms > 0n) {
        watched.lastOomAt = now;
        watched.suspectedKills += Number(ooms);
        rememberPids(watched, now);
        emitOom(watched, ooms, source);
      }
      const groups = riseOf(after.oomGroupKill, before.oomGroupKill);
      if (groups > 0n) {
        emitEvent(cgroup.path, source, {
          type: "oom_group_kill",
          count: groups,
          usage: usage ?? null,
        });
      }
      if (oomKills > 0n) kills.counted(watched, oomKills, now, loggedFrom(watched, now));
      watched.readAt = now;

      const limit = readLimit(cgroup);
      if (limit !== undefined && limit !== watched.limit) {
        const from = finite(watched.limit);
        watched.limit = limit;
        emitEvent(cgroup.path, source, { type: "limit_changed", from, to: finite(limit) });
      }
      if (now - watched.lastOomAt > SUSPICION_MS) watched.suspectedKills = 0;
      if (watched.suspectedKills > 0) {
        watched.nextPollAt = Math.min(watched.nextPollAt, now + KILL_FOLLOWS_MS);
      }
      const isPolled = watched.source === "poll";
      const pace = options.poll ?? (isPolled ? fallbackPoll(watchedCount()) : Infinity);
      watched.nextPollAt = Math.min(watched.nextPollAt, now + pace);
      return true;
    },

    pollUsage(watched, now) {
      const usage = watched.usageFile?.number();
      if (usage === undefined) {
        watched.nextUsagePollAt = Infinity;
        watched.nextPollAt = now;
        return;
      }
      const passed = now - watched.usageReadAt;
      const rate = watched.usage === undefined ? 0 : 1000 * (usage - watched.usage) / passed;
      if (usage !== watched.usage) {
        compareThresholds(watched, usage, readPeak(watched.cgroup), "poll");
        watched.usage = usage;
      }
      watched.usageReadAt = now;
      const above = watched.thresholds.find(({ bytes }) => bytes > usage)?.bytes ?? Infinity;
      watched.nextUsagePollAt = now +
        nextPollIn(above - usage, rate, maxPollInterval(watchedCount()));
    },

    setThresholds(watched) {
      noteAncestors(watched.cgroup);
      const old = watched.thresholds;
      watched.thresholds = thresholdsOf(options.thresholds, watched.effective.bytes).map((
        bytes,
      ) => ({
        bytes,
        above: old.find((threshold) => threshold.bytes === bytes)?.above ?? false,
      }));
    },

    effectiveChanged(watched, known) {
      if (!options.thresholds.some((threshold) => "percent" in threshold)) return false;
      const effective = readEffectiveLimit(watched.cgroup, known);
      const changed = effective.bytes !== watched.effective.bytes;
      watched.effective = effective;
      if (changed) differ.setThresholds(watched);
      return changed;
    },

    emitOom,

    emitPressure(watched, { levels, psi }) {
      const usage = watched.usage ?? null;
      for (const { level, count } of levels) {
        const body = {
          type: "pressure",
          level,
          kind: null,
          stalled_us: null,
          count,
          usage,
        } as const;
        emitEvent(watched.cgroup.path, "eventfd", body);
      }
      const now = psi.length > 0 ? readPressure(watched.cgroup) : undefined;
      for (const stall of psi) {
        const total = now?.[stall.kind]?.total;
        // The first event after arming is false; only a growing total is a stall.
        if (total === undefined || total <= stall.total) continue;
        const stalled_us = total - stall.total;
        stall.total = total;
        const body = {
          type: "pressure",
          level: null,
          kind: stall.kind,
          stalled_us,
          count: 1n,
          usage,
        } as const;
        emitEvent(watched.cgroup.path, "psi", body);
      }
    },

    emitKill(cgroup, watched, kill, inferred, source) {
      const owner = kill?.owner ??
        (kill?.scope === "system" || !watched ? undefined : ownerOf(watched));
      emitEvent(cgroup, source, {
        type: "oom_kill",
        victim: kill?.victim ?? null,
        limit_owner: owner ?? null,
        limit: limitOf(watched, owner),
        scope: kill?.scope ?? null,
        inferred,
      });
    },

    flush(watchedCgroups) {
      for (const watched of watchedCgroups) tellRepeated(watched, "poll", performance.now(), true);
    },
  };
  return differ;
}
