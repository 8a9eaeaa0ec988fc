/** Reads recordings. Every line is checked, because a file may hold anything. */

import * as v from "valibot";
import { errorText, OomkitError, shortened } from "../errors.ts";
import { MAX_LINE_LENGTH, type RecordingHead, type RecordingLine } from "./format.ts";
import { gunzipped } from "./gzip.ts";
import { count, LINES } from "./line_schemas.ts";
import { RECORDING_VERSION } from "./version.ts";

const HINT = "use a file written by --record";

const failed = (where: string, why: string, hint = HINT) =>
  new OomkitError(`cannot read ${where}: ${why}`, hint);

/**
 * The head first, then the other lines as they were written. A truncated last line and the truncated end of a compressed
 * file are left out: only the line `end` says that a recording is complete. Names in it are unchecked text.
 *
 * Throws {@link OomkitError} with file and line for what cannot be read, is no recording, or has a later version.
 */
export async function* readRecording(path: string): AsyncGenerator<RecordingLine> {
  const name = shortened(path);
  const described = new Set<number>();
  let head: RecordingHead | undefined;
  let truncated: NotJson | undefined;
  let hasEnded = false;
  let number = 0;
  for await (const text of linesOf(path, name)) {
    number++;
    const where = `${name}, line ${number}`;
    // Only the last line can be truncated.
    if (truncated) throw truncated;
    let line: RecordingLine | undefined;
    try {
      line = parseLine(text, where);
    } catch (error) {
      if (!(error instanceof NotJson) || number === 1) throw error;
      truncated = error;
      continue;
    }
    if (hasEnded) throw failed(where, "it follows the line end");
    if (head === undefined) {
      if (line?.type !== "recording") throw failed(where, "it is not the head of a recording");
      head = line;
    } else if (line?.type === "recording") throw failed(where, "it is a second head");
    if (line === undefined) continue;
    if (line.type === "cgroup") described.add(line.id);
    if ((line.type === "snapshot" || line.type === "gone") && !described.has(line.id)) {
      throw failed(where, `cgroup ${line.id} is not described before it`);
    }
    hasEnded = line.type === "end";
    yield line;
  }
  if (head === undefined) throw failed(name, "it is empty");
}

async function* linesOf(path: string, name: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let number = 1;
  for await (const bytes of bytesOf(path, name)) {
    const text = decoder.decode(bytes, { stream: true });
    if (!text.includes("\n")) rest += text;
    else {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      yield* lines;
      number += lines.length;
    }
    if (rest.length > MAX_LINE_LENGTH) {
      throw failed(`${name}, line ${number}`, "it is longer than any line of a recording");
    }
  }
  if (rest !== "") yield rest;
}

/** Decompressed when the content is gzip, whatever the name. */
async function* bytesOf(path: string, name: string): AsyncGenerator<Uint8Array> {
  try {
    // Opening a FIFO would block, and a device has no end.
    if (!(await Deno.stat(path)).isFile) throw failed(name, "it is not a regular file");
    using file = await Deno.open(path);
    await using chunks = chunksOf(file);
    let isEmpty = true;
    const content = gunzipped(chunks, {
      fail(why) {
        throw failed(name, why);
      },
      truncated() {
        if (isEmpty) throw failed(name, "the compressed file is cut before its first line");
      },
    });
    for await (const bytes of content) {
      isEmpty = false;
      yield bytes;
    }
  } catch (error) {
    throw error instanceof OomkitError ? error : failed(name, errorText(error));
  }
}

/** Damaged content ends the decompression while a read is under way, which the disposal waits for. */
function chunksOf({ readable }: Deno.FsFile): AsyncIterable<Uint8Array> & AsyncDisposable {
  const reader = readable.getReader();
  let last: ReturnType<typeof reader.read> | undefined;
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        last = reader.read();
        const { value, done } = await last;
        if (done) return;
        yield value;
      }
    },
    async [Symbol.asyncDispose]() {
      await last?.catch(() => {});
    },
  };
}

/** Such as the last line of a run that was killed while it wrote. */
class NotJson extends OomkitError {}

/** `undefined` for a type that only later versions know. */
function parseLine(text: string, where: string): RecordingLine | undefined {
  const value = parseJson(text, where);
  const typed = v.safeParse(typedLine, value);
  if (!typed.success) throw failed(where, "it is not a line of a recording");
  const { type, v: version } = typed.output;
  if (!Object.hasOwn(LINES, type)) return undefined;
  if (type === "recording") checkVersion(version, where);
  const checked = v.safeParse(LINES[type as RecordingLine["type"]], value, { abortEarly: true });
  if (!checked.success) {
    const field = checked.issues[0].path?.[0]?.key;
    throw failed(where, `its "${field}" is not valid for ${type}`);
  }
  // With the fields of later versions, and those of events.
  return value as RecordingLine;
}

const typedLine = v.object({ type: v.string(), v: v.optional(v.unknown()) });

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message would repeat the text, which may be anything.
    throw new NotJson(`cannot read ${where}: it is not JSON`, HINT);
  }
}

function checkVersion(version: unknown, where: string): void {
  if (version === RECORDING_VERSION) return;
  if (!v.is(count, version) || version === 0) {
    throw failed(where, 'its "v" is not valid for recording');
  }
  const why = `it has version ${version}, and this oomkit reads version ${RECORDING_VERSION}`;
  const isOlder = version < RECORDING_VERSION;
  throw failed(where, why, `use the oomkit that wrote it${isOlder ? "" : ", or a later one"}`);
}
