// @ts-check
/** The shapes that events are marked by: told apart without colour as well. */

/**
 * An SVG path around 0,0, some 9 wide: a cross for a kill, a square for what oomkit did, a disc for the limit hit, a
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

/**
 * @type {Readonly<Record<string, string>>}
 */
export const KIND_NAMES = {
  kill: "killed by the kernel",
  act: "oomkit acted",
  oom: "limit hit",
  level: "level or threshold",
  note: "other",
};

/** From the least to the gravest: of those that fall on one spot, the gravest is seen. */
export const SEVERITY = ["note", "level", "oom", "act", "kill"];

/** So near to each other one would lie on the other (pixels). */
const NEXT = 9;

/**
 * Those that find room, the gravest first: of equals the first.
 * @template {{ kind: string }} T
 * @param {readonly T[]} events
 * @param {(event: T) => number} placeOf pixels
 * @returns {T[]}
 */
export function withRoom(events, placeOf) {
  /** @type {Map<number, number[]>} */
  const taken = new Map();
  return events.toSorted((a, b) => SEVERITY.indexOf(b.kind) - SEVERITY.indexOf(a.kind))
    .filter((event) => {
      const x = placeOf(event);
      const spot = Math.floor(x / NEXT);
      const near = [spot - 1, spot, spot + 1].flatMap((each) => taken.get(each) ?? []);
      if (near.some((other) => Math.abs(other - x) < NEXT)) return false;
      taken.set(spot, [...taken.get(spot) ?? [], x]);
      return true;
    });
}
