/** Reads the values of the live view: a few of every cgroup, and the rest only of those on the screen. */

import { type Cgroup, tryReader } from "../../core/cgroup/cgroup.ts";
import { inspect } from "../../core/cgroup/inspection.ts";
import { type Machine, machineOf } from "../../core/cgroup/machine.ts";
import { parentPath } from "../../core/cgroup_path.ts";
import { LiveUsage, timeLeft } from "../../core/collect/live_usage.ts";
import { OomkitError } from "../../core/errors.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { workingSet } from "../../core/policy/limits.ts";
import { printable } from "../output/output.ts";
import type { UsageMark } from "../terminal/bars.ts";
import {
  counted,
  type Counts,
  NO_COUNTS,
  removedRowMs,
  type Row,
  type RowDetails,
  sumOf,
} from "./rows.ts";
import type { Sort } from "./order.ts";
import type { Details } from "./view.ts";

export interface Subject {
  readonly cgroup: Cgroup;
  /** The cgroup that owns the limit that counts; for a guard it may be an ancestor. */
  readonly limitOwner: Cgroup;
  /** The limit that a guard enforces, bytes. */
  readonly limit?: number;
  readonly mode?: string;
  /** Levels and thresholds across the bar. @param limit bytes, `Infinity` without a limit */
  marks(limit: number): readonly UsageMark[];
  /** The victim order of a guard, a line for each process. */
  victims?(): readonly string[];
}

const MIN_MS_BETWEEN_READS = 1000;
/** Reads take at most this share of the time. */
const MAX_TIME_SHARE = 1 / 20;
const MAX_PROCESSES = 12;

/** Without processes; a file that cannot be read counts as absent. */
function readDetails(cgroup: Cgroup): RowDetails {
  const snapshot = cgroup.hierarchy.version.snapshot(tryReader(cgroup));
  const { pressure, underOom } = snapshot;
  return { workingSet: workingSet(snapshot), pressure, underOom };
}

function pressureOf(cgroup: Cgroup): Pick<RowDetails, "pressure"> {
  return { pressure: cgroup.hierarchy.version.pressure(tryReader(cgroup)) };
}

export class Poller {
  readonly #usage;
  readonly #counts = new Map<string, Counts>();
  #totals = NO_COUNTS;
  readonly #details = new Map<string, RowDetails & { readonly readAt: number }>();
  readonly #removedAt = new Map<string, number>();
  #known = new Map<string, Subject>();
  #rows = new Map<string, Row>();
  #detailsDueAt = -Infinity;
  #machine: Machine | undefined;

  /** @param now milliseconds of a monotonic clock */
  constructor(
    private readonly subjects: () => Iterable<Subject>,
    private readonly now: () => number,
  ) {
    this.#usage = new LiveUsage(now);
  }

  count(event: OomkitEvent): void {
    this.#totals = counted(this.#totals, event);
    const before = this.#counts.get(event.cgroup) ?? NO_COUNTS;
    const after = counted(before, event);
    if (after !== before) this.#counts.set(event.cgroup, after);
  }

  /** Of all cgroups, also of those without a row. */
  get totals(): Counts {
    return this.#totals;
  }

  /** As of the last round; `undefined` without a cgroup. */
  get machine(): Machine | undefined {
    return this.#machine;
  }

