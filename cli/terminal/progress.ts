/**
 * One line about what takes long: what it is, how far it has come, since when. Only on a terminal, only once it has taken two
 * seconds, gone when it is over. The cursor stays visible and no mode is changed, so that nothing is to be put back.
 */

import { printable } from "../output/output.ts";
import { formatDuration } from "../options/units.ts";

export interface Progress {
  /** What goes on, in ASCII of our own, and how far it has come where that is known; as often as one likes. */
  show(what: string, done?: number, total?: number): void;
  /** Takes the line away, for who writes to the same terminal; it comes back. @param isInLine that ended without a new line. */
  hide(isInLine?: boolean): void;
  /** It is over; what is shown next is counted anew. */
  end(): void;
}

/** A terminal and a clock, or what stands in for them. */
export interface ProgressOutput {
  write(text: string): void;
  /** Of the terminal, as they are now. */
  columns(): number;
  /** Milliseconds of a clock that does not go backwards. */
  now(): number;
  /** Calls `act` every so many milliseconds until the returned function is called. */
  every(milliseconds: number, act: () => void): () => void;
}

/** What is over sooner needs no word. */
const AFTER_MS = 2000;
/** Nobody looks more often. */
const EVERY_MS = 250;

interface Doing {
  readonly what: string;
  readonly done?: number | undefined;
  readonly total?: number | undefined;
}

/** @param output absent where there is no terminal: then nothing is ever written. */
export function createProgress(output?: ProgressOutput): Progress {
  if (output === undefined) return { show() {}, hide() {}, end() {} };
  let doing: Doing | undefined;
  let began = 0;
  let drawnAt = -Infinity;
  let isThere = false;
  /** Somebody else's line is not at its end yet. */
  let isBlocked = false;
  let stop: (() => void) | undefined;

  const draw = () => {
    if (doing === undefined || isBlocked) return;
    const now = output.now();
    if (now - began < AFTER_MS || now - drawnAt < EVERY_MS) return;
    drawnAt = now;
    const line = printable(textOf(doing, now - began)).slice(0, Math.max(1, output.columns() - 1));
    output.write(`\r\x1b[K${line}`);
    isThere = true;
  };
  const erase = () => {
    if (isThere) output.write("\r\x1b[K");
    isThere = false;
    drawnAt = -Infinity;
  };
  return {
    show(what, done, total) {
      if (doing === undefined) began = output.now();
      doing = { what, done, total };
      stop ??= output.every(EVERY_MS, draw);
      // Whoever never waits has no timers either.
      draw();
    },
    hide(isInLine = false) {
      erase();
      isBlocked = isInLine;
    },
    end() {
      stop?.();
      stop = undefined;
      doing = undefined;
      erase();
    },
  };
}

function textOf({ what, done, total }: Doing, elapsed: number): string {
  const far = total === undefined ? "" : `, ${done ?? 0} of ${total}`;
  const seconds = Math.floor(elapsed / 1000);
  return `${what}${far}, ${seconds < 60 ? `${seconds} s` : formatDuration(1000 * seconds)}`;
}

const encoder = new TextEncoder();

/** stderr where it is a terminal that a person looks at; `undefined` elsewhere. */
export function terminalOutput(): ProgressOutput | undefined {
  const isSeen = Deno.stderr.isTerminal() && !["", "dumb"].includes(Deno.env.get("TERM") ?? "");
  if (!isSeen || Deno.env.get("CI") === "true") return undefined;
  return {
    write(text) {
      try {
        Deno.stderr.writeSync(encoder.encode(text));
      } catch {
        // Of a terminal that is gone nobody expects anything.
      }
    },
    columns() {
      try {
        return Deno.consoleSize().columns || USUAL_COLUMNS;
      } catch {
        return USUAL_COLUMNS;
      }
    },
    now: () => performance.now(),
    every(milliseconds, act) {
      const timer = setInterval(act, milliseconds);
      // It is no reason to stay.
      Deno.unrefTimer(timer);
      return () => clearInterval(timer);
    },
  };
}

const USUAL_COLUMNS = 80;
