// @ts-check
/** Decodes the data that page.ts has encoded. */

/** @import { Group as DrawnGroup, Line } from "./content.js" */
/** @typedef {DrawnGroup & { shown: boolean }} Group `shown`: selected at first */

/** @typedef {{ at: number, group: number | null, kind: string, text: string }} RunEvent */

/**
 * @typedef {object} Run
 * @property {number} from
 * @property {number} to
 * @property {boolean} share memory is first shown as a share of each limit
 * @property {Group[]} groups
 * @property {RunEvent[]} events
 */

/** @type {(text: string) => Run} */
export function unpack(text) {
  const { from, to, share, groups, events } = JSON.parse(text);
  return {
    from,
    to,
    share,
    groups: groups.map((/** @type {any} */ group, /** @type {number} */ index) => ({
      ...group,
      usage: lineOf(group.usage, from, 1),
      working: lineOf(group.working, from, 1),
      some: lineOf(group.some, from, 100),
      full: lineOf(group.full, from, 100),
      limits: lineOf(group.limits, from, 1),
      colour: `g${index % 8}`,
    })),
    events: events.map((/** @type {any} */ [at, group, kind, text]) => ({
      at: from + at,
      group,
      kind,
      text,
    })),
  };
}

/**
 * Sums the differences between neighbours.
 * @type {(packed: { t: number[], v: number[] }, from: number, scale: number) => Line}
 */
function lineOf(packed, from, scale) {
  const summed = (/** @type {number[]} */ differences) => {
    let sum = 0;
    return Float64Array.from(differences, (difference) => sum += difference);
  };
  return {
    t: summed(packed.t).map((at) => from + at / 1000),
    v: summed(packed.v).map((value) => value / scale),
  };
}
