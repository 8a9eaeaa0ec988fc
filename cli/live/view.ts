/** The state of the live view: plain data, from which a screen is drawn, and the effect of a key on it. Pure. */

import type { Inspection } from "../../core/cgroup/inspection.ts";
import type { Machine } from "../../core/cgroup/machine.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { Size } from "../terminal/capabilities.ts";
import type { Key, NamedKey } from "../terminal/keys.ts";
import { matching, nextSort, type Order, ordered, searched, type Sort } from "./order.ts";
import { type Counts, NO_COUNTS, type Row } from "./rows.ts";

/** An event, or a message for stdout or stderr. */
export type LogEntry =
  /** @property facts its sentence, where the event is from a recording */
  | { readonly event: OomkitEvent; readonly facts?: string }
  | { readonly message: string };

export interface Details {
  readonly path: string;
  /** Absent until the first read. */
  readonly found?: { readonly inspection: Inspection; readonly machine: Machine } | undefined;
  /** The victim order of a guard. */
  readonly victims?: readonly string[] | undefined;
  /** Why the last read failed. */
  readonly error?: string | undefined;
}

/** What the title says about a guard. */
export interface GuardFacts {
  readonly modes: readonly string[];
  /** Such as `policy process`. */
  readonly policy: string;
  readonly isDryRun: boolean;
}

/** Where a replay is. Times are milliseconds since the epoch. */
export interface ReplayFacts {
  readonly from: number;
  readonly to: number;
  readonly at: number;
  readonly isPlaying: boolean;
  /** Seconds of the recording in a second. */
  readonly speed: number;
  readonly kills: readonly number[];
  /** The recording has its end. */
  readonly isWhole: boolean;
  /** Such as `guard on node7`. */
  readonly source: string;
  readonly isOfGuard: boolean;
  readonly historySeconds: number;
}

export interface View extends Order {
  readonly command: string;
  readonly guard?: GuardFacts | undefined;
  readonly machine?: Machine | undefined;
  /** Of a recording. */
  readonly replay?: ReplayFacts | undefined;
  /** Sorted, before the filter. */
  readonly rows: readonly Row[];
  /** Since the view was opened, in all cgroups. */
  readonly totals: Counts;
  /** The local time at which the view was opened. */
  readonly since: string;
  /** Some rows shown so far have pressure, as on v2. */
  readonly hasPressure: boolean;
  readonly log: readonly LogEntry[];
  /** The path of the selected row; absent: the first row, whichever cgroup that is. */
  readonly selected?: string | undefined;
  /** The index of the first row on the screen. */
  readonly top: number;
  readonly filter: string;
  /** The last text that was searched for. */
  readonly search: string;
  /** Present while a filter or a search is typed. */
  readonly typing?: Typing | undefined;
  readonly details?: Details | undefined;
  /** Lines by which the help or the details are scrolled. */
  readonly scroll: number;
  readonly isHelp: boolean;
  /** The rows and the log stand still; new events are kept. */
  readonly isPaused: boolean;
  /** The view asks whether to end the guard. */
  readonly isAsking: boolean;
  /** The local time, such as `10:02:19`. */
  readonly clock: string;
}

interface Typing {
  readonly field: "filter" | "search";
  /** What escape restores. */
  readonly before: Pick<View, "filter" | "search" | "selected" | "top">;
}

export function firstView(command: string): View {
  return {
    command,
    rows: [],
    totals: NO_COUNTS,
    since: "",
    hasPressure: false,
    log: [],
    top: 0,
    sort: "time",
    isReversed: false,
    isTree: false,
    filter: "",
    search: "",
    scroll: 0,
    isHelp: false,
    isPaused: false,
    isAsking: false,
    clock: "",
  };
}

export function withRows(view: View, rows: readonly Row[]): View {
  return { ...view, rows: ordered(rows, view) };
}

const withOrder = (view: View, order: Partial<Order>): View =>
  withRows({ ...view, ...order }, view.rows);

export const listed = (view: View): readonly Row[] => matching(view.rows, view.filter);

/** The index of the selected row in `rows`; 0 if it is not among them. */
export function indexOfSelected({ selected }: View, rows: readonly Row[]): number {
  return selected === undefined ? 0 : Math.max(0, rows.findIndex(({ path }) => path === selected));
}

/** Lines of each part of the list screen. */
export interface Parts {
  /** About the machine. */
  readonly header: number;
  readonly rows: number;
  readonly log: number;
}

/** Title line, column titles, key line. */
const FIXED_LINES = 3;

/** @param count of the rows that are listed */
export function partsOf({ rows }: Size, count: number): Parts {
  const header = rows >= 20 ? 2 : rows >= 14 ? 1 : 0;
  const free = Math.max(0, rows - FIXED_LINES - header);
  // The log with its heading gets a third, or what the rows leave free; at least four lines are for rows.
  const log = Math.min(free - MIN_ROWS, Math.max(Math.floor(free / 3), free - count - 1));
  return log < 2 ? { header, rows: free, log: 0 } : { header, rows: free - log, log: log - 1 };
}

const MIN_ROWS = 4;

/** The index of the first row on the screen, such that the selected row is visible. */
export function topOf(view: View, rows: readonly Row[], size: Size): number {
  const room = Math.max(1, partsOf(size, rows.length).rows);
  const at = indexOfSelected(view, rows);
  const top = Math.min(Math.max(view.top, at - room + 1), at);
  return Math.max(0, Math.min(top, rows.length - room));
}

