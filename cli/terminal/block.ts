/**
 * A few lines below all other output, redrawn in place. It changes no mode of the terminal and leaves the cursor visible, so
 * nothing has to be restored, however the program ends.
 */

import { beginning, widthOf } from "./width.ts";

export interface Block {
  /** Prints a line above the block. */
  print(line: string): void;
  /** Replaces the block; each line is cut to the terminal's width. */
  draw(lines: readonly string[]): void;
  /** Erases the block; the next output starts where the block started. */
  clear(): void;
  /** Forgets what was drawn: another program has written since, such as the shell before `fg`. The next draw starts below that. */
  restart(): void;
}

/** @param columns the current width of the terminal */
export function createBlock(write: (text: string) => void, columns: () => number): Block {
  let drawn: readonly string[] = [];

  const erasure = () => {
    if (drawn.length === 0) return "";
    // A terminal that became narrower has wrapped the lines that were drawn.
    const width = Math.max(1, columns());
    const rows = drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / width)),
      0,
    );
    return `\r${rows > 1 ? `\x1b[${rows - 1}A` : ""}\x1b[J`;
  };
  const show = (lines: readonly string[], above = "") => {
    write(`${erasure()}${above}${lines.join("\n")}`);
    drawn = lines;
  };
  return {
    print: (line) => show(drawn, `${line}\n`),
    draw(lines) {
      // The last column stays free: some terminals wrap as soon as it is filled.
      const fitting = lines.map((line) => beginning(line, Math.max(1, columns() - 1)));
      const isSame = fitting.length === drawn.length &&
        fitting.every((line, at) => line === drawn[at]);
      if (!isSame) show(fitting);
    },
    clear() {
      if (drawn.length > 0) show([]);
    },
    restart() {
      drawn = [];
    },
  };
}
