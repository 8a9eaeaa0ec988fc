/** Text in lines of so many columns. Pure. */

import { beginning, widthOf } from "./width.ts";

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