export function shownRows(view: View, size: Size): readonly Row[] {
  const rows = listed(view);
  const top = topOf(view, rows, size);
  return rows.slice(top, top + partsOf(size, rows.length).rows);
}

/** For the caller: end, stop as a job of the shell, draw the whole screen again. */
type ViewCommand = "quit" | "suspend" | "redraw";

/** For the caller: moves in the recording. */
const REPLAY_KEYS = {
  " ": "play",
  right: "step",
  ".": "step",
  left: "step-back",
  ",": "step-back",
  "]": "minute",
  "[": "minute-back",
  x: "next-kill",
  X: "previous-kill",
  "+": "faster",
  "-": "slower",
} as const;
export type ReplayCommand = (typeof REPLAY_KEYS)[keyof typeof REPLAY_KEYS];

interface Update {
  readonly view: View;
  readonly command?: ViewCommand;
  readonly move?: ReplayCommand;
}

const MAX_TYPED_LENGTH = 200;

export function updateView(view: View, key: Key, size: Size): Update {
  if (key.name === "interrupt") return { view, command: "quit" };
  if (key.name === "suspend" || key.name === "redraw") return { view, command: key.name };
  if (view.isAsking) {
    const isYes = key.name === "text" && key.text.toLowerCase() === "y";
    return { view: { ...view, isAsking: false }, ...isYes ? { command: "quit" } : {} };
  }
  if (view.typing) return { view: type(view, view.typing, key, size) };
  if (view.replay && !view.isHelp && Object.hasOwn(REPLAY_KEYS, nameOf(key))) {
    return { view, move: REPLAY_KEYS[nameOf(key) as keyof typeof REPLAY_KEYS] };
  }
  if (key.name === "text" && key.text === " ") {
    return { view: { ...view, isPaused: !view.isPaused } };
  }
  if (view.isHelp || view.details) return inText(view, key, size);
  return inList(view, key, size);
}

/** Each letter is applied to the list. */
function type(view: View, { field, before }: Typing, key: Key, size: Size): View {
  const { typing: _, ...done } = view;
  const text = view[field];
  const changed = (text: string): View => {
    const next = { ...view, [field]: text };
    if (field === "filter") return { ...next, top: 0 };
    // From where the search began, so that a longer text does not move on to the next match.
    const from = indexOfSelected({ ...next, selected: before.selected }, listed(next));
    return found(next, from, size);
  };
  switch (key.name) {
    case "enter":
      return done;
    case "escape":
      return { ...done, ...before };
    case "backspace":
      // As in less: backspace in an empty line leaves it.
      return text === "" ? done : changed([...text].slice(0, -1).join(""));
    case "clear":
      return changed("");
    case "text":
      return text.length >= MAX_TYPED_LENGTH ? view : changed(text + key.text);
    default:
      return view;
  }
}

/** Selects the first match of the search at or after `from`; without one the selection stays. */
function found(view: View, from: number, size: Size): View {
  const rows = listed(view);
  const at = searched(rows, view.search, from);
  if (at < 0) return view;
  const next = { ...view, selected: rows[at]!.path };
  return { ...next, top: topOf(next, rows, size) };
}

function inText(view: View, key: Key, size: Size): Update {
  const page = Math.max(1, size.rows - 3);
  const by = movesBy(page)[nameOf(key)];
  // The upper bound depends on the screen, see `scrollOf`.
  if (by !== undefined) {
    return { view: { ...view, scroll: by === -Infinity ? 0 : Math.max(0, view.scroll + by) } };
  }
  switch (nameOf(key)) {
    case "?":
      return { view: view.isHelp ? back(view) : { ...view, isHelp: true, scroll: 0 } };
    case "q":
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
  const page = Math.max(1, partsOf(size, listed(view).length).rows);
  const name = nameOf(key);
  const by = movesBy(page)[name];
  if (by !== undefined) return { view: moved(view, by, size) };
  const order = SORT_KEYS[name];
  if (order !== undefined) return { view: withOrder(view, { sort: order }) };
  switch (name) {
    case "/":
      return { view: { ...view, search: "", typing: { field: "search", before: stateOf(view) } } };
    case "\\":
      return { view: { ...view, typing: { field: "filter", before: stateOf(view) } } };
    case "n":
      return { view: found(view, indexOfSelected(view, listed(view)) + 1, size) };
    case "s":
      return { view: withOrder(view, { sort: nextSort(view.sort) }) };
    case "r":
      return { view: withOrder(view, { isReversed: !view.isReversed }) };
    case "t":
      return { view: withOrder(view, { isTree: !view.isTree }) };
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
      // A guard that ends protects nothing.
      if (view.guard) return { view: { ...view, isAsking: true } };
      return { view, command: "quit" };
    case "escape":
      return { view: { ...view, filter: "", search: "", top: 0 } };
    default:
      return { view };
  }
}

const stateOf = ({ filter, search, selected, top }: View) => ({ filter, search, selected, top });

/** As in htop, with a meaning for cgroups: M memory, P pressure, T time, K kills, N name. */
const SORT_KEYS: Readonly<Record<string, Sort>> = {
  M: "usage",
  P: "pressure",
  T: "time",
  K: "counts",
  N: "name",
};

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
