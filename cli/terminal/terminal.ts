/**
 * The terminal on stdin and stdout while it belongs to the view: raw keys in, screens out. It is left as it was found on every way out
 * but SIGKILL, which leaves nobody to do it.
 */

import { hasJobControl, isInForeground } from "./foreground.ts";
import { type Size, terminalSize } from "./palette.ts";
import { widthOf } from "./width.ts";
import { onSignals } from "../signals.ts";
import { screenDiff } from "./screen_diff.ts";
import { type Key, keysOf } from "../live/keys.ts";

export interface Terminal {
  /** 0 × 0 where it does not say. */
  size(): Size;
  /** What differs from the screen before; left out while the terminal is still busy with that one. */
  show(lines: readonly string[], size: Size): void;
  /** All of it the next time. */
  forget(): void;
  /** Stops this program as a job of its shell, where there is one; later it goes on from here. */
  suspend(): void;
  /** Waits for what is being written, but not for long, and gives the terminal back; one that is stuck it leaves as it is. */
  close(): Promise<void>;
}

export interface TerminalOptions {
  onKey(onKey: Key): void;
  /** Another size, or back from where something else was drawn: a screen is wanted. */
  onRedraw(): void;
  /** Nobody is there any more. */
  onLost(): void;
}

/** xterm's control sequences: the alternate screen, no cursor, lines that end at the edge; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J";
const LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/** What follows an escape in the same sequence follows at once, also over a network (milliseconds). */
const ESCAPE_MS = 50;
/** A terminal that takes nothing must not keep a guard from ending. */
const CLOSE_MS = 500;
/** In the background, until the shell says that it is over (milliseconds). */
const BACK_MS = 500;

const encoder = new TextEncoder();

export function openTerminal({ onKey, onRedraw, onLost }: TerminalOptions): Terminal {
  let before: readonly string[] = [];
  let writing: Promise<void> | undefined;
  /** A screen was left out. */
  let isBehind = false;
  let isEntered = false;
  let isClosed = false;
  let waiting: ReturnType<typeof setTimeout> | undefined;

  const markLost = () => {
    if (isClosed) return;
    onLost();
  };
  const enter = () => {
    if (isEntered || isClosed) return;
    Deno.stdin.setRaw(true);
    isEntered = true;
    before = [];
    writeNow(ENTER);
  };
  const restore = () => {
    if (!isEntered) return;
    isEntered = false;
    writeNow(LEAVE);
    try {
      Deno.stdin.setRaw(false);
    } catch {
      // There is no terminal any more.
    }
  };
  const resume = () => {
    clearTimeout(waiting);
    if (isClosed || isEntered) return;
    if (isInForeground()) {
      enter();
      onRedraw();
    } else waiting = setTimeout(resume, BACK_MS);
  };
  const suspend = () => {
    if (!hasJobControl()) return;
    restore();
    // Not SIGTSTP, which would come back here. A shell tells both alike (wait(2), WIFSTOPPED).
    Deno.kill(Deno.pid, "SIGSTOP");
  };
  const write = async (text: string) => {
    let bytes = encoder.encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(await Deno.stdout.write(bytes));
    } catch {
      markLost();
    }
    writing = undefined;
    if (isBehind) onRedraw();
  };

  enter();
  const offSignals = onSignals(["SIGWINCH", "SIGTSTP", "SIGCONT"], (signal) => {
    if (signal === "SIGTSTP") suspend();
    else if (signal === "SIGWINCH") {
      before = [];
      onRedraw();
    } else {
      // After SIGSTOP nobody gave the terminal back, and the shell has set it up for itself.
      if (isInForeground()) restore();
      isEntered = false;
      resume();
    }
  });
  const endings = ["error", "unhandledrejection", "unload"];
  for (const ending of endings) globalThis.addEventListener(ending, restore);
  readKeys(onKey, markLost);

  return {
    size: () => terminalSize() ?? { columns: 0, rows: 0 },
    show(lines, { columns }) {
      if (!isEntered || isClosed) return;
      isBehind = writing !== undefined;
      if (isBehind) return;
      const cleared = before.length === lines.length ? "" : "\x1b[0m\x1b[2J";
      const changed = cleared + screenDiff(before, lines, columns, widthOf);
      before = lines;
      if (changed !== "") writing = write(changed);
    },
    forget: () => void (before = []),
    suspend,
    async close() {
      if (isClosed) return;
      isClosed = true;
      clearTimeout(waiting);
      const late = Promise.withResolvers<"late">();
      const timer = setTimeout(() => late.resolve("late"), CLOSE_MS);
      // To write to one that takes nothing, or to set it up otherwise, would wait for it without end.
      if (await Promise.race([writing, late.promise]) === "late") isEntered = false;
      clearTimeout(timer);
      restore();
      offSignals();
      for (const ending of endings) globalThis.removeEventListener(ending, restore);
    },
  };
}

/** On the way out, when nothing that is not done at once is done at all. */
function writeNow(text: string): void {
  try {
    Deno.stdout.writeSync(encoder.encode(text));
  } catch {
    // There is no terminal any more.
  }
}

async function readKeys(take: (onKey: Key) => void, markLost: () => void): Promise<void> {
  const buffer = new Uint8Array(1024);
  const decoder = new TextDecoder();
  let rest = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const feed = (text: string, isAll: boolean) => {
    clearTimeout(timer);
    const read = keysOf(rest + text, isAll);
    rest = read.rest;
    read.keys.forEach(take);
    if (rest !== "") timer = setTimeout(() => feed("", true), ESCAPE_MS);
  };
  try {
    for (let count; (count = await Deno.stdin.read(buffer)) !== null;) {
      feed(decoder.decode(buffer.subarray(0, count), { stream: true }), false);
    }
  } catch {
    // The terminal is gone (EIO).
  }
  markLost();
}
