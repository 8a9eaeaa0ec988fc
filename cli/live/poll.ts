/** What the view shows, read at the pace of eyes: a little of every cgroup, and all of those that are on the screen. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { inspect } from "../../core/cgroup/inspection.ts";
import { readMachine } from "../../core/cgroup/machine.ts";
import { OomkitError } from "../../core/errors.ts";
import { type CgroupDetails, readDetails } from "./cgroup_details.ts";
import { createGauges, timeLeft } from "../../core/collect/gauges.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { UsageMark } from "../terminal/usage_bar.ts";
import { printable } from "../output/output.ts";
import { counted, type Counts, NO_COUNTS, type Row } from "./rows.ts";
import type { Details } from "./view.ts";

/** A cgroup that is followed. */
export interface Subject {
  readonly cgroup: Cgroup;
  /** Whose usage and limit count: of a guard it may be one above. */
  readonly measured: Cgroup;
  /** Of a guard: the limit that it goes by, bytes. */
  readonly limit?: number;
  /** Of a guard. */
  readonly mode?: string;
  /** Lines across its bar. @param limit bytes, `Infinity` for none. */
  marks(limit: number): readonly UsageMark[];
}

export interface Poller {
  count(event: OomkitEvent): void;
  /** Reads a little of all. Resolves to milliseconds until it is worth its cost again. */
  round(): Promise<number>;
  /** As they were in the last round. */
  rows(): readonly Row[];
  /** With what is read of those alone that are shown. */
  closer(rows: readonly Row[]): Row[];
  /** Of one; what it was before, unless it is worth its cost again. */
  details(before: Details): Details;
}

/** People see a figure change, not two changes in a second. */
const ROUND_MS = 1000;
/** Reading takes at most this part of the time. */
const SHARE = 1 / 20;
/** So long one sees that it was there (milliseconds). */
const GONE_MS = 10_000;
const PROCESSES = 12;

export function createPoller(subjects: () => Iterable<Subject>, now: () => number): Poller {
  const gauges = createGauges({ now });
  const counts = new Map<string, Counts>();
  const samples = new Map<string, { readonly at: number; readonly look: CgroupDetails }>();
  let known = new Map<string, Subject>();
  let rows = new Map<string, Row>();
  const goneAt = new Map<string, number>();
  let detailsDue = -Infinity;

  const rowOf = (path: string, { measured, marks, limit, mode }: Subject): Row => {
    const gauge = gauges.of(measured.path);
    const bytes = limit ?? gauge?.limit ?? Infinity;
    const usage = gauge?.usage;
    // A guard goes by a limit of its own, which may be a soft one.
    const room = limit === undefined || usage === undefined
      ? gauge?.headroom
      : Math.max(0, limit - usage);
    return {
      path,
      usage,
      limit: bytes,
      headroom: room,
      rate: gauge?.rate,
      timeLeft: limit === undefined ? gauge?.timeLeft : timeLeft(room, gauge?.rate),
      marks: marks(bytes),
      course: [],
      counts: counts.get(path) ?? NO_COUNTS,
      isGone: false,
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
      await gauges.round([...next.values()].map(({ measured }) => measured));
      const begun = now();
      const fresh = new Map<string, Row>();
      for (const [path, subject] of next) fresh.set(path, rowOf(path, subject));
      for (const [path, row] of rows) {
        if (next.has(path)) goneAt.delete(path);
        else {
          const since = goneAt.get(path) ?? begun;
          goneAt.set(path, since);
          if (begun - since < GONE_MS) fresh.set(path, { ...row, isGone: true });
          else goneAt.delete(path);
        }
      }
      for (const map of [counts, samples]) {
        for (const path of map.keys()) if (!fresh.has(path)) map.delete(path);
      }
      rows = fresh;
      known = next;
      const took = gauges.took() + now() - begun;
      return Math.max(ROUND_MS, took / SHARE);
    },
    rows: () => [...rows.values()],
    closer(shown) {
      const at = now();
      return shown.map((row) => {
        const subject = known.get(row.path);
        if (row.isGone || subject === undefined) return row;
        let kept = samples.get(row.path);
        if (kept === undefined || at - kept.at >= ROUND_MS) {
          kept = { at, look: readDetails(subject.measured) };
          samples.set(row.path, kept);
        }
        return { ...row, ...kept.look, course: gauges.history(subject.measured.path) };
      });
    },
    details(before) {
      const begun = now();
      if (before.found && begun < detailsDue) return before;
      const { path } = before;
      const name = printable(path);
      const subject = known.get(path);
      if (subject === undefined) return { ...before, trouble: `${name} was removed` };
      try {
        const inspection = inspect(subject.cgroup, PROCESSES);
        if (inspection === undefined) return { ...before, trouble: `${name} was removed` };
        return { path, found: { inspection, machine: readMachine() } };
      } catch (error) {
        if (!(error instanceof OomkitError)) throw error;
        return { ...before, trouble: printable(error.message) };
      } finally {
        detailsDue = now() + Math.max(ROUND_MS, (now() - begun) / SHARE);
      }
    },
  };
}
