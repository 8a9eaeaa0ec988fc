/** Content that may be compressed. */

import { errorText, OomkitError } from "../errors.ts";

/** RFC 1952: the first bytes of every gzip file. */
const MAGIC = [0x1f, 0x8b] as const;
/** RFC 1952: ISIZE, at the end of each member, is the size of its content modulo 2^32. */
const ISIZE_BYTES = 4;

export interface GzipProblems {
  /** Throws for damaged content. */
  fail(why: string): never;
  /** The file ends before its content does; what precedes the cut was returned. */
  truncated?(): void;
}

/** Decompresses all members of the content if it is gzip, whatever the name of the file; returns other content as it is. */
export async function* gunzipped(
  chunks: AsyncIterable<Uint8Array>,
  problems: GzipProblems,
): AsyncGenerator<Uint8Array> {
  const input = chunks[Symbol.asyncIterator]();
  const first = await beginning(input, MAGIC.length);
  let tail: number[] = [];
  const all = (async function* () {
    for (let chunk = first; chunk !== undefined; chunk = (await input.next()).value) {
      tail = [...tail, ...chunk.subarray(-ISIZE_BYTES)].slice(-ISIZE_BYTES);
      yield chunk;
    }
  })();
  if (MAGIC.some((byte, at) => byte !== first?.[at])) return yield* all;
  let size = 0;
  for await (const bytes of gunzip(all, problems)) {
    size += bytes.length;
    yield bytes;
  }
  // zlib reports no cut; after one, the last bytes are any number, which is rarely as small as the content.
  if (new DataView(Uint8Array.from([...tail, 0, 0, 0, 0]).buffer).getUint32(0, true) > size) {
    problems.truncated?.();
  }
}

/** The first chunk, of at least `length` bytes where there are as many. A pipe may return a single byte. */
export async function beginning(
  input: AsyncIterator<Uint8Array>,
  length: number,
): Promise<Uint8Array | undefined> {
  let first: Uint8Array | undefined = (await input.next()).value;
  while (first !== undefined && first.length < length) {
    const { value, done } = await input.next();
    if (done) break;
    first = Uint8Array.from([...first, ...value]);
  }
  return first;
}

async function* gunzip(
  chunks: AsyncIterable<Uint8Array>,
  problems: GzipProblems,
): AsyncGenerator<Uint8Array> {
  // Loaded only when needed. The flush mode makes it return what precedes the cut.
  const { constants, createGunzip } = await import("node:zlib");
  const { pipeline, Readable } = await import("node:stream");
  const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
  // The iteration below throws its errors.
  pipeline(Readable.from(chunks), gunzip, () => {});
  try {
    for await (const bytes of gunzip) yield bytes as Uint8Array;
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    // zlib's Z_BUF_ERROR: the input ends too early.
    if ((error as { code?: unknown }).code === "Z_BUF_ERROR") return;
    problems.fail(`its compressed content is damaged (${errorText(error)})`);
  }
}
