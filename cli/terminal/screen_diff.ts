/** What turns one screen into another. Pure. */

/** ECMA-48: CUP, EL, SGR 0. */
const at = (row: number) => `\x1b[${row + 1};1H`;
const ERASE = "\x1b[K";
const PLAIN = "\x1b[0m";

/**
 * Control sequences and text that make `after` of `before`, where both have as many lines; empty when they are alike. A line that
 * differs is written as a whole: to erase first what the line had and then to write would flicker, so that its rest is erased
 * behind what is written, unless there is none.
 *
 * @param widthOf columns of a line. @param columns of the screen.
 */
export function screenDiff(
  before: readonly string[],
  after: readonly string[],
  columns: number,
  widthOf: (line: string) => number,
): string {
  let text = "";
  for (const [row, line] of after.entries()) {
    if (before[row] === line) continue;
    // At the right edge the cursor stands on the last column, which would be erased.
    text += at(row) + line + (widthOf(line) < columns ? PLAIN + ERASE : PLAIN);
  }
  return text;
}
