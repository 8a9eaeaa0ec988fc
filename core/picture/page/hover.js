/** The tooltip at the pointer: the values at that time, and the events near it. */

import { bytesText, clockText, spanText } from "./figures.js";
import { GLYPHS, KIND_NAMES } from "./glyphs.js";
import { indexAt } from "./thin.js";
/** @typedef {import("./content.js").Group} Group */
/** @typedef {import("./content.js").Line} Line */
/** @typedef {import("./unpack.js").RunEvent} RunEvent */

const MAX_TIP_GROUPS = 8;
const MAX_TIP_EVENTS = 4;

/**
 * The latest value at that time.
 * @param {Line} line
 * @param {number} at
 * @returns {number | undefined}
 */
export function valueAt({ t, v }, at) {
  const index = indexAt(t, at);
  return t[index] === at ? v[index] : v[index - 1];
}

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

/** @param {string} kind */
export function glyph(kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "-6 -6 12 12");
  svg.setAttribute("class", `glyph ${kind}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", KIND_NAMES[kind] ?? kind);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", GLYPHS[kind] ?? GLYPHS.note ?? "");
  svg.append(path);
  return svg;
}

/**
 * @param {Group} group
 * @param {number} at
 */
function row(group, at) {
  const usage = valueAt(group.usage, at);
  const working = valueAt(group.working, at);
  const limit = valueAt(group.limits, at) ?? -1;
  const some = valueAt(group.some, at);
  const full = valueAt(group.full, at);
  const line = element("div", undefined, "row");
  line.append(element("span", undefined, `swatch ${group.colour}`));
  line.append(element("span", group.name));
  const share = usage !== undefined && limit > 0
    ? `, ${(100 * usage / limit).toFixed(1)} % of ${bytesText(limit)}`
    : "";
  line.append(element("span", `${bytesText(usage)}${share}`, "what"));
  const more = [
    ...(working === undefined ? [] : [`working set ${bytesText(working)}`]),
    ...(!some ? [] : [`some ${some.toFixed(1)} %`]),
    ...(!full ? [] : [`full ${full.toFixed(1)} %`]),
  ];
  if (more.length > 0) line.append(element("span", more.join(", "), "more"));
  return line;
}

/**
 * @param {HTMLElement} tip
 * @param {number} from the start of the run
 * @param {number} at the time at the pointer
 * @param {readonly Group[]} groups
 * @param {readonly RunEvent[]} events near the pointer
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
 * @param {HTMLElement} tip
 * @param {number} x
 * @param {number} y
 */
export function placeTip(tip, x, y) {
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth - 8 ? x - 16 - width : x + 16;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.min(Math.max(8, y + 14), Math.max(8, innerHeight - height - 8))}px`;
}
