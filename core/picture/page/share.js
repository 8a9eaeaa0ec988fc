// @ts-check
/** Usage as a share of the limit that held at that moment: what tells cgroups of different sizes apart. */

import { placeOf } from "./thin.js";

/**
 * @param {ArrayLike<number>} times of the figures, rising
 * @param {ArrayLike<number>} values bytes
 * @param {{ readonly t: ArrayLike<number>, readonly v: ArrayLike<number> }} limits each from its time on; below 1 for none
 * @returns {{ t: Float64Array, v: Float64Array }} percent; without those moments at which there was no limit
 */
export function shareOf(times, values, limits) {
  const t = new Float64Array(times.length);
  const v = new Float64Array(times.length);
  let length = 0;
  for (let at = 0; at < times.length; at++) {
    const time = times[at] ?? 0;
    const limit = limits.v[Math.max(0, placeOf(limits.t, time + 1e-9) - 1)] ?? -1;
    if (limit < 1) continue;
    t[length] = time;
    v[length] = 100 * (values[at] ?? 0) / limit;
    length++;
  }
  return { t: t.subarray(0, length), v: v.subarray(0, length) };
}
