/**
 * A few lines beneath all that is printed, drawn over and over. No mode of the terminal is ever changed and the cursor stays
 * visible, so that there is nothing to put back, whatever ends the program.
 */

import { beginning, widthOf } from "./width.ts";

export interface Block {
  /** A line that stays, above the block. */
  print(line: string): void;
  /** What the block shows from now on; each line is cut to the terminal. */
  draw(lines: readonly string[]): void;
  /** Nothing of it is left; what is printed next begins where it began. */
  clear(): void;
  /** Somebody else has written since, as a shell does to whoever goes on in the foreground: it begins anew beneath that. */
  restart(): void;
}

/** @param columns of the terminal, as they are now. */
export function createBlock(write: (text: string) => void, columns: () => number): Block {
  let drawn: readonly string[] = [];
  const above: string[] = [];

  /** To the beginning of the block, and nothing behind it. */
  const erasure = () => {
    if (drawn.length === 0) return "";
    // A terminal that became narrower has broken the lines that were drawn.
    const width = Math.max(1, columns());
    const rows = drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / width)),
      0,
    );
    return `\r${rows > 1 ? `\x1b[${rows - 1}A` : ""}\x1b[J`;
  };
  const show = (lines: readonly string[]) => {
    const passing = above.splice(0).map((line) => `${line}\n`).join("");
    write(`${erasure()}${passing}${lines.join("\n")}`);
    drawn = lines;
  };
  return {
    print(line) {
      above.push(line);
      show(drawn);
    },
    draw(lines) {
      // The last column stays free: some terminals go to the next line as soon as it is filled.
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