  /**
   * Reads a few values of every cgroup, and the pressure only if the rows are sorted by it. Resolves to the milliseconds until the
   * next round.
   */
  async round({ sort }: { readonly sort?: Sort } = {}): Promise<number> {
    const next = new Map<string, Subject>();
    for (const subject of this.subjects()) next.set(subject.cgroup.path, subject);
    const [first] = next.values();
    this.#machine = first && machineOf(first.cgroup.hierarchy);
    await this.#usage.round([...next.values()].map(({ limitOwner }) => limitOwner));
    const begun = this.now();
    this.#countInRows(next);
    const fresh = new Map<string, Row>();
    for (const [path, subject] of next) {
      const row = this.#rowOf(path, subject);
      fresh.set(path, sort === "pressure" ? { ...row, ...pressureOf(subject.limitOwner) } : row);
    }
    for (const [path, row] of this.#rows) {
      const since = this.#removedAt.get(path) ?? begun;
      // The last kill may be reported after the removal.
      const counts = this.#counts.get(path) ?? row.counts;
      if (next.has(path) || begun - since >= removedRowMs(counts)) this.#removedAt.delete(path);
      else {
        this.#removedAt.set(path, since);
        const removedFor = (begun - since) / 1000;
        fresh.set(path, { ...row, counts, isRemoved: true, removedFor });
      }
    }
    for (const map of [this.#counts, this.#details]) {
      for (const path of map.keys()) if (!fresh.has(path)) map.delete(path);
    }
    this.#rows = fresh;
    this.#known = next;
    const took = this.#usage.tookMs + this.now() - begun;
    return Math.max(MIN_MS_BETWEEN_READS, took / MAX_TIME_SHARE);
  }

  /** What happens in a cgroup that has never had a row is counted in the innermost row around it. */
  #countInRows(subjects: ReadonlyMap<string, Subject>): void {
    for (const [path, counts] of this.#counts) {
      if (subjects.has(path) || this.#rows.has(path)) continue;
      let around = path;
      while (around !== "/" && !subjects.has(around)) around = parentPath(around);
      if (!subjects.has(around)) continue;
      this.#counts.set(around, sumOf(this.#counts.get(around) ?? NO_COUNTS, counts));
      this.#counts.delete(path);
    }
  }

  #rowOf(path: string, { limitOwner, marks, limit, mode }: Subject): Row {
    const gauge = this.#usage.of(limitOwner.path);
    const bytes = limit ?? gauge?.limit ?? Infinity;
    const usage = gauge?.usage;
    // The limit of a guard may be lower than the cgroup's, and the machine may have less than that.
    const headroom = limit === undefined || usage === undefined
      ? gauge?.headroom
      : Math.max(0, Math.min(limit - usage, gauge?.headroom ?? Infinity));
    return {
      path,
      usage,
      limit: bytes,
      headroom,
      rate: gauge?.rate,
      timeLeft: limit === undefined ? gauge?.timeLeft : timeLeft(headroom, gauge?.rate),
      marks: marks(bytes),
      history: [],
      counts: this.#counts.get(path) ?? NO_COUNTS,
      isRemoved: false,
      ...mode === undefined ? {} : { mode },
    };
  }

  rows(): readonly Row[] {
    return [...this.#rows.values()];
  }

  /** Adds the values that are read only for rows on the screen. */
  readShown(shown: readonly Row[]): Row[] {
    const readAt = this.now();
    return shown.map((row) => {
      const subject = this.#known.get(row.path);
      if (row.isRemoved || subject === undefined) return row;
      let kept = this.#details.get(row.path);
      if (kept === undefined || readAt - kept.readAt >= MIN_MS_BETWEEN_READS) {
        kept = { ...readDetails(subject.limitOwner), readAt };
        this.#details.set(row.path, kept);
      }
      const { readAt: _, ...values } = kept;
      return { ...row, ...values, history: this.#usage.history(subject.limitOwner.path) };
    });
  }

  /** Reads the details of one cgroup again, if enough time has passed. */
  details(before: Details): Details {
    const begun = this.now();
    if (before.found && begun < this.#detailsDueAt) return before;
    const { path } = before;
    const removed = { ...before, error: `${printable(path)} was removed` };
    const subject = this.#known.get(path);
    if (subject === undefined) return removed;
    try {
      const machine = machineOf(subject.cgroup.hierarchy);
      const inspection = inspect(subject.cgroup, MAX_PROCESSES, machine);
      if (inspection === undefined) return removed;
      return { path, found: { inspection, machine }, victims: subject.victims?.() };
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      return { ...before, error: printable(error.message) };
    } finally {
      const pause = Math.max(MIN_MS_BETWEEN_READS, (this.now() - begun) / MAX_TIME_SHARE);
      this.#detailsDueAt = this.now() + pause;
    }
  }
}
