/** stdout is for results, stderr for talk; both are written at once, so that nothing is lost on exit, unless diverted. */

import { OomkitError } from "../../core/errors.ts";
import { visibleBytes } from "../../core/names.ts";

const encoder = new TextEncoder();

/** Between two tries where somebody has made the stream one that does not block (milliseconds). */
const AGAIN_MS = 5;
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Waits for a reader as a stream that blocks would. */
export function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      // As any write of a stream that blocks would wait for its reader.
      Atomics.wait(nobody, 0, 0, AGAIN_MS);
    }
  }
}

/** The reader of stdout went away: an ordinary way to end, as in `oomkit watch … | head -1`. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** What a failed write to stdout means to the user. */
export function outputError(error: unknown): OutputClosed | OomkitError {
  if (error instanceof Deno.errors.BrokenPipe) return new OutputClosed();
  const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
  return new OomkitError(`cannot write to stdout: ${why}`);
}

type Write = (line: string) => void;

let diverted: Diversion | undefined;

export interface Diversion {
  readonly print: Write;
  readonly printStderr: Write;
}

/**
 * For a command that must not wait for its readers, or draws on their terminal: all that is printed and said goes there, until
 * `undefined` is given. Returns where it went before.
 */
export function divertOutput(to: Diversion | undefined): Diversion | undefined {
  const before = diverted;
  diverted = to;
  return before;
}

export function print(line: string): void {
  if (diverted) return diverted.print(line);
  try {
    writeAll(Deno.stdout, `${line}\n`);
  } catch (error) {
    throw outputError(error);
  }
}

/** Talk that nobody listens to is no reason to stop. What it tells of may be named by anybody: colour and new lines alone pass. */
export function printStderr(text: string): void {
  printStderrRaw(
    text.split(COLOUR_OR_NEW_LINE).map((part, at) => at % 2 ? part : printable(part)).join(""),
  );
}

/** The same of what is made of nothing but printable parts and marks of our own. */
export function printStderrRaw(text: string): void {
  if (diverted) return diverted.printStderr(text);
  try {
    writeAll(Deno.stderr, `${text}\n`);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

// deno-lint-ignore no-control-regex
const COLOUR_OR_NEW_LINE = /(\n|\x1b\[[0-9;]*m)/;

/**
 * Text from outside (process names, command lines, cgroup paths) made harmless for a terminal: control characters,
 * escape sequences, direction marks and what is no UTF-8 become visible escapes.
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
