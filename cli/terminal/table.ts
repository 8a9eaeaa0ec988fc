/** Text in columns and lines that fit a width. Pure; colour comes last, since escapes have no width. */

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
}

/** Lines of which the first is the titles; the last column is shortened to what is left of the width. */
export function tabulate(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  shorten: (text: string, width: number) => string = cut,
): string[] {
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, at) =>
    Math.max(...[titles, ...rows].map((row) => (row[at] ?? "").length))
  );
  return [titles, ...rows].map((row) => {
    let line = "";
    columns.forEach(({ align }, at) => {
      const cell = row[at] ?? "";
      if (at === columns.length - 1) line += shorten(cell, width - line.length);
      else {line += (align === "left" ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)) +
          "  ";}
    });
    return line.trimEnd();
  });
}

/** The end of what is too long gives way. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** The middle of what is too long gives way: the ends of a path say most. */
export function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text;
  const head = Math.max(0, Math.floor((width - 1) / 3));
  return `${text.slice(0, head)}…${text.slice(text.length - Math.max(0, width - 1 - head))}`;
}

/** Breaks between words; a word that is longer than a line stays whole, so that a path can be copied. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
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

/**
 * A bar of `width` characters: the parts in their order, then what is free. What is there at all gets a character, and
 * what is not quite full does not look full.
 *
 * @param parts shares of the whole, 0 to 1, with the character that stands for each.
 */
export function bar(parts: readonly (readonly [number, string])[], width: number): string {
  let drawn = "";
  let sum = 0;
  for (const [share, character] of parts) {
    sum += share;
    const end = sum >= 1 ? width : Math.min(width - 1, Math.round(sum * width));
    const from = drawn.length;
    drawn += character.repeat(Math.max(share > 0 && from < width ? 1 : 0, end - from));
  }
  return drawn.slice(0, width).padEnd(width, "░");
}
