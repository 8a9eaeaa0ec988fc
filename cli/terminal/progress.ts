/**
 * A progress line for a slow operation: name, progress, elapsed time. Only on a terminal, only after two seconds, and erased at the
 * end. It changes no mode of the terminal and leaves the cursor visible, so nothing has to be restored.
 */

import { formatDuration } from "../options/units.ts";
import { printable } from "../output/output.ts";
import { terminalColumns } from "./capabilities.ts";

/** A terminal and a clock, or their test doubles. */
export interface ProgressOutput {
  write(text: string): void;
  /** The current width of the terminal. */
  columns(): number;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  /** Calls `act` periodically until the returned function is called. */
  every(milliseconds: number, act: () => void): () => void;
}

/** A shorter operation shows no line. */
const MIN_MS_BEFORE_FIRST_DRAW = 2000;
const MIN_MS_BETWEEN_DRAWS = 250;

interface Operation {
  readonly what: string;
  readonly done?: number | undefined;
  readonly total?: number | undefined;
}

export class Progress {
  #operation: Operation | undefined;
  #began = 0;
  #drawnAt = -Infinity;
  #isDrawn = false;
  /** Other output has not ended its line yet. */
  #isBlocked = false;
  #stop: (() => void) | undefined;

  /** @param output absent without a terminal: nothing is written then */
  constructor(private readonly output: ProgressOutput | undefined) {}

  /** Reports progress, as often as the caller likes. @param what ASCII text of oomkit's own */
  show(what: string, done?: number, total?: number): void {
    if (this.output === undefined) return;
    if (this.#operation === undefined) this.#began = this.output.now();
    this.#operation = { what, done, total };
    this.#stop ??= this.output.every(MIN_MS_BETWEEN_DRAWS, () => this.#draw());
    // A caller that never awaits gets no timers.
    this.#draw();
  }

  /**
   * Erases the line before other output to the same terminal; it is drawn again later.
   * @param isInLine the other output has not ended its line yet
   */
  hide(isInLine = false): void {
    this.#erase();
    this.#isBlocked = isInLine;
  }

  /** The operation has ended; the next `show` starts another one. */
  end(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#operation = undefined;
    this.#erase();
  }

  #draw(): void {
    if (this.output === undefined || this.#operation === undefined || this.#isBlocked) return;
    const now = this.output.now();
    const elapsed = now - this.#began;
    if (elapsed < MIN_MS_BEFORE_FIRST_DRAW || now - this.#drawnAt < MIN_MS_BETWEEN_DRAWS) return;
    this.#drawnAt = now;
    const width = Math.max(1, this.output.columns() - 1);
    this.output.write(`\r\x1b[K${printable(textOf(this.#operation, elapsed)).slice(0, width)}`);
    this.#isDrawn = true;
  }

  #erase(): void {
    if (this.#isDrawn) this.output?.write("\r\x1b[K");
    this.#isDrawn = false;
    this.#drawnAt = -Infinity;
  }
}

export const createProgress = (output?: ProgressOutput): Progress => new Progress(output);

function textOf({ what, done, total }: Operation, elapsed: number): string {
  const progress = total === undefined ? "" : `, ${done ?? 0} of ${total}`;
  const seconds = Math.floor(elapsed / 1000);
  return `${what}${progress}, ${seconds < 60 ? `${seconds} s` : formatDuration(1000 * seconds)}`;
}

const encoder = new TextEncoder();

/** stderr if it is an interactive terminal, otherwise `undefined`. */
export function terminalOutput(): ProgressOutput | undefined {
  const isInteractive = Deno.stderr.isTerminal() &&
    !["", "dumb"].includes(Deno.env.get("TERM") ?? "");
  if (!isInteractive || Deno.env.get("CI") === "true") return undefined;
  return {
    write(text) {
      try {
        Deno.stderr.writeSync(encoder.encode(text));
      } catch {
        // The terminal was closed.
      }
    },
    columns: terminalColumns,
    now: () => performance.now(),
    every(milliseconds, act) {
      const timer = setInterval(act, milliseconds);
      // The timer must not keep the process alive.
      Deno.unrefTimer(timer);
      return () => clearInterval(timer);
    },
  };
}
