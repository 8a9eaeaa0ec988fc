/** The tooltip at the pointer: the values at that time, and the events near it. */

import { bytesText, clockText, percentText, spanText, usageText } from "../../figures.js";
import { GLYPHS, KIND_NAMES } from "./glyphs.js";
import { valueAt } from "./thin.js";
/** @import { Group, RunEvent } from "./content.js" */

const MAX_TIP_GROUPS = 8;
const MAX_TIP_EVENTS = 4;

/** @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {string} selector */
export const elementsOf = (
  selector,
) => /** @type {HTMLElement[]} */ ([...document.querySelectorAll(selector)]);

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [text] set as text, never as HTML
 * @param {string} [className]
 */
export function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** @type {(tag: string, attributes: Readonly<Record<string, string>>) => SVGElement} */
export function svgElement(tag, attributes) {
  const made =
    /** @type {SVGElement} */ (document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** @param {string} kind */
export function glyph(kind) {
  const label = { role: "img", "aria-label": KIND_NAMES[kind] ?? kind };
  const svg = svgElement("svg", { viewBox: "-6 -6 12 12", class: `glyph ${kind}`, ...label });
  svg.append(svgElement("path", { d: GLYPHS[kind] ?? GLYPHS.note ?? "" }));
  return svg;
}

/** @type {(group: Group, at: number) => HTMLDivElement} */
function row(group, at) {
  const line = element("div", undefined, "row");
  line.append(element("span", undefined, `swatch ${group.colour}`), element("span", group.name));
  if (group.removedAt !== null && at > group.removedAt) {
    line.append(element("span", "removed", "what"));
    return line;
  }
  const limit = valueAt(group.limits, at) ?? -1;
  line.append(
    element("span", usageText(valueAt(group.usage, at), limit < 0 ? null : limit), "what"),
  );
  const working = valueAt(group.working, at);
  const some = valueAt(group.some, at);
  const full = valueAt(group.full, at);
  const more = [
    ...(working === undefined ? [] : [`working set ${bytesText(working)}`]),
    ...(!some ? [] : [`some ${percentText(some)}`]),
    ...(!full ? [] : [`full ${percentText(full)}`]),
  ];
  if (more.length > 0) line.append(element("span", more.join(", "), "more"));
  return line;
}

/**
 * `from` is the start of the run, `at` the time at the pointer; the events are near it.
 * @type {(tip: HTMLElement, from: number, at: number, groups: readonly Group[], events: readonly RunEvent[]) => void}
 */
export function fillTip(tip, from, at, groups, events) {
  const parts = [element("div", `${clockText(at)}  +${spanText(at - from)}`, "when")];
  for (const group of groups.slice(0, MAX_TIP_GROUPS)) parts.push(row(group, at));
  if (groups.length > MAX_TIP_GROUPS) {
    parts.push(element("div", `and ${groups.length - MAX_TIP_GROUPS} more`, "more"));
  }
  for (const event of events.slice(0, MAX_TIP_EVENTS)) {
    const line = element("div", undefined, "event");
    line.append(glyph(event.kind), element("span", event.text));
    parts.push(line);
  }
  if (events.length > MAX_TIP_EVENTS) {
    parts.push(element("div", `and ${events.length - MAX_TIP_EVENTS} more events here`, "more"));
  }
  tip.replaceChildren(...parts);
}

/**
 * Places the tooltip beside the pointer, within the window.
 * @type {(tip: HTMLElement, x: number, y: number) => void}
 */
export function placeTip(tip, x, y) {
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth - 8 ? x - 16 - width : x + 16;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.min(Math.max(8, y + 14), Math.max(8, innerHeight - height - 8))}px`;
}
