// @ts-check
/** The page's figures out of what page_data.ts has made of them. */

/** @typedef {{ t: Float64Array, v: Float64Array }} Line milliseconds since the epoch, and figures */

/**
 * @typedef {object} Group
 * @property {string} name
 * @property {boolean} shown
 * @property {Line} usage
 * @property {Line} working
 * @property {Line} some
 * @property {Line} full
 * @property {Line} limits steps; -1 for none
 * @property {{ name: string, bytes: number }[]} marks
 * @property {number | null} removedAt
 * @property {number} hue
 */

/** @typedef {{ at: number, group: number | null, kind: string, text: string }} Happening */

/**
 * @typedef {object} Run
 * @property {number} from
 * @property {number} to
 * @property {boolean} share whether memory is shown as a share of each limit at first
 * @property {Group[]} groups
 * @property {Happening[]} events
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
    groups: groups.map((/** @type {any} */ group, /** @type {number} */ place) => ({
      ...group,
      usage: lineOf(group.usage, from, 1),
      working: lineOf(group.working, from, 1),
      some: lineOf(group.some, from, 100),
      full: lineOf(group.full, from, 100),
      limits: lineOf(group.limits, from, 1),
      hue: place % 8,
    })),
    events: events.map((/** @type {any} */ [at, group, kind, said]) => ({
      at: from + at,
      group,
      kind,
      text: said,
    })),
  };
}

/**
 * @param {{ t: number[], v: number[] }} packed differences
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
