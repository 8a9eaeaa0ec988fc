/**
 * The terminal on stdin and stdout while a full-screen view owns it: raw key input, whole screens as output. It is restored on every
 * way out except SIGKILL.
 */

import { withDeadline } from "../../core/timing.ts";
import { onSignals } from "../signals.ts";
import { hasJobControl, isInForeground, type Size, terminalSize } from "./capabilities.ts";
import { type Key, keysOf } from "./keys.ts";
import { widthOf } from "./width.ts";

interface TerminalOptions {
  onKey(key: Key): void;
  /** A new screen is needed: the size changed, or another program has drawn on the terminal. */
  onRedraw(): void;
  /** The terminal was closed. */
  onLost(): void;
}

/** xterm control sequences: alternate screen, hidden cursor, no line wrap; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J";
const LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/** The bytes of one escape sequence arrive together, also over a network. */
const MAX_MS_IN_ESCAPE_SEQUENCE = 50;
/** A terminal that accepts no output must not keep a guard from ending. */
const MAX_MS_TO_CLOSE = 500;
/** How often a job in the background checks whether it is in the foreground again. */
const FOREGROUND_POLL_MS = 500;

const ENDINGS = ["error", "unhandledrejection", "unload"];
const encoder = new TextEncoder();

export class Terminal {
  /** The lines on the screen; empty if unknown. */
  #shown: readonly string[] = [];
  #writing: Promise<void> | undefined;
  /** A screen was skipped during a write. */
  #isBehind = false;
  /** The view owns the terminal: raw mode, alternate screen. */
  #isEntered = false;
  #isClosed = false;
  #resumeTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #offSignals: () => void;

