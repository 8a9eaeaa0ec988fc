/** The data of the page's script, decoded by page/unpack.js. Pure. */

import { isByShare, type Picture, SHOWN_AT_FIRST } from "./picture.ts";
import type { Series } from "./series.ts";
import { shortName } from "./text.ts";

/**
 * Small enough for a browser to parse without delay: differences between neighbours; times in microseconds after the start, shares
 * in hundredths.
 */
interface Packed {
  readonly t: readonly number[];
  readonly v: readonly number[];
}

export interface PageData {
  readonly from: number;
  readonly to: number;
  /** Memory is first shown as a share of each limit. */
  readonly share: boolean;
  readonly groups: readonly {
    readonly name: string;
    readonly shown: boolean;
    readonly usage: Packed;
    readonly working: Packed;
    readonly some: Packed;
    readonly full: Packed;
    readonly limits: Packed;
    readonly marks: readonly { readonly name: string; readonly bytes: number }[];
    readonly removedAt: number | null;
  }[];
  /** Time, index of the cgroup, kind, text; in the order of the table. */
  readonly events: readonly (readonly [number, number | null, string, string])[];
}

export function pageData(picture: Picture): PageData {
  const { from, to } = picture;
  return {
    from,
    to,
    share: isByShare(picture),
    groups: picture.groups.map((group, index) => ({
      name: shortName(group.path),
      shown: index < SHOWN_AT_FIRST,
      usage: packed(group.usage, from, 1),
      working: packed(group.working, from, 1),
      some: packed(group.some, from, 100),
      full: packed(group.full, from, 100),
      limits: packed(stepsOf(group.limits), from, 1),
      marks: group.marks,
      removedAt: group.removedAt,
    })),
    events: picture.events.map(({ at, group, kind, text }) => [at - from, group, kind, text]),
  };
}

/** -1 for no limit. */
export function stepsOf(steps: Picture["groups"][number]["limits"]): Series {
  return {
    t: Float64Array.from(steps, ({ at }) => at),
    v: Float64Array.from(steps, ({ limit }) => limit ?? -1),
    length: steps.length,
  };
}

function packed({ t, v, length }: Series, from: number, scale: number): Packed {
  const differences = (value: (at: number) => number) => {
    let before = 0;
    return Array.from({ length }, (_, at) => {
      const now = Math.round(value(at));
      const difference = now - before;
      before = now;
      return difference;
    });
  };
  return {
    t: differences((at) => (t[at]! - from) * 1000),
    v: differences((at) => v[at]! * scale),
  };
}
