/** How many columns a text takes in a terminal, and texts made to fit a number of them. Pure. */

import { printable } from "../output/output.ts";

/** Unicode's East_Asian_Width W and F (EastAsianWidth.txt), and what is shown as a picture without being asked to. */
const WIDE =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18cff}\u{1aff0}-\u{1b2ff}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]/u;
const COMBINING = /[\p{Mn}\p{Me}]/u;

/**
 * Where terminals do not agree on the width: joiners, selectors of a presentation, halves of flags, skin colours, vowel signs that
 * take room of their own, parts of syllables, and what Unicode has not given a meaning to; and more marks on one character than any
 * language puts there.
 */
const DOUBTFUL =
  /[\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Mc}\u1160-\u11ff\ud7b0-\ud7ff\ufe00-\ufe0f\u{1f1e6}-\u{1f1ff}\u{1f3fb}-\u{1f3ff}\u{e0100}-\u{e01ef}]|(?<=^|[\p{Mn}\p{Me}]{3})[\p{Mn}\p{Me}]/gu;
const PLAIN = /^[\x20-\x7e]*$/;
// deno-lint-ignore no-control-regex
export const STYLES = /(\x1b\[[0-9;]*m)/g;

/** Where only ASCII can be shown, what stands for the few marks of our own; each as wide as what it stands for. */
const STAND_INS: Readonly<Record<string, string>> = {
  "…": "~",
  "→": ">",
  "▸": ">",
  "–": "-",
  "─": "-",
  "·": "|",
  "×": "x",
  "█": "#",
  "▒": "=",
  "░": ".",
  "┆": ":",
  "┇": "!",
  "┃": "|",
  "↑": "^",
  "↓": "v",
};

const escaped = (character: string) => {
  const code = character.codePointAt(0)!.toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
};

/** Text from outside as it can be shown: see `printable`; what has no width that can be relied on becomes an escape as well. */
export function visible(text: string, unicode = true): string {
  if (PLAIN.test(text)) return text;
  const harmless = printable(text);
  return unicode ? steady(harmless) : ascii(harmless);
}

/** What is printable already, styles and all, with a width that can be relied on. */
export function steady(text: string): string {
  return PLAIN.test(text) ? text : text.replace(DOUBTFUL, escaped);
}

/** Styles stay; what is not ASCII becomes a stand-in or an escape. */
export function ascii(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[^\x00-\x7f]/gu, (character) => STAND_INS[character] ?? escaped(character));
}

/** Columns; of text that {@link visible} has made, with or without styles. */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text.replace(STYLES, "")) width += columnsOf(character);
  return width;
}

function columnsOf(character: string): 0 | 1 | 2 {
  if (character < "\u0300") return 1;
  return COMBINING.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

/** As much of the beginning as fits; styles stay as they are. @param width columns. */
export function beginning(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let taken = "";
  let left = width;
  let isFull = false;
  for (const [at, part] of text.split(STYLES).entries()) {
    // What ends a style comes after what is cut away.
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

/** As much of the end as fits; of a text without styles. @param width columns. */
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
  // A mark without what it stands on would land on whatever is before it.
  while (from < characters.length && columnsOf(characters[from]!) === 0) from++;
  return characters.slice(from).join("");
}

/** What is too long ends in a mark. @param width columns. */
export function cutTo(text: string, width: number, mark = "…"): string {
  if (widthOf(text) <= width) return text;
  return width < 1 ? "" : beginning(text, width - widthOf(mark)) + mark;
}

/** Exactly so many columns. @param mark what is too long ends in. */
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
