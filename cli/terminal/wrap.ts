/** Text in lines of so many columns. Pure. */

import { beginning, STYLES, widthOf } from "./width.ts";

/** Breaks between words; within one only where it is wider than a line, as a path can be. @param width columns. */
export function wrapTo(text: string, width: number): string[] {
  const room = Math.max(2, width);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (widthOf(joined) <= room) {
      line = joined;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
    while (widthOf(line) > room) {
      const head = beginning(line, room);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  return [...lines, line];
}

/** The same behind a label, beneath which the further lines leave room. @param label as wide as it is to be. */
export function wrapBehind(label: string, text: string, width: number): string[] {
  const indent = widthOf(label);
  return wrapTo(text, width - indent).map((line, at) =>
    `${at === 0 ? label : " ".repeat(indent)}${line}`
  );
}

const PLAIN = "\x1b[0m";

/** A line that is too wide as several, further in than it begins; each part keeps its styles. @param width columns. */
export function foldLine(line: string, width: number): string[] {
  if (widthOf(line) <= width) return [line];
  const lead = Math.min(line.search(/[^ ]|$/), Math.floor(width / 4));
  const indent = Math.min(lead + 2, Math.floor(width / 4));
  let open = "";
  let plain = "";
  /** Of each code unit of it. */
  const styles: string[] = [];
  for (const [at, part] of line.trimStart().split(STYLES).entries()) {
    if (at % 2 === 1) open = part === PLAIN ? "" : open + part;
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

/** Neighbours of one style in one piece. */
function styled(text: string, styles: readonly string[]): string {
  let shown = "";
  for (let from = 0, to = 0; from < text.length; from = to) {
    const style = styles[from]!;
    while (to < text.length && styles[to] === style) to++;
    const part = text.slice(from, to);
    shown += style === "" ? part : style + part + PLAIN;
  }
  return shown;
}
