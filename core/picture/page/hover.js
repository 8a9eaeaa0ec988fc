/** What stands beside the pointer: the figures of that moment, and what happened there. */

import { bytesText, clockText, spanText } from "./figures.js";
import { GLYPHS, KIND_NAMES } from "./glyphs.js";
import { placeOf } from "./thin.js";
/** @typedef {import("./unpack.js").Group} Group */
/** @typedef {import("./unpack.js").Line} Line */
/** @typedef {import("./unpack.js").Happening} Happening */

const MOST_GROUPS = 8;
const MOST_EVENTS = 4;

/**
 * The figure that was seen last at that moment.
 * @param {Line} line
 * @param {number} at
 * @returns {number | undefined}
 */
export function figureAt({ t, v }, at) {
  const place = placeOf(t, at);
  return t[place] === at ? v[place] : v[place - 1];
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [text] put there as text, whatever it is
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
  const usage = figureAt(group.usage, at);
  const working = figureAt(group.working, at);
  const limit = figureAt(group.limits, at) ?? -1;
  const some = figureAt(group.some, at);
  const full = figureAt(group.full, at);
  const line = element("div", undefined, "row");
  line.append(element("span", undefined, `swatch b${group.hue}`));
  line.append(element("span", group.name, "who"));
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
 * @param {number} from when the run began
 * @param {number} at the moment pointed at
 * @param {readonly Group[]} groups
 * @param {readonly Happening[]} events those near the pointer
 */
export function fillTip(tip, from, at, groups, events) {
  const parts = [element("div", `${clockText(at)}  +${spanText(at - from)}`, "when")];
  for (const group of groups.slice(0, MOST_GROUPS)) parts.push(row(group, at));
  if (groups.length > MOST_GROUPS) {
    parts.push(element("div", `and ${groups.length - MOST_GROUPS} more`, "more"));
  }
  for (const event of events.slice(0, MOST_EVENTS)) {
    const line = element("div", undefined, "told");
    line.append(glyph(event.kind), element("span", event.text));
    parts.push(line);
  }
  if (events.length > MOST_EVENTS) {
    parts.push(element("div", `and ${events.length - MOST_EVENTS} more events here`, "more"));
  }
  tip.replaceChildren(...parts);
}

/**
 * Beside the pointer, and within the window.
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
