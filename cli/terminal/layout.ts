/** Text in lines and tables that fit a number of columns. Pure. */

import type { Style } from "./palette.ts";
import { beginning, cutTo, ending, filled, STYLES, widthOf } from "./width.ts";

/** Breaks between words. A word longer than a line stays whole, so that a path can be copied. @param width columns */
export const wrap = (text: string, width: number): string[] => wrapWords(text, width, false);

/** Breaks between words, and within a word that is wider than a line. @param width columns */
export const wrapTo = (text: string, width: number): string[] =>
  wrapWords(text, Math.max(2, width), true);

function wrapWords(text: string, width: number, breaksWords: boolean): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (widthOf(joined) <= width) {
      line = joined;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
    while (breaksWords && widthOf(line) > width) {
      const head = beginning(line, width);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  return [...lines, line];
}

/** Like `wrapTo`, after a label; further lines are indented by its width. */
export function wrapBehind(label: string, text: string, width: number): string[] {
  const indent = widthOf(label);
  return wrapTo(text, width - indent).map((line, at) =>
    `${at === 0 ? label : " ".repeat(indent)}${line}`
  );
}

/**
 * A command that a user can paste from any width: a line ends in a backslash where it goes on, and breaks only between the words of
 * the shell. A word longer than a line stays whole.
 */
export function wrapCommand(command: string, indent: string, width: number): string[] {
  const words = command.match(/(?:'[^']*'|\\.|[^\s'\\])+/g) ?? [];
  const lines: string[] = [];
  let line = indent;
  for (const [at, word] of words.entries()) {
    const joined = line.trim() === "" ? line + word : `${line} ${word}`;
    // The last word needs no room for a backslash.
    const room = at === words.length - 1 ? width : width - 2;
    if (line.trim() === "" || widthOf(joined) <= room) line = joined;
    else {
      lines.push(`${line} \\`);
      line = `${indent}  ${word}`;
    }
  }
  return [...lines, line];
}

/** Items side by side, as many as fit on a line; each stays whole. */
export function flow(items: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const item of items) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 3 + item.length <= width) {
      lines[lines.length - 1] = `${last} · ${item}`;
    } else lines.push(item);
  }
  return lines;
}

export interface TextLayout {
  readonly style: Style;
  /** Columns. */
  readonly width: number;
}

const LABEL_WIDTH = 11;

/** Items side by side after one label; no lines without items. */
export function itemLines(name: string, items: readonly string[], layout: TextLayout): string[] {
  return labelled(name, flow(items, layout.width - LABEL_WIDTH), layout);
}

/** A text after one label. */
export function textLines(name: string, text: string, layout: TextLayout): string[] {
  return labelled(name, wrap(text, layout.width - LABEL_WIDTH), layout);
}

function labelled(name: string, lines: readonly string[], { style }: TextLayout): string[] {
  return lines.map((line, at) => style("dim", (at === 0 ? name : "").padEnd(LABEL_WIDTH)) + line);
}

const RESET = "\x1b[0m";

/** Splits a line that is too wide; the parts are indented further than the line and keep its styles. @param width columns */
export function foldLine(line: string, width: number): string[] {
  if (widthOf(line) <= width) return [line];
  const lead = Math.min(line.search(/[^ ]|$/), Math.floor(width / 4));
  const indent = Math.min(lead + 2, Math.floor(width / 4));
  let open = "";
  let plain = "";
  /** The style of each code unit of `plain`. */
  const styles: string[] = [];
  for (const [at, part] of line.trimStart().split(STYLES).entries()) {
    if (at % 2 === 1) open = part === RESET ? "" : open + part;
    else {
      plain += part;
      styles.push(...Array<string>(part.length).fill(open));
    }
  }
  let from = 0;
  return wrapTo(plain, width - indent).map((text, at) => {
    from = plain.indexOf(text, from);
    const shown = styled(text, styles.slice(from, from + text.length));
    from += text.length;
    return " ".repeat(at === 0 ? lead : indent) + shown;
  });
}

/** Adds the style of each code unit; neighbours of one style share one escape sequence. */
function styled(text: string, styles: readonly string[]): string {
  let shown = "";
  for (let from = 0, to = 0; from < text.length; from = to) {
    const style = styles[from]!;
    while (to < text.length && styles[to] === style) to++;
    const part = text.slice(from, to);
    shown += style === "" ? part : style + part + RESET;
  }
  return shown;
}

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
}

/** The titles and then the rows; the last column is cut to the remaining width. Colour is added later: it has no width. */
export function tabulate(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  shorten: (text: string, width: number) => string = cut,
): string[] {
  const table = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, at) =>
    table.reduce((most, row) => Math.max(most, widthOf(row[at] ?? "")), 0)
  );
  return table.map((row) => {
    let line = "";
    columns.forEach(({ align }, at) => {
      const cell = row[at] ?? "";
      if (at === columns.length - 1) line += shorten(cell, width - widthOf(line));
      else line += `${filled(cell, widths[at]!, align)}  `;
    });
    return line.trimEnd();
  });
}

/** Cuts the end of a text that is too long. @param width columns */
export const cut = (text: string, width: number): string => cutTo(text, Math.max(1, width));

/** Cuts the middle of a text that is too long: the ends of a path distinguish it best. @param width columns */
export function cutMiddle(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const head = beginning(text, Math.max(0, Math.floor((width - 1) / 3)));
  return `${head}…${ending(text, Math.max(0, width - 1 - widthOf(head)))}`;
}
