/** What a key does to the view. Pure. */

import type { Size } from "../terminal/palette.ts";
import type { Key, NamedKey } from "./keys.ts";
import { nextSort, ordered } from "./order.ts";
import { indexOfSelected, listed, partsOf, topOf, type View } from "./view.ts";

/** Beyond the view: to end, to stop as a job of the shell, to draw all anew. */
export type ViewCommand = "quit" | "suspend" | "redraw";

export interface Pressed {
  readonly view: View;
  readonly command?: ViewCommand;
}

/** A filter longer than this finds nothing that a shorter one does not. */
const LONGEST_FILTER = 200;

export function updateView(view: View, key: Key, size: Size): Pressed {
  if (key.name === "interrupt") return { view, command: "quit" };
  if (key.name === "suspend") return { view, command: "suspend" };
  if (key.name === "redraw") return { view, command: "redraw" };
  if (view.previousFilter !== undefined) return { view: typed(view, key) };
  if (key.name === "text" && key.text === " ") {
    return { view: { ...view, isPaused: !view.isPaused } };
  }
  if (view.isHelp || view.details) return within(view, key, size);
  return inList(view, key, size);
}

/** A filter is being typed; the list follows each letter. */
function typed(view: View, key: Key): View {
  const { filter, previousFilter: before, ...rest } = view;
  switch (key.name) {
    case "enter":
      return { ...rest, filter };
    case "escape":
      return { ...rest, filter: before ?? "", top: 0 };
    case "backspace":
      // As in less: to delete more than there is leaves the line.
      return filter === ""
        ? { ...rest, filter }
        : { ...view, filter: [...filter].slice(0, -1).join(""), top: 0 };
    case "clear":
      return { ...view, filter: "", top: 0 };
    case "text":
      return filter.length >= LONGEST_FILTER
        ? view
        : { ...view, filter: filter + key.text, top: 0 };
    default:
      return view;
  }
}

/** In the help or the details. */
function within(view: View, key: Key, size: Size): Pressed {
  const page = Math.max(1, size.rows - 3);
  const by = movesBy(page)[nameOf(key)];
  // Where it ends only the screen knows; it is set right there.
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

function inList(view: View, key: Key, size: Size): Pressed {
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
      const chosen = rows[indexOfSelected(view, rows)];
      if (chosen === undefined) return { view };
      const { path } = chosen;
      return { view: { ...view, selected: path, details: { path }, scroll: 0 } };
    }
    case "?":
      return { view: { ...view, isHelp: true, scroll: 0 } };
    case "q":
      return { view, command: "quit" };
    case "escape":
      // One after the other: what was chosen, then the view itself.
      if (view.filter !== "") return { view: { ...view, filter: "", top: 0 } };
      return { view, command: "quit" };
    default:
      return { view };
  }
}

const nameOf = (key: Key): NamedKey | (string & Record<never, never>) =>
  key.name === "text" ? key.text : key.name;

/** At the first place the view stays with whoever is first; anywhere else with the cgroup that is there now. */
function moved(view: View, by: number, size: Size): View {
  const rows = listed(view);
  if (rows.length === 0) return view;
  const at = Math.max(0, Math.min(rows.length - 1, indexOfSelected(view, rows) + by));
  const { selected: _, ...rest } = view;
  const next: View = at === 0 ? { ...rest, top: 0 } : { ...rest, selected: rows[at]!.path };
  return { ...next, top: topOf(next, rows, size) };
}
