// @ts-check
/** Decodes the data that page_data.ts has encoded. */

/** @typedef {import("./content.js").Line} Line */
/** @typedef {import("./content.js").Group & { shown: boolean }} Group `shown`: selected at first */

/** @typedef {{ at: number, group: number | null, kind: string, text: string }} RunEvent */

/**
 * @typedef {object} Run
 * @property {number} from
 * @property {number} to
 * @property {boolean} share memory is first shown as a share of each limit
 * @property {Group[]} groups
 * @property {RunEvent[]} events
 */

/**
 * @param {string} text
 * @returns {Run}
 */
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
 * @param {{ t: number[], v: number[] }} packed differences between neighbours
 * @param {number} from
 * @param {number} scale
 * @returns {Line}
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
