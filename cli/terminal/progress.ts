/**
 * A progress line for a slow operation: name, progress, elapsed time. Only on a terminal, only after two seconds, and erased at the
 * end. It changes no mode of the terminal and leaves the cursor visible, so nothing has to be restored.
 */

import { printable } from "../output/output.ts";
import { formatDuration } from "../options/units.ts";
import { DEFAULT_COLUMNS, terminalSize } from "./capabilities.ts";

export interface Progress {
  /** Reports progress, as often as the caller likes. @param what ASCII text of oomkit's own */
  show(what: string, done?: number, total?: number): void;
  /**
   * Erases the line before other output to the same terminal; it is drawn again later.
   * @param isInLine the other output has not ended its line yet
   */
  hide(isInLine?: boolean): void;
  /** The operation has ended; the next `show` starts another one. */
  end(): void;
}

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

/** @param output absent without a terminal: nothing is written then */
export function createProgress(output?: ProgressOutput): Progress {
  if (output === undefined) return { show() {}, hide() {}, end() {} };
  let operation: Operation | undefined;
  let began = 0;
  let drawnAt = -Infinity;
  let isDrawn = false;
  /** Other output has not ended its line yet. */
  let isBlocked = false;
  let stop: (() => void) | undefined;

  const draw = () => {
    if (operation === undefined || isBlocked) return;
    const now = output.now();
    if (now - began < MIN_MS_BEFORE_FIRST_DRAW || now - drawnAt < MIN_MS_BETWEEN_DRAWS) return;
    drawnAt = now;
    const line = printable(textOf(operation, now - began)).slice(
      0,
      Math.max(1, output.columns() - 1),
    );
    output.write(`\r\x1b[K${line}`);
    isDrawn = true;
  };
  const erase = () => {
    if (isDrawn) output.write("\r\x1b[K");
    isDrawn = false;
    drawnAt = -Infinity;
  };
  return {
    show(what, done, total) {
      if (operation === undefined) began = output.now();
      operation = { what, done, total };
      stop ??= output.every(MIN_MS_BETWEEN_DRAWS, draw);
      // A caller that never awaits gets no timers.
      draw();
    },
    hide(isInLine = false) {
      erase();
      isBlocked = isInLine;
    },
    end() {
      stop?.();
      stop = undefined;
      operation = undefined;
      erase();
    },
  };
}

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
    columns: () => terminalSize()?.columns || DEFAULT_COLUMNS,
    now: () => performance.now(),
    every(milliseconds, act) {
      const timer = setInterval(act, milliseconds);
      // The timer must not keep the process alive.
      Deno.unrefTimer(timer);
      return () => clearInterval(timer);
    },
  };
}
