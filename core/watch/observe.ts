/** Reads a watched cgroup again and tells what is different. */

import { type LinksAbove, readEffectiveLimit } from "../cgroup/ancestry.ts";
import {
  ancestorsOf,
  type Cgroup,
  openCgroup,
  readCounters,
  readLimit,
  readPeak,
  readPressure,
  readUsage,
} from "../cgroup/cgroup.ts";
import { fallbackPoll, longestLook, nextLook } from "../policy/pace.ts";
import type { Body, Source } from "../report/event.ts";
import type { LoggedKill } from "./kill_log.ts";
import { type Kills, NOTIFIED_WITHIN_MS } from "./kills.ts";
import { counting, type Member, notePids, riseOf, thresholdsOf, withKnown } from "./member.ts";
import type { Hint } from "./sources.ts";
import { finite } from "./tally.ts";
import type { WatchOptions } from "./watch.ts";

/** `max` and `high` of a thrashing cgroup are told at this pace, all counts included (milliseconds). */
const REPEAT_MS = 1000;
/** v1 and v2 wake before the kill; it is counted within milliseconds, and here is looked again. */
const KILL_FOLLOWS_MS = 25;
/** An OOM whose kill has not come by then ended otherwise: memory was freed in time. */
const SUSPICION_MS = 1000;
/** Before this no kill that is counted now can have been logged: it would have been noticed. */
function loggedFrom(member: Member, now: number): number {
  const isPolled = member.source === "poll";
  return isPolled ? member.readAt : Math.max(member.readAt, now - NOTIFIED_WITHIN_MS);
}

export interface Observer {
  /** False when the cgroup is gone. */
  refresh(member: Member, source: Source, now: number): boolean;
  /** Usage alone, against the thresholds. */
  glance(member: Member, now: number): void;
  setThresholds(member: Member): void;
  /** True when the effective limit is another one, and thresholds in percent have been worked out anew. */
  effectiveChanged(member: Member, known?: LinksAbove): boolean;
  tellOom(member: Member, count: bigint, source: Source): void;
  tellPressure(member: Member, hint: Hint): void;
  tellKill(
    cgroup: string,
    member: Member | undefined,
    kill: LoggedKill | undefined,
    inferred: boolean,
    source: Source,
  ): void;
  /** Tells the `max` and `high` that were held back. */
  flush(members: Iterable<Member>): void;
}