  constructor(private readonly options: TerminalOptions) {
    this.#enter();
    this.#offSignals = onSignals(["SIGWINCH", "SIGTSTP", "SIGCONT"], (signal) => {
      if (signal === "SIGTSTP") this.suspend();
      else if (signal === "SIGWINCH") {
        this.forget();
        options.onRedraw();
      } else {
        // After SIGSTOP the terminal was not restored, and the shell has changed its settings since.
        if (isInForeground()) this.#restore();
        this.#isEntered = false;
        this.#resume();
      }
    });
    for (const ending of ENDINGS) globalThis.addEventListener(ending, this.#restore);
    readKeys(options.onKey, this.#lost);
  }

  /** 0 × 0 if unknown. */
  size(): Size {
    return terminalSize() ?? { columns: 0, rows: 0 };
  }

  /** Writes the lines that differ from the previous screen; skips the screen while that one is still being written. */
  show(lines: readonly string[], { columns }: Size): void {
    if (!this.#isEntered || this.#isClosed) return;
    this.#isBehind = this.#writing !== undefined;
    if (this.#isBehind) return;
    const cleared = this.#shown.length === lines.length ? "" : "\x1b[0m\x1b[2J";
    const changed = cleared + screenDiff(this.#shown, lines, columns);
    this.#shown = lines;
    if (changed !== "") this.#writing = this.#write(changed);
  }

  /** Makes the next `show` write all lines. */
  forget(): void {
    this.#shown = [];
  }

  /** Stops this process as a job of its shell, if there is one. SIGCONT resumes the view. */
  suspend(): void {
    if (!hasJobControl()) return;
    this.#restore();
    // SIGTSTP would call this handler again. A shell treats SIGSTOP alike (wait(2), WIFSTOPPED).
    Deno.kill(Deno.pid, "SIGSTOP");
  }

  /** Restores the terminal after a pending write. A terminal that accepts no output within a deadline is left as it is. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#resumeTimer);
    const written = Promise.resolve(this.#writing).then(() => true);
    const isWritten = await withDeadline(MAX_MS_TO_CLOSE, written, () => false);
    // To write to a stuck terminal, or to change its settings, would block forever.
    if (!isWritten) this.#isEntered = false;
    this.#restore();
    this.#offSignals();
    for (const ending of ENDINGS) globalThis.removeEventListener(ending, this.#restore);
  }

  #enter(): void {
    if (this.#isEntered || this.#isClosed) return;
    Deno.stdin.setRaw(true);
    this.#isEntered = true;
    this.forget();
    writeNow(ENTER);
  }

  readonly #restore = (): void => {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    writeNow(LEAVE);
    try {
      Deno.stdin.setRaw(false);
    } catch {
      // The terminal was closed.
    }
  };

  readonly #resume = (): void => {
    clearTimeout(this.#resumeTimer);
    if (this.#isClosed || this.#isEntered) return;
    if (isInForeground()) {
      this.#enter();
      this.options.onRedraw();
    } else this.#resumeTimer = setTimeout(this.#resume, FOREGROUND_POLL_MS);
  };

  readonly #lost = (): void => {
    if (!this.#isClosed) this.options.onLost();
  };

  async #write(text: string): Promise<void> {
    let bytes = encoder.encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(await Deno.stdout.write(bytes));
    } catch {
      this.#lost();
    }
    this.#writing = undefined;
    if (this.#isBehind) this.options.onRedraw();
  }
}

/** Synchronous, because the process may be ending. */
function writeNow(text: string): void {
  try {
    Deno.stdout.writeSync(encoder.encode(text));
  } catch {
    // The terminal was closed.
  }
}

async function readKeys(onKey: (key: Key) => void, onLost: () => void): Promise<void> {
  const buffer = new Uint8Array(1024);
  const decoder = new TextDecoder();
  let rest = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const feed = (text: string, isComplete: boolean) => {
    clearTimeout(timer);
    const read = keysOf(rest + text, isComplete);
    rest = read.rest;
    read.keys.forEach(onKey);
    if (rest !== "") timer = setTimeout(() => feed("", true), MAX_MS_IN_ESCAPE_SEQUENCE);
  };
  try {
    for (let count; (count = await Deno.stdin.read(buffer)) !== null;) {
      feed(decoder.decode(buffer.subarray(0, count), { stream: true }), false);
    }
  } catch {
    // The terminal was closed (EIO).
  }
  onLost();
}

/**
 * The control sequences (ECMA-48: CUP, EL, SGR 0) and text that turn the screen `before` into `after`, both of the same height; empty
 * without a difference. A changed line is written whole, and the old rest after it is erased: erasing first would flicker.
 *
 * @param columns of the screen
 */
export function screenDiff(
  before: readonly string[],
  after: readonly string[],
  columns: number,
): string {
  let text = "";
  for (const [row, line] of after.entries()) {
    if (before[row] === line) continue;
    // After a full line the cursor stays on the last column, so erasing would remove its character.
    text += `\x1b[${row + 1};1H${line}\x1b[0m${widthOf(line) < columns ? "\x1b[K" : ""}`;
  }
  return text;
}

interface FrameLimiterOptions {
  readonly draw: () => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Calls `act` after `ms` milliseconds. Returns a function that cancels the call. */
  readonly schedule: (act: () => void, ms: number) => () => void;
}

/** Ten frames a second: faster changes cannot be read. */
const MIN_MS_BETWEEN_FRAMES = 100;

/** Limits how often a changing screen is drawn. */
export function createFrameLimiter({ draw, now, schedule }: FrameLimiterOptions) {
  let last = -Infinity;
  let cancel: (() => void) | undefined;
  let isStopped = false;
  return {
    /** Asks for a frame: something has changed. */
    request(): void {
      if (cancel || isStopped) return;
      // Always scheduled, so that changes that arrive together are drawn in one frame.
      cancel = schedule(() => {
        cancel = undefined;
        last = now();
        draw();
      }, Math.max(0, last + MIN_MS_BETWEEN_FRAMES - now()));
    },
    stop(): void {
      isStopped = true;
      cancel?.();
      cancel = undefined;
    },
  };
}
