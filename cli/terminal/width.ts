/** The width of a text in a terminal, and texts and cgroup paths cut or padded to a width. Pure. */

import { eastAsianWidth } from "get-east-asian-width";
import { printable } from "../output/output.ts";

/** Created by the first text that needs it: V8 takes 1.7 ms to read these as literals, at every start (deno task bench:start-up). */
function expression(source: string, flags: string): () => RegExp {
  let created: RegExp | undefined;
  return () => created ??= new RegExp(source, flags);
}

const combining = expression(String.raw`[\p{Mn}\p{Me}]`, "u");

/**
 * Characters with a width that differs between terminals: joiners, variation selectors, regional indicators, skin tones, spacing vowel
 * signs, Hangul jamo, private use and unassigned characters; and a combining mark at the start or after three other marks.
 */
const unreliable = expression(
  String
    .raw`[\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Mc}\u1160-\u11ff\ud7b0-\ud7ff\ufe00-\ufe0f\u{1f1e6}-\u{1f1ff}\u{1f3fb}-\u{1f3ff}\u{e0100}-\u{e01ef}]|(?<=^|[\p{Mn}\p{Me}]{3})[\p{Mn}\p{Me}]`,
  "gu",
);
const PLAIN = /^[\x20-\x7e]*$/;
// deno-lint-ignore no-control-regex
export const STYLES = /(\x1b\[[0-9;]*m)/g;

// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/gu;

/** oomkit's own symbols, and below each its ASCII replacement; all are one column wide. */
const SYMBOLS = "…→←▸–─·×█▒░┆┇┃↑↓│┤└├┬";
const IN_ASCII = "~><>--|x#=.:!|^v||`|-";

const escaped = (character: string) => {
  const code = character.codePointAt(0)!.toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
};

/** External text made safe to show: `printable`, and characters of unreliable width become escapes too. */
export function visible(text: string, unicode = true): string {
  if (PLAIN.test(text)) return text;
  const harmless = printable(text);
  return unicode ? steady(harmless) : ascii(harmless);
}

/** Printable text, with or without styles, in which characters of unreliable width become escapes. */
export function steady(text: string): string {
  return PLAIN.test(text) ? text : text.replace(unreliable(), escaped);
}

/** Replaces all characters that are not ASCII by a symbol or an escape; styles stay. */
export function ascii(text: string): string {
  return text.replace(
    NOT_ASCII,
    (character) => IN_ASCII[SYMBOLS.indexOf(character)] ?? escaped(character),
  );
}

/** Columns of a text that {@link visible} has returned, with or without styles. */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text.replace(STYLES, "")) width += columnsOf(character);
  return width;
}

function columnsOf(character: string): 0 | 1 | 2 {
  if (character < "\u0300" || SYMBOLS.includes(character)) return 1;
  return combining().test(character) ? 0 : eastAsianWidth(character.codePointAt(0)!);
}

/** The longest beginning that fits; all styles are kept. @param width columns */
export function beginning(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let taken = "";
  let left = width;
  let isFull = false;
  for (const [at, part] of text.split(STYLES).entries()) {
    // The sequence that resets a style may come after the cut.
    if (at % 2 === 1) taken += part;
    else if (!isFull) {
      for (const character of part) {
        const columns = columnsOf(character);
        isFull ||= columns > left;
        if (isFull) break;
        taken += character;
        left -= columns;
      }
    }
  }
  return taken;
}

/** The longest end that fits, of a text without styles. @param width columns */
export function ending(text: string, width: number): string {
  const characters = [...text];
  let left = width;
  let from = characters.length;
  while (from > 0) {
    const columns = columnsOf(characters[from - 1]!);
    if (columns > left) break;
    left -= columns;
    from--;
  }
  // A combining mark without its base character would combine with the text before it.
  while (from < characters.length && columnsOf(characters[from]!) === 0) from++;
  return characters.slice(from).join("");
}

/** Cuts the end of a text that is too long and adds `mark`. @param width columns */
export function cutTo(text: string, width: number, mark = "…"): string {
  if (widthOf(text) <= width) return text;
  return width < 1 ? "" : beginning(text, width - widthOf(mark)) + mark;
}

/** Pads or cuts a text to exactly `width` columns. @param mark ends a text that is too long */
export function filled(
  text: string,
  width: number,
  align: "left" | "right" = "left",
  mark = "…",
): string {
  const cut = cutTo(text, width, mark);
  const rest = " ".repeat(Math.max(0, width - widthOf(cut)));
  return align === "left" ? cut + rest : rest + cut;
}

/** A container id: 64 hexadecimal digits. */
const ID = /[0-9a-f]{64}/g;

/**
 * `/kubepods/burstable/pod…/0123456789ab`, or a relative name, in at most `width` columns. Container ids keep 12 digits, as container runtimes show
 * them. Then names in the middle are left out, then the first ones, because the parents next to the last name identify
 * it best; then the middle of the last name.
 */
export function shortName(path: string, width: number, unicode = true): string {
  const mark = unicode ? "…" : ascii("…");
  const full = visible(path, unicode).replace(ID, (id) => id.slice(0, 12));
  if (widthOf(full) <= width) return full;
  if (width <= 1) return width < 1 ? "" : mark;
  const names = full.split("/").filter((name) => name !== "");
  const [first = ""] = names;
  for (let from = 2; from < names.length; from++) {
    const tail = names.slice(from).join("/");
    const whole = `${full.startsWith("/") ? "/" : ""}${first}/${mark}/${tail}`;
    if (widthOf(whole) <= width) return whole;
    const withoutFirst = `${mark}/${tail}`;
    if (widthOf(withoutFirst) <= width) return withoutFirst;
  }
  const last = names.at(-1) ?? full;
  const only = names.length > 1 && widthOf(last) + 2 <= width ? `${mark}/${last}` : last;
  if (widthOf(only) <= width) return only;
  const head = Math.floor((width - 1) / 2);
  return `${beginning(only, head)}${mark}${ending(only, width - 1 - head)}`;
}