export function createObserver(
  options: WatchOptions,
  kills: Kills,
  tell: (cgroup: string, source: Source, body: Body) => void,
  /** How many cgroups are watched. */
  watched: () => number,
): Observer {
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
  const ownerOf = (member: Member): string | undefined => {
    const own = member.last.local.oom;
    if (own !== undefined && own > (member.first.local.oom ?? 0n)) return member.cgroup.path;
    for (const ancestor of ancestorsOf(member.cgroup)) {
      const oom = readCounters(ancestor)?.local.oom;
      const before = ancestorOoms.get(ancestor.path);
      if (oom !== undefined && before !== undefined && oom > before) return ancestor.path;
    }
    return member.effective.owner;
  };

  const limitOf = (member: Member | undefined, owner: string | undefined): number | null => {
    if (owner === undefined || member === undefined) return null;
    if (owner === member.cgroup.path) return finite(member.limit);
    const cgroup = openCgroup(member.cgroup.hierarchy, owner);
    return finite(cgroup && readLimit(cgroup));
  };

  const tellOom = (member: Member, count: bigint, source: Source) => {
    member.oomsTold += Number(count);
    const owner = ownerOf(member);
    tell(member.cgroup.path, source, {
      type: "oom",
      count,
      usage: member.usage ?? null,
      limit_owner: owner ?? null,
      limit: limitOf(member, owner),
    });
  };

  const tellRepeated = (member: Member, source: Source, now: number, at_once: boolean) => {
    const { max, high } = counting(member, member.last);
    member.toldMax ??= max;
    member.toldHigh ??= high;
    const rises = { high: riseOf(high, member.toldHigh), max: riseOf(max, member.toldMax) };
    if (rises.high + rises.max === 0n) return;
    if (!at_once && now - member.toldAt < REPEAT_MS) {
      member.nextLook = Math.min(member.nextLook, member.toldAt + REPEAT_MS);
      return;
    }
    member.toldAt = now;
    const usage = member.usage ?? null;
    for (const type of ["high", "max"] as const) {
      if (rises[type] > 0n) tell(member.cgroup.path, source, { type, count: rises[type], usage });
    }
    member.toldHigh = high ?? member.toldHigh;
    member.toldMax = max ?? member.toldMax;
  };

  /**
   * @param peak the highest usage ever, as the kernel knows it: of a crossing that is over before anybody looked it is
   * the only trace.
   */
  const compareThresholds = (
    member: Member,
    usage: number | undefined,
    peak: number | undefined,
    source: Source,
  ) => {
    if (usage === undefined) return;
    const before = member.peak;
    const limit = finite(member.effective.bytes);
    const crossed = (threshold: number, direction: "above" | "below", usage: number) =>
      tell(member.cgroup.path, source, { type: "threshold", threshold, direction, usage, limit });
    // All that was crossed on the way up comes before what was crossed on the way down.
    for (const threshold of member.thresholds) {
      const { bytes, above } = threshold;
      const isOver = before !== undefined && peak !== undefined && before < bytes && peak >= bytes;
      if (above || (usage < bytes && !isOver)) continue;
      threshold.above = true;
      crossed(bytes, "above", usage >= bytes ? usage : peak!);
    }
    for (const threshold of member.thresholds) {
      if (!threshold.above || usage >= threshold.bytes) continue;
      threshold.above = false;
      crossed(threshold.bytes, "below", usage);
    }
    // What was seen need not be told once more, out of the mark that it has left.
    if (before !== undefined) member.peak = Math.max(before, usage, peak ?? usage);
    else if (peak !== undefined) member.peak = peak;
  };

  const observer: Observer = {
    refresh(member, source, now) {
      const { cgroup } = member;
      const counters = readCounters(cgroup);
      if (counters === undefined) return false;
      const before = counting(member, member.known);
      member.last = counters;
      member.known = withKnown(member.known, counters);
      const after = counting(member, member.known);

      const usage = readUsage(cgroup);
      const peak = options.thresholds.length > 0 ? readPeak(cgroup) : undefined;
      compareThresholds(member, usage, peak, source);
      member.usage = usage;

      const oomKills = riseOf(after.oomKill, before.oomKill);
      const ooms = after.oom === undefined
        ? BigInt(member.notified - member.oomsTold)
        : riseOf(after.oom, before.oom);
      tellRepeated(member, source, now, ooms > 0n || oomKills > 0n);
      if (ooms > 0n) {
        member.lastOomAt = now;
        member.suspected += Number(ooms);
        notePids(member, now);
        tellOom(member, ooms, source);
      }
      const groups = riseOf(after.oomGroupKill, before.oomGroupKill);
      if (groups > 0n) {
        tell(cgroup.path, source, { type: "oom_group_kill", count: groups, usage: usage ?? null });
      }
      if (oomKills > 0n) kills.counted(member, oomKills, now, loggedFrom(member, now));
      member.readAt = now;

      const limit = readLimit(cgroup);
      if (limit !== undefined && limit !== member.limit) {
        const from = finite(member.limit);
        member.limit = limit;
        tell(cgroup.path, source, { type: "limit_changed", from, to: finite(limit) });
      }
      if (now - member.lastOomAt > SUSPICION_MS) member.suspected = 0;
      if (member.suspected > 0) member.nextLook = Math.min(member.nextLook, now + KILL_FOLLOWS_MS);
      const isPolled = member.source === "poll";
      const pace = options.poll ?? (isPolled ? fallbackPoll(watched()) : Infinity);
      member.nextLook = Math.min(member.nextLook, now + pace);
      return true;
    },

    glance(member, now) {
      const usage = member.usageFile?.number();
      if (usage === undefined) {
        member.nextGlance = Infinity;
        member.nextLook = now;
        return;
      }
      const passed = now - member.usageReadAt;
      const rate = member.usage === undefined ? 0 : 1000 * (usage - member.usage) / passed;
      if (usage !== member.usage) {
        compareThresholds(member, usage, readPeak(member.cgroup), "poll");
        member.usage = usage;
      }
      member.usageReadAt = now;
      const above = member.thresholds.find(({ bytes }) => bytes > usage)?.bytes ?? Infinity;
      member.nextGlance = now + nextLook(above - usage, rate, longestLook(watched()));
    },

    setThresholds(member) {
      noteAncestors(member.cgroup);
      const old = member.thresholds;
      member.thresholds = thresholdsOf(options.thresholds, member.effective.bytes).map((bytes) => ({
        bytes,
        above: old.find((threshold) => threshold.bytes === bytes)?.above ?? false,
      }));
    },

    effectiveChanged(member, known) {
      if (!options.thresholds.some((threshold) => "percent" in threshold)) return false;
      const effective = readEffectiveLimit(member.cgroup, known);
      const changed = effective.bytes !== member.effective.bytes;
      member.effective = effective;
      if (changed) observer.setThresholds(member);
      return changed;
    },

    tellOom,

    tellPressure(member, { levels, psi }) {
      const usage = member.usage ?? null;
      for (const { level, count } of levels) {
        const body = {
          type: "pressure",
          level,
          kind: null,
          stalled_us: null,
          count,
          usage,
        } as const;
        tell(member.cgroup.path, "eventfd", body);
      }
      const now = psi.length > 0 ? readPressure(member.cgroup) : undefined;
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
        tell(member.cgroup.path, "psi", body);
      }
    },

    tellKill(cgroup, member, kill, inferred, source) {
      const owner = kill?.owner ??
        (kill?.scope === "system" || !member ? undefined : ownerOf(member));
      tell(cgroup, source, {
        type: "oom_kill",
        victim: kill?.victim ?? null,
        limit_owner: owner ?? null,
        limit: limitOf(member, owner),
        scope: kill?.scope ?? null,
        inferred,
      });
    },

    flush(members) {
      for (const member of members) tellRepeated(member, "poll", performance.now(), true);
    },
  };
  return observer;
}
