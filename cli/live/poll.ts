/** Reads the values of the live view: a few of every cgroup, and the rest only of those on the screen. */

import { type Cgroup, tryReader } from "../../core/cgroup/cgroup.ts";
import { inspect } from "../../core/cgroup/inspection.ts";
import { readMachine } from "../../core/cgroup/machine.ts";
import { LiveUsage, timeLeft } from "../../core/collect/live_usage.ts";
import { OomkitError } from "../../core/errors.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { workingSet } from "../../core/policy/limits.ts";
import { printable } from "../output/output.ts";
import type { UsageMark } from "../terminal/usage_bar.ts";
import { counted, type Counts, NO_COUNTS, type Row, type RowDetails } from "./rows.ts";
import type { Details } from "./view.ts";

/** A cgroup with a row. */
export interface Subject {
  readonly cgroup: Cgroup;
  /** The cgroup that owns the limit that counts; for a guard it may be an ancestor. */
  readonly limitOwner: Cgroup;
  /** The limit that a guard enforces, bytes. */
  readonly limit?: number;
  /** The mode of a guard. */
  readonly mode?: string;
  /** Levels and thresholds across the bar. @param limit bytes, `Infinity` without a limit */
  marks(limit: number): readonly UsageMark[];
}

export interface Poller {
  count(event: OomkitEvent): void;
  /** Reads a few values of every cgroup. Resolves to the milliseconds until the next round. */
  round(): Promise<number>;
  /** The rows as of the last round. */
  rows(): readonly Row[];
  /** Adds the values that are read only for rows on the screen. */
  readShown(rows: readonly Row[]): Row[];
  /** Reads the details of one cgroup again, if enough time has passed. */
  details(before: Details): Details;
}

const MIN_MS_BETWEEN_READS = 1000;
/** Reads take at most this share of the time. */
const MAX_TIME_SHARE = 1 / 20;
/** How long the row of a removed cgroup stays. */
const REMOVED_ROW_MS = 10_000;
const MAX_PROCESSES = 12;

/** Without processes; a file that cannot be read counts as absent. */
function readDetails(cgroup: Cgroup): RowDetails {
  const snapshot = cgroup.hierarchy.version.snapshot(tryReader(cgroup));
  return {
    workingSet: workingSet(snapshot),
    pressure: snapshot.pressure,
    underOom: snapshot.underOom,
  };
}

/** @param now milliseconds of a monotonic clock */
export function createPoller(subjects: () => Iterable<Subject>, now: () => number): Poller {
  const gauges = new LiveUsage(now);
  const counts = new Map<string, Counts>();
  const details = new Map<string, RowDetails & { readonly readAt: number }>();
  const removedAt = new Map<string, number>();
  let known = new Map<string, Subject>();
  let rows = new Map<string, Row>();
  let detailsDueAt = -Infinity;

  const rowOf = (path: string, { limitOwner, marks, limit, mode }: Subject): Row => {
    const gauge = gauges.of(limitOwner.path);
    const bytes = limit ?? gauge?.limit ?? Infinity;
    const usage = gauge?.usage;
    // The limit of a guard may be lower than the cgroup's.
    const headroom = limit === undefined || usage === undefined
      ? gauge?.headroom
      : Math.max(0, limit - usage);
    return {
      path,
      usage,
      limit: bytes,
      headroom,
      rate: gauge?.rate,
      timeLeft: limit === undefined ? gauge?.timeLeft : timeLeft(headroom, gauge?.rate),
      marks: marks(bytes),
      history: [],
      counts: counts.get(path) ?? NO_COUNTS,
      isRemoved: false,
      ...mode === undefined ? {} : { mode },
    };
  };

  return {
    count(event) {
      const before = counts.get(event.cgroup) ?? NO_COUNTS;
      const after = counted(before, event);
      if (after !== before) counts.set(event.cgroup, after);
    },
    async round() {
      const next = new Map<string, Subject>();
      for (const subject of subjects()) next.set(subject.cgroup.path, subject);
      await gauges.round([...next.values()].map(({ limitOwner }) => limitOwner));
      const begun = now();
      const fresh = new Map<string, Row>();
      for (const [path, subject] of next) fresh.set(path, rowOf(path, subject));
      for (const [path, row] of rows) {
        if (next.has(path)) removedAt.delete(path);
        else {
          const since = removedAt.get(path) ?? begun;
          removedAt.set(path, since);
          if (begun - since < REMOVED_ROW_MS) fresh.set(path, { ...row, isRemoved: true });
          else removedAt.delete(path);
        }
      }
      for (const map of [counts, details]) {
        for (const path of map.keys()) if (!fresh.has(path)) map.delete(path);
      }
      rows = fresh;
      known = next;
      return Math.max(MIN_MS_BETWEEN_READS, (gauges.tookMs + now() - begun) / MAX_TIME_SHARE);
    },
    rows: () => [...rows.values()],
    readShown(shown) {
      const readAt = now();
      return shown.map((row) => {
        const subject = known.get(row.path);
        if (row.isRemoved || subject === undefined) return row;
        let kept = details.get(row.path);
        if (kept === undefined || readAt - kept.readAt >= MIN_MS_BETWEEN_READS) {
          kept = { ...readDetails(subject.limitOwner), readAt };
          details.set(row.path, kept);
        }
        const { readAt: _, ...values } = kept;
        return { ...row, ...values, history: gauges.history(subject.limitOwner.path) };
      });
    },
    details(before) {
      const begun = now();
      if (before.found && begun < detailsDueAt) return before;
      const { path } = before;
      const removed = { ...before, error: `${printable(path)} was removed` };
      const subject = known.get(path);
      if (subject === undefined) return removed;
      try {
        const inspection = inspect(subject.cgroup, MAX_PROCESSES);
        if (inspection === undefined) return removed;
        return { path, found: { inspection, machine: readMachine() } };
      } catch (error) {
        if (!(error instanceof OomkitError)) throw error;
        return { ...before, error: printable(error.message) };
      } finally {
        detailsDueAt = now() + Math.max(MIN_MS_BETWEEN_READS, (now() - begun) / MAX_TIME_SHARE);
      }
    },
  };
}
