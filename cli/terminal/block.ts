import { beginning, widthOf } from "./width.ts";

/**
 * A few lines below all other output, redrawn in place. It changes no mode of the terminal and leaves the cursor visible, so
 * nothing has to be restored, however the program ends.
 */
export class Block {
  #drawn: readonly string[] = [];

  /** @param columns the current width of the terminal */
  constructor(
    private readonly write: (text: string) => void,
    private readonly columns: () => number,
  ) {}

  /** Prints a line above the block. */
  readonly print = (line: string): void => this.#show(this.#drawn, `${line}\n`);

  /** Replaces the block; each line is cut to the terminal's width. */
  draw(lines: readonly string[]): void {
    // The last column stays free: some terminals wrap as soon as it is filled.
    const fitting = lines.map((line) => beginning(line, Math.max(1, this.columns() - 1)));
    const isSame = fitting.length === this.#drawn.length &&
      fitting.every((line, at) => line === this.#drawn[at]);
    if (!isSame) this.#show(fitting);
  }

  /** Erases the block; the next output starts where the block started. */
  clear(): void {
    if (this.#drawn.length > 0) this.#show([]);
  }

  /** Forgets what was drawn: another program has written since, such as the shell before `fg`. The next draw starts below that. */
  restart(): void {
    this.#drawn = [];
  }

  #show(lines: readonly string[], above = ""): void {
    this.write(`${this.#erasure()}${above}${lines.join("\n")}`);
    this.#drawn = lines;
  }

  #erasure(): string {
    if (this.#drawn.length === 0) return "";
    // A terminal that became narrower has wrapped the lines that were drawn.
    const width = Math.max(1, this.columns());
    const rows = this.#drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / width)),
      0,
    );
    return `\r${rows > 1 ? `\x1b[${rows - 1}A` : ""}\x1b[J`;
  }
}
