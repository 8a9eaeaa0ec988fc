/** stdout for results, stderr for messages. Writes are synchronous, so that nothing is lost on exit, unless output is diverted. */

import { errorText, OomkitError } from "../../core/errors.ts";
import type { EventType } from "../../core/events/event.ts";
import { eventLine, messageLine } from "./journal_priority.ts";
import { visibleBytes } from "../../core/names.ts";

const encoder = new TextEncoder();

/** Milliseconds between two writes to a stream that another process has made non-blocking. */
const MS_BETWEEN_WRITES = 5;
const neverNotified = new Int32Array(new SharedArrayBuffer(4));

/** Waits for the reader, also when the stream does not block. */
export function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(neverNotified, 0, 0, MS_BETWEEN_WRITES);
    }
  }
}

/** The reader of stdout went away: an ordinary end, as in `oomkit watch … | head -1`. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Maps a failed write to stdout to an error for the user. */
export function outputError(error: unknown): OutputClosed | OomkitError {
  if (error instanceof Deno.errors.BrokenPipe) return new OutputClosed();
  return new OomkitError(`cannot write to stdout: ${errorText(error)}`);
}

export interface Diversion {
  /** @param type of the event that the line is about. */
  print(line: string, type?: EventType): void;
  printStderr(line: string): void;
}

let diverted: Diversion | undefined;

/**
 * Sends all output to `to` until it is called with `undefined`: for a command that must not wait for its readers, or that draws
 * on their terminal. Returns the previous diversion.
 */
export function divertOutput(to: Diversion | undefined): Diversion | undefined {
  const before = diverted;
  diverted = to;
  return before;
}

/** @param type of the event that the line is about: those with priority have room of their own while the reader is slow. */
export function print(line: string, type?: EventType): void {
  const text = type === undefined ? line : eventLine(line, type);
  if (diverted) diverted.print(text, type);
  else writeStdout(`${text}\n`);
}

/** Writes past a diversion. Throws {@link OutputClosed} or {@link OomkitError}. */
export function writeStdout(text: string): void {
  try {
    writeAll(Deno.stdout, text);
  } catch (error) {
    throw outputError(error);
  }
}

/** Prints a message, which may contain names from outside: only colours and line breaks pass unescaped. A closed stderr is ignored. */
export function printStderr(text: string): void {
  const safe = text.split(COLOR_OR_NEWLINE).map((part, at) => at % 2 ? part : printable(part));
  printStderrRaw(messageLine(safe.join("")));
}

/** For a person at a terminal: what was done, where another program asks for no more than the exit status. */
export function tell(text: string): void {
  if (Deno.stderr.isTerminal()) printStderr(text);
}

/** For text that is already printable, with control sequences of our own. */
export function printStderrRaw(text: string): void {
  if (diverted) return diverted.printStderr(text);
  try {
    writeAll(Deno.stderr, `${text}\n`);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

// deno-lint-ignore no-control-regex
const COLOR_OR_NEWLINE = /(\n|\x1b\[[0-9;]*m)/;

/**
 * Makes names from outside (processes, command lines, cgroups) safe for a terminal: control characters, escape sequences, direction
 * marks and invalid UTF-8 become visible escapes.
 */
export function printable(name: string): string {
  const text = visibleBytes(name);
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
