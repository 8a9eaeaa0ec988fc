/** How text looks: its colour, its width, and the words ahead of a line that say what it is about. */

import type { Style } from "./style.ts";
import { flow, wrap } from "./table.ts";

export interface TextLayout {
  readonly style: Style;
  /** Columns. */
  readonly width: number;
}

const LABEL = 11;

/** Items side by side under one label; none when there are no items. */
export function itemLines(name: string, items: readonly string[], look: TextLayout): string[] {
  return labelled(name, flow(items, look.width - LABEL), look);
}

/** A text under one label. */
export function textLines(name: string, text: string, look: TextLayout): string[] {
  return labelled(name, wrap(text, look.width - LABEL), look);
}

function labelled(name: string, lines: readonly string[], { style }: TextLayout): string[] {
  return lines.map((line, at) => style("dim", (at === 0 ? name : "").padEnd(LABEL)) + line);
}

/** By how full something is, percent: the levels that OOMHero warns at. */
export const fullness = (percent: number) =>
  percent >= 90 ? "red" : percent >= 65 ? "yellow" : "green";
