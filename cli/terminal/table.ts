/** Text in columns that fit a width. Pure; colour is added later, since escape sequences have no width. */

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
}

/** The titles and then the rows; the last column is cut to the remaining width. */
export function tabulate(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  shorten: (text: string, width: number) => string = cut,
): string[] {
  const table = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, at) => Math.max(...table.map((row) => (row[at] ?? "").length)));
  return table.map((row) => {
    let line = "";
    columns.forEach(({ align }, at) => {
      const cell = row[at] ?? "";
      if (at === columns.length - 1) line += shorten(cell, width - line.length);
      else line += `${align === "left" ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)}  `;
    });
    return line.trimEnd();
  });
}

/** Cuts the end of a text that is too long. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** Cuts the middle of a text that is too long: the ends of a path distinguish it best. */
export function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text;
  const head = Math.max(0, Math.floor((width - 1) / 3));
  return `${text.slice(0, head)}…${text.slice(text.length - Math.max(0, width - 1 - head))}`;
}
