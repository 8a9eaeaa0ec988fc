/** What the script of the page gets: the figures, and the names and texts that it shows on the chart. Pure. */

import { isByShare, type Picture, SHOWN_AT_FIRST } from "./picture.ts";
import type { Series } from "./series.ts";
import { shortName } from "./text.ts";

/**
 * Short enough to be read by a browser at once: each figure as what it differs by from the one before; times in
 * microseconds after the beginning, shares in hundredths.
 */
interface Packed {
  readonly t: readonly number[];
  readonly v: readonly number[];
}

export interface PageData {
  readonly from: number;
  readonly to: number;
  /** Whether memory is shown as a share of each limit at first. */
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
  /** When, of which group, its mark, its text: in the order of the table. */
  readonly events: readonly (readonly [number, number | null, string, string])[];
}

export function pageData(picture: Picture): PageData {
  const { from, to } = picture;
  return {
    from,
    to,
    share: isByShare(picture),
    groups: picture.groups.map((group, place) => ({
      name: shortName(group.path),
      shown: place < SHOWN_AT_FIRST,
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

/** No limit is -1. */
function stepsOf(steps: Picture["groups"][number]["limits"]): Series {
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
