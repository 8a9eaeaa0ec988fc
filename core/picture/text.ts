/** Text in HTML and SVG: escaping, shortening, wrapping. Pure. */

import { cut } from "../figures.js";

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** For content and quoted attributes. Control characters and lone surrogates, which XML forbids, become visible escapes. */
export function escaped(text: string): string {
  return text.replace(FORBIDDEN, unicodeEscape).replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}

// deno-lint-ignore no-control-regex
const FORBIDDEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]|\p{Surrogate}/gu;

const unicodeEscape = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** JSON for a `script` element: nothing in it can end the element or begin a comment. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, unicodeEscape);
}

/** Breaks between words into at most `maxLines` lines of at most `width` letters; cuts words and the last line. */
export function wrapped(text: string, width: number, maxLines: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last !== "" && last.length + 1 + word.length > width) lines.push(cut(word, width));
    else lines[lines.length - 1] = last === "" ? cut(word, width) : `${last} ${word}`;
  }
  if (lines.length <= maxLines) return lines;
  return [...lines.slice(0, maxLines - 1), cut(lines.slice(maxLines - 1).join(" "), width)];
}

/** Container ids keep 12 digits, as container runtimes show them. */
export const withShortIds = (path: string): string =>
  path.replace(/[0-9a-f]{64}/g, (id) => id.slice(0, 12));

/** The last part of a path, for a label. */
export function shortName(path: string, maxLetters = 28): string {
  return cut(withShortIds(path.replace(/\/+$/, "").split("/").at(-1) || path), maxLetters);
}
