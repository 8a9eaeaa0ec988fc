// @ts-check
/** The marks of events: shapes, so that they differ without colour too. */

/**
 * SVG paths around 0,0, about 9 wide: a cross for a kernel kill, a square for an action of oomkit, a disc for a limit hit, a
 * triangle for a level or threshold, a small ring for anything else.
 * @type {Readonly<Record<string, string>>}
 */
export const GLYPHS = {
  kill: "M-4 -4L4 4M-4 4L4 -4",
  act: "M-4 -4H4V4H-4Z",
  oom: "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z",
  level: "M0 -4.5L4.5 4H-4.5Z",
  note: "M-2.5 0A2.5 2.5 0 1 0 2.5 0A2.5 2.5 0 1 0 -2.5 0Z",
};

/** @type {Readonly<Record<string, string>>} */
export const KIND_NAMES = {
  kill: "killed by the kernel",
  act: "oomkit acted",
  oom: "limit hit",
  level: "level or threshold",
  note: "other",
};

/**
 * Names of palette.css, where the still picture has the same colours.
 * @type {Readonly<Record<string, string>>}
 */
export const KIND_COLOURS = { kill: "bad", act: "g3", oom: "bad", level: "warn", note: "note" };

/** @param {string} kind */
export const isKill = (kind) => kind === "kill" || kind === "act";

/** Ascending: where marks overlap, the most severe is drawn. */
export const SEVERITY = ["note", "level", "oom", "act", "kill"];

/** Nearer marks would overlap. */
const MIN_PX_BETWEEN_MARKS = 9;

/**
 * The events that have room, the most severe first; of equal severity the earlier in the list.
 * @template {{ kind: string }} T
 * @param {readonly T[]} events
 * @param {(event: T) => number} xOf pixels
 * @returns {T[]}
 */
export function withRoom(events, xOf) {
  /** @type {Map<number, number[]>} */
  const taken = new Map();
  return events.toSorted((a, b) => SEVERITY.indexOf(b.kind) - SEVERITY.indexOf(a.kind))
    .filter((event) => {
      const x = xOf(event);
      const spot = Math.floor(x / MIN_PX_BETWEEN_MARKS);
      const near = [spot - 1, spot, spot + 1].flatMap((each) => taken.get(each) ?? []);
      if (near.some((other) => Math.abs(other - x) < MIN_PX_BETWEEN_MARKS)) return false;
      taken.set(spot, [...taken.get(spot) ?? [], x]);
      return true;
    });
}
