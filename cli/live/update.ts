/** The effect of a key on the view. Pure. */

import type { Size } from "../terminal/capabilities.ts";
import type { Key, NamedKey } from "../terminal/keys.ts";
import { nextSort, ordered } from "./order.ts";
import { indexOfSelected, listed, partsOf, topOf, type View } from "./view.ts";

/** For the caller: end, stop as a job of the shell, draw the whole screen again. */
export type ViewCommand = "quit" | "suspend" | "redraw";

export interface Update {
  readonly view: View;
  readonly command?: ViewCommand;
}

const MAX_FILTER_LENGTH = 200;

export function updateView(view: View, key: Key, size: Size): Update {
  if (key.name === "interrupt") return { view, command: "quit" };
  if (key.name === "suspend") return { view, command: "suspend" };
  if (key.name === "redraw") return { view, command: "redraw" };
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

/** In the help or the details. */
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
