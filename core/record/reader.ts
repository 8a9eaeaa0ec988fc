/** Recordings, line by line, as far as they were written. */

import { OomkitError, shortened } from "../errors.ts";
import type { RecordingHead, RecordingLine } from "./format.ts";
import { checkLine, TornLine } from "./line_check.ts";

/** More than any line has: the summary of ten thousand cgroups takes 3 MB. */
export const LONGEST_LINE = 16 * 1024 ** 2;

/**
 * The head first, then whatever there is, in the order in which it was written. A last line that was cut off, and the cut-off
 * end of a compressed file, are as if they were not there: whether it was written to its end is told by the line `end`.
 * Names in it are what they were on that machine: hostile until they are made printable.
 *
 * Throws {@link OomkitError} with file and line for what cannot be read, is no recording, or is one of a later version.
 */
export async function* readRecording(path: string): AsyncGenerator<RecordingLine> {
  const name = shortened(path);
  const known = new Set<number>();
  let head: RecordingHead | undefined;
  let torn: TornLine | undefined;
  let hasEnded = false;
  let number = 0;
  for await (const text of linesOf(path, name)) {
    number++;
    const where = `${name}, line ${number}`;
    // Only the last line can have been cut off.
    if (torn) throw torn;
    let line: RecordingLine | undefined;
    try {
      line = checkLine(text, where);
    } catch (error) {
      if (!(error instanceof TornLine) || number === 1) throw error;
      torn = error;
      continue;
    }
    if (hasEnded) throw misplaced(where, "it stands after the end");
    if (head === undefined) {
      if (line?.type !== "recording") throw misplaced(where, "a recording does not begin so");
      head = line;
    } else if (line?.type === "recording") throw misplaced(where, "it begins once more");
    if (line === undefined) continue;
    if (line.type === "cgroup") known.add(line.id);
    if ((line.type === "snapshot" || line.type === "gone") && !known.has(line.id)) {
      throw misplaced(where, `nothing is said of the cgroup ${line.id} before`);
    }
    hasEnded = line.type === "end";
    yield line;
  }
  if (head === undefined) throw new OomkitError(`cannot read ${name}: it is empty`, HINT);
}

const misplaced = (where: string, why: string) =>
  new OomkitError(`cannot read ${where}: ${why}`, HINT);

/** Of a file that may be compressed, whatever it is called. */
async function* linesOf(path: string, name: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let number = 1;
  for await (const bytes of bytesOf(path, name)) {
    const text = decoder.decode(bytes, { stream: true });
    if (!text.includes("\n")) rest += text;
    else {
      const parts = (rest + text).split("\n");
      rest = parts.pop()!;
      for (const part of parts) {
        yield part;
        number++;
      }
    }
    if (rest.length > LONGEST_LINE) {
      throw misplaced(`${name}, line ${number}`, "it is longer than any line of a recording");
    }
  }
  if (rest !== "") yield rest;
}

async function* bytesOf(path: string, name: string): AsyncGenerator<Uint8Array> {
  const chunks = fileChunks(path, name);
  try {
    const { value: first, done } = await chunks.next();
    if (done) return;
    const all = rejoined(first, chunks);
    // RFC 1952: every gzip file begins so.
    if (first[0] !== 0x1f || first[1] !== 0x8b) return yield* all;
    const { inflated } = await import("./inflate.ts");
    yield* inflated(all, name);
  } finally {
    // Whoever stops reading leaves no file open.
    await chunks.return(undefined);
  }
}

async function* rejoined(
  first: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

async function* fileChunks(path: string, name: string): AsyncGenerator<Uint8Array> {
  try {
    // A FIFO would be waited for, and a device has no end.
    if (!(await Deno.stat(path)).isFile) throw new Error("it is no file");
    using file = await Deno.open(path);
    for (;;) {
      const chunk = new Uint8Array(CHUNK);
      const length = await file.read(chunk);
      if (length === null) return;
      yield chunk.subarray(0, length);
    }
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
    throw new OomkitError(`cannot read ${name}: ${why}`, HINT);
  }
}

const CHUNK = 64 * 1024;
