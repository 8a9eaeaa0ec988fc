/** Memory in a still picture: the lines of each cgroup, and what stands beside them. Pure. */

import { bytesText } from "./page/figures.js";
import { heightFor, mostOf, shareHeight } from "./page/height.js";
import { shareOf } from "./page/share.js";
import type { Group, Step } from "./picture.ts";
import type { Series } from "./series.ts";
import { areaOf, type Frame, type Label, pathOf, xOf, yOf } from "./still_chart.ts";
import { shortName } from "./text.ts";

export interface MemoryChart {
  readonly title: string;
  readonly unit: "bytes" | "percent";
  readonly frame: Frame;
  readonly lines: string;
  readonly labels: readonly Label[];
}

/** Sizes, with limits and marks. */
export function bytesChart(shown: readonly Group[], frameOf: (most: number) => Frame): MemoryChart {
  const frame = frameOf(heightFor(
    shown.map(({ peak }) => peak ?? 0),
    shown.flatMap(({ limits }) => limits.map(({ limit }) => limit ?? 0)),
  ));
  return {
    title: "Memory",
    unit: "bytes",
    frame,
    lines: shown.map((group, place) => memoryLines(frame, group, place, shown.length)).join(""),
    labels: memoryLabels(frame, shown),
  };
}

/** How near each is to its own limit. */
export function shareChart(shown: readonly Group[], frameOf: (most: number) => Frame): MemoryChart {
  const shares = shown.map(({ usage, limits }) => {
    const { t, v } = shareOf(usage.t.subarray(0, usage.length), usage.v, {
      t: limits.map(({ at }) => at),
      v: limits.map(({ limit }) => limit ?? -1),
    });
    return { t, v, length: t.length };
  });
  const frame = frameOf(shareHeight(shares.map(({ v }) => mostOf(v)), 100));
  const edge = yOf(frame, 100);
  return {
    title: "Memory, % of each limit",
    unit: "percent",
    frame,
    lines:
      `<path class="limit ownlimit" d="M${frame.box.left} ${
        edge.toFixed(1)
      }h${frame.box.width}"/>` +
      shares.map((share, place) =>
        `<path class="usage s${place % 8}" d="${pathOf(frame, share)}"/>`
      ).join(""),
    labels: [
      { y: edge, text: "limit", class: "ownlimit" },
      ...shares.map((share, place) => ({
        y: yOf(frame, share.v.at(-1) ?? 0),
        text: shortName(shown[place]!.path, 26),
        class: `name f${place % 8}`,
      })),
    ],
  };
}

const MOST_WORKING = 3;

function memoryLines(frame: Frame, group: Group, place: number, count: number): string {
  const hue = place % 8;
  const alone = count === 1;
  const area = alone ? `<path class="area f${hue}" d="${areaOf(frame, group.working)}"/>` : "";
  const marks = alone
    ? group.marks.filter(({ bytes }) => bytes <= frame.most).map(({ bytes }) =>
      `<path class="mark" d="M${frame.box.left} ${
        yOf(frame, bytes).toFixed(1)
      }h${frame.box.width}"/>`
    ).join("")
    : "";
  const working = count > MOST_WORKING
    ? ""
    : `<path class="working s${hue}" d="${pathOf(frame, group.working)}"/>`;
  return `${area}${marks}${working}` +
    `<path class="limit ${alone ? "ownlimit" : `s${hue}`}" d="${
      stepsPath(frame, group.limits, group.gone)
    }"/>` +
    `<path class="usage s${hue}" d="${pathOf(frame, group.usage)}"/>`;
}

function stepsPath(frame: Frame, steps: readonly Step[], gone: number | null): string {
  let path = "";
  steps.forEach(({ at, limit }, place) => {
    if (limit === null || limit > frame.most) return;
    const end = steps[place + 1]?.at ?? gone ?? frame.to;
    const y = yOf(frame, limit).toFixed(1);
    path += `M${xOf(frame, at).toFixed(1)} ${y}H${xOf(frame, end).toFixed(1)}`;
  });
  return path;
}

/** One cgroup has its lines named; of several each has its name. */
function memoryLabels(frame: Frame, shown: readonly Group[]): Label[] {
  const lastOf = ({ v, length }: Series) => v[length - 1];
  const [only] = shown;
  if (only === undefined) return [];
  if (shown.length > 1) {
    return shown.map((group, place) => ({
      y: yOf(frame, lastOf(group.usage) ?? 0),
      text: shortName(group.path, 26),
      class: `name f${place % 8}`,
    }));
  }
  const label = (bytes: number, text: string, style: string) => ({
    y: yOf(frame, bytes),
    text: `${text} ${bytesText(bytes)}`,
    class: style,
  });
  return [
    ...(only.limit === null
      ? []
      : [label(only.limit, only.limit > frame.most ? "↑ limit" : "limit", "ownlimit")]),
    ...(only.usage.length === 0 ? [] : [label(lastOf(only.usage)!, "usage", "name f0")]),
    ...(only.working.length === 0 ? [] : [label(lastOf(only.working)!, "working set", "f0")]),
    ...only.marks.filter(({ bytes }) => bytes <= frame.most)
      .map(({ name, bytes }) => label(bytes, name, "strong")),
  ];
}
