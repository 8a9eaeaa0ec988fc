/** The state of the live view: plain data, from which a screen is drawn. */

import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { Size } from "../terminal/capabilities.ts";
import { matching, ordered, type Sort } from "./order.ts";
import type { Row } from "./rows.ts";

/** An event, or a message for stdout or stderr. */
export type LogEntry = { readonly event: OomkitEvent } | { readonly message: string };

export interface Details {
  readonly path: string;
  /** Absent until the first read. */
  readonly found?: { readonly inspection: Inspection; readonly machine: Machine } | undefined;
  /** Why the last read failed. */
  readonly error?: string | undefined;
}

export interface View {
  readonly command: string;
  /** Sorted, before the filter. */
  readonly rows: readonly Row[];
  /** Some rows shown so far have pressure, as on v2. */
  readonly hasPressure: boolean;
  readonly log: readonly LogEntry[];
  /** The path of the selected row; absent: the first row, whichever cgroup that is. */
  readonly selected?: string | undefined;
  /** The index of the first row on the screen. */
  readonly top: number;
  readonly sort: Sort;
  readonly filter: string;
  /** Present while a filter is typed: the filter before that. */
  readonly previousFilter?: string | undefined;
  readonly details?: Details | undefined;
  /** Lines by which the help or the details are scrolled. */
  readonly scroll: number;
  readonly isHelp: boolean;
  /** The rows and the log stand still; new events are kept. */
  readonly isPaused: boolean;
  /** The local time, such as `10:02:19`. */
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

export function withRows(view: View, rows: readonly Row[]): View {
  return { ...view, rows: ordered(rows, view.sort) };
}

/** The rows that match the filter. */
export const listed = (view: View): readonly Row[] => matching(view.rows, view.filter);

/** The index of the selected row in `rows`; 0 if it is not among them. */
export function indexOfSelected({ selected }: View, rows: readonly Row[]): number {
  return selected === undefined ? 0 : Math.max(0, rows.findIndex(({ path }) => path === selected));
}

/** Lines of each part of the list screen. */
export interface Parts {
  readonly rows: number;
  readonly log: number;
}

/** Title line, column titles, key line. */
const FIXED_LINES = 3;

export function partsOf({ rows }: Size): Parts {
  const free = rows - FIXED_LINES;
  // The log with its heading gets at most a third, and leaves at least four rows.
  const log = Math.max(0, Math.min(12, Math.floor(free / 3), free - 4));
  return log < 2 ? { rows: Math.max(0, free), log: 0 } : { rows: free - log, log: log - 1 };
}

/** The index of the first row on the screen, such that the selected row is visible. */
export function topOf(view: View, rows: readonly Row[], size: Size): number {
  const room = Math.max(1, partsOf(size).rows);
  const at = indexOfSelected(view, rows);
  const top = Math.min(Math.max(view.top, at - room + 1), at);
  return Math.max(0, Math.min(top, rows.length - room));
}

/** The rows on the screen. */
export function shownRows(view: View, size: Size): readonly Row[] {
  const rows = listed(view);
  const top = topOf(view, rows, size);
  return rows.slice(top, top + partsOf(size).rows);
}
