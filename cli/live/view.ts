/** The state of the live view: plain data, from which a screen is drawn, and the effect of a key on it. Pure. */

import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { Size } from "../terminal/capabilities.ts";
import type { Key, NamedKey } from "../terminal/keys.ts";
import {
  type Counts,
  matching,
  nextSort,
  NO_COUNTS,
  ordered,
  type Row,
  type Sort,
} from "./rows.ts";

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
  /** Since the view was opened, in all cgroups. */
  readonly totals: Counts;
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
    totals: NO_COUNTS,
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

export function shownRows(view: View, size: Size): readonly Row[] {
  const rows = listed(view);
  const top = topOf(view, rows, size);
  return rows.slice(top, top + partsOf(size).rows);
}

/** For the caller: end, stop as a job of the shell, draw the whole screen again. */
type ViewCommand = "quit" | "suspend" | "redraw";

interface Update {
  readonly view: View;
  readonly command?: ViewCommand;
}

const MAX_FILTER_LENGTH = 200;

export function updateView(view: View, key: Key, size: Size): Update {
  if (key.name === "interrupt") return { view, command: "quit" };
  if (key.name === "suspend" || key.name === "redraw") return { view, command: key.name };
  if (view.previousFilter !== undefined) return { view: editFilter(view, key) };
  if (key.name === "text" && key.text === " ") {
    return { view: { ...view, isPaused: !view.isPaused } };
  }
  if (view.isHelp || view.details) return inText(view, key, size);
  return inList(view, key, size);
}

/** While a filter is typed, each letter is applied to the list. */
function editFilter(view: View, key: Key): View {
  const { filter, previousFilter: before, ...rest } = view;
  switch (key.name) {
    case "enter":
      return { ...rest, filter };
    case "escape":
      return { ...rest, filter: before ?? "", top: 0 };
    case "backspace":
      // As in less: backspace in an empty line leaves it.
      return filter === ""
        ? { ...rest, filter }
        : { ...view, filter: [...filter].slice(0, -1).join(""), top: 0 };
    case "clear":
      return { ...view, filter: "", top: 0 };
    case "text":
      return filter.length >= MAX_FILTER_LENGTH
        ? view
        : { ...view, filter: filter + key.text, top: 0 };
    default:
      return view;
  }
}

function inText(view: View, key: Key, size: Size): Update {
  const page = Math.max(1, size.rows - 3);
  const by = movesBy(page)[nameOf(key)];
  // The upper bound depends on the screen, see `scrollOf`.
  if (by !== undefined) {
    return { view: { ...view, scroll: by === -Infinity ? 0 : Math.max(0, view.scroll + by) } };
  }
  switch (nameOf(key)) {
    case "q":
      return view.isHelp ? { view: back(view) } : { view, command: "quit" };
    case "?":
      return { view: view.isHelp ? back(view) : { ...view, isHelp: true, scroll: 0 } };
    case "enter":
    case "escape":
    case "left":
    case "backspace":
      return { view: back(view) };
    default:
      return { view };
  }
}

function back(view: View): View {
  if (view.isHelp) return { ...view, isHelp: false, scroll: 0 };
  const { details: _, ...rest } = view;
  return { ...rest, scroll: 0 };
}

type Moves = Readonly<Record<string, number>>;
const movesBy = (page: number): Moves => ({
  up: -1,
  k: -1,
  down: 1,
  j: 1,
  "page-up": -page,
  b: -page,
  "page-down": page,
  f: page,
  home: -Infinity,
  g: -Infinity,
  end: Infinity,
  G: Infinity,
});

function inList(view: View, key: Key, size: Size): Update {
  const page = Math.max(1, partsOf(size).rows);
  const name = nameOf(key);
  const by = movesBy(page)[name];
  if (by !== undefined) return { view: moved(view, by, size) };
  switch (name) {
    case "/":
      return { view: { ...view, previousFilter: view.filter } };
    case "s": {
      const sort = nextSort(view.sort);
      return { view: { ...view, sort, rows: ordered(view.rows, sort) } };
    }
    case "enter":
    case "right": {
      const rows = listed(view);
      const row = rows[indexOfSelected(view, rows)];
      if (row === undefined) return { view };
      const { path } = row;
      return { view: { ...view, selected: path, details: { path }, scroll: 0 } };
    }
    case "?":
      return { view: { ...view, isHelp: true, scroll: 0 } };
    case "q":
      return { view, command: "quit" };
    case "escape":
      // The first escape clears the filter, the next one ends the view.
      if (view.filter !== "") return { view: { ...view, filter: "", top: 0 } };
      return { view, command: "quit" };
    default:
      return { view };
  }
}

const nameOf = (key: Key): NamedKey | (string & Record<never, never>) =>
  key.name === "text" ? key.text : key.name;

/** The first row selects whichever cgroup comes first; any other row selects its cgroup. */
function moved(view: View, by: number, size: Size): View {
  const rows = listed(view);
  if (rows.length === 0) return view;
  const at = Math.max(0, Math.min(rows.length - 1, indexOfSelected(view, rows) + by));
  const { selected: _, ...rest } = view;
  const next: View = at === 0 ? { ...rest, top: 0 } : { ...rest, selected: rows[at]!.path };
  return { ...next, top: topOf(next, rows, size) };
}
