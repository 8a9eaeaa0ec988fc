/** All that the live view shows: plain data, out of which a screen is made. */

import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { Size } from "../terminal/palette.ts";
import { matching, ordered, type Sort } from "./order.ts";
import type { Row } from "./rows.ts";

/** What was told, or said beside it. */
export type LogEntry = { readonly event: OomkitEvent } | { readonly message: string };

export interface Details {
  readonly path: string;
  /** Absent until it was read first. */
  readonly found?: { readonly inspection: Inspection; readonly machine: Machine } | undefined;
  /** Why there is nothing, or nothing new. */
  readonly error?: string | undefined;
}

export interface View {
  readonly command: string;
  /** In the order in which they are shown, before the filter. */
  readonly rows: readonly Row[];
  /** Some of those that were shown have had any, as on v2. */
  readonly hasPressure: boolean;
  readonly log: readonly LogEntry[];
  /** Of this one; absent: the first, whichever that is. */
  readonly selected?: string | undefined;
  /** The first row that is shown. */
  readonly top: number;
  readonly sort: Sort;
  readonly filter: string;
  /** Absent unless a filter is being typed: what it was before. */
  readonly previousFilter?: string | undefined;
  readonly details?: Details | undefined;
  /** Lines by which the help or the details are scrolled. */
  readonly scroll: number;
  readonly isHelp: boolean;
  /** What is shown stands still; what comes is kept. */
  readonly isPaused: boolean;
  /** Of the local clock, such as `10:02:19`. */
  readonly clock: string;
}

export function firstView(command: string): View {
  return {
    command,
    rows: [],
    hasPressure: false,
    log: [],
    top: 0,
    sort: "time",
    filter: "",
    scroll: 0,
    isHelp: false,
    isPaused: false,
    clock: "",
  };
}

/** The rows anew, in their order. */
export function withRows(view: View, rows: readonly Row[]): View {
  return { ...view, rows: ordered(rows, view.sort) };
}

/** Those that the filter lets through, in their order. */
export const listed = (view: View): readonly Row[] => matching(view.rows, view.filter);

/** Of the selected one among `rows`; 0 where it is not among them. */
export function indexOfSelected({ selected }: View, rows: readonly Row[]): number {
  return selected === undefined ? 0 : Math.max(0, rows.findIndex(({ path }) => path === selected));
}

/** Lines of the parts of the screen. */
export interface Parts {
  readonly rows: number;
  readonly log: number;
}

/** Title, column titles, footer; and a rule above what was told. */
const HEAD = 2;
const FOOT = 1;

export function partsOf({ rows }: Size): Parts {
  const free = rows - HEAD - FOOT;
  // A third at most, and never at the cost of the last few cgroups.
  const log = Math.max(0, Math.min(12, Math.floor(free / 3), free - 4));
  return log < 2 ? { rows: Math.max(0, free), log: 0 } : { rows: free - log, log: log - 1 };
}

/** The first row that is shown, so that the selected one is. */
export function topOf(view: View, rows: readonly Row[], size: Size): number {
  const room = Math.max(1, partsOf(size).rows);
  const at = indexOfSelected(view, rows);
  const top = Math.min(Math.max(view.top, at - room + 1), at);
  return Math.max(0, Math.min(top, rows.length - room));
}

/** Those that are on the screen. */
export function shownRows(view: View, size: Size): readonly Row[] {
  const rows = listed(view);
  const top = topOf(view, rows, size);
  return rows.slice(top, top + partsOf(size).rows);
}
