/** Entries of `journalctl -o export` and `-o json-pretty` (systemd: Journal Export Formats), each as one line of JSON. */

import { beginning } from "../record/gzip.ts";
import { linesOf } from "./lines.ts";

/** Of an entry; others may be large. */
const FIELDS = new Set([
  "__REALTIME_TIMESTAMP",
  "__MONOTONIC_TIMESTAMP",
  "_SOURCE_MONOTONIC_TIMESTAMP",
  "_BOOT_ID",
  "_HOSTNAME",
  "_TRANSPORT",
  "MESSAGE",
  "SYSLOG_FACILITY",
]);
const MAX_ENTRY_CHARACTERS = 256 * 1024;

/** How an export begins. */
const CURSOR = new TextEncoder().encode("__CURSOR=");

/** The lines of every other format as they are. @param onCut called for each line or value that is cut */
export async function* entriesOf(
  chunks: AsyncIterable<Uint8Array>,
  onCut: () => void,
): AsyncGenerator<string> {
  const input = chunks[Symbol.asyncIterator]();
  const first = await beginning(input, CURSOR.length);
  const all = (async function* () {
    for (let chunk = first; chunk !== undefined; chunk = (await input.next()).value) yield chunk;
  })();
  if (CURSOR.every((byte, at) => byte === first?.[at])) {
    const reader = new ExportReader(onCut);
    for await (const chunk of all) yield* reader.read(chunk);
    yield* reader.end();
    return;
  }
  let join: ((line: string) => string | undefined) | undefined;
  let isFirst = true;
  for await (const line of linesOf(all, onCut)) {
    if (isFirst && line.trimEnd() === "{") join = prettyJoiner();
    isFirst = false;
    const entry = join ? join(line) : line;
    if (entry !== undefined) yield entry;
  }
}

const FIELD_NAME = /^[A-Z_\d]{1,64}$/;
const LINE_BREAK = 10;
/** Of a value that is not text: a little-endian number before it. */
const LENGTH_BYTES = 8;
const MAX_VALUE_BYTES = 64 * 1024;

/**
 * Reads bytes, not lines: a value with a line break, which any program may log, has its length before it, and may contain what looks
 * like fields of the kernel.
 */
class ExportReader {
  #fields: Record<string, string> = {};
  #rest: Uint8Array = new Uint8Array();
  /** The field of which a value with its length comes next. */
  #name: string | undefined;
  /** Bytes of a value that is not kept. */
  #skipped = 0;
  #isInLongLine = false;
  readonly #decoder = new TextDecoder();

  constructor(private readonly onCut: () => void) {}

  *read(chunk: Uint8Array): Generator<string> {
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    this.#rest = bytes;
    while (this.#rest.length > 0) {
      if (this.#skipped > 0) {
        this.#skipped -= this.#drop(this.#skipped);
      } else if (this.#name !== undefined) {
        if (!this.#readValue(this.#name)) return;
      } else {
        const end = this.#rest.indexOf(LINE_BREAK);
        if (end < 0) return this.#boundLine();
        const line = this.#rest.subarray(0, end);
        this.#drop(end + 1);
        if (this.#isInLongLine) this.#isInLongLine = false;
        else yield* this.#line(line);
      }
    }
  }

  /** The last entry may lack the empty line after it, and its last line the line break. */
  *end(): Generator<string> {
    if (this.#name !== undefined || this.#skipped > 0) {
      this.onCut();
      this.#name = undefined;
    } else if (this.#rest.length > 0) yield* this.#line(this.#rest);
    yield* this.#entry();
  }

  /** @returns how many bytes there were. */
  #drop(count: number): number {
    const dropped = Math.min(count, this.#rest.length);
    this.#rest = this.#rest.subarray(dropped);
    return dropped;
  }

  /** @returns false until all of it is there. */
  #readValue(name: string): boolean {
    if (this.#rest.length < LENGTH_BYTES) return false;
    const { buffer, byteOffset } = this.#rest;
    const length = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
    if (FIELDS.has(name) && length <= MAX_VALUE_BYTES) {
      const end = LENGTH_BYTES + length;
      if (this.#rest.length <= end) return false;
      this.#fields[name] = this.#decoder.decode(this.#rest.subarray(LENGTH_BYTES, end));
      this.#drop(end + 1);
    } else {
      this.#drop(LENGTH_BYTES);
      // With the line break after it.
      this.#skipped = length + 1;
    }
    this.#name = undefined;
    return true;
  }

  #boundLine(): void {
    if (this.#rest.length <= MAX_VALUE_BYTES) return;
    if (!this.#isInLongLine) this.onCut();
    this.#isInLongLine = true;
    this.#drop(this.#rest.length);
  }

  *#line(line: Uint8Array): Generator<string> {
    if (line.length === 0) return yield* this.#entry();
    const text = this.#decoder.decode(line);
    const at = text.indexOf("=");
    const name = at < 0 ? text : text.slice(0, at);
    if (at >= 0 && FIELDS.has(name)) this.#fields[name] = text.slice(at + 1);
    else if (at < 0 && FIELD_NAME.test(text)) this.#name = text;
  }

  *#entry(): Generator<string> {
    const fields = this.#fields;
    this.#fields = {};
    if (Object.keys(fields).length > 0) yield JSON.stringify(fields);
  }
}

function prettyJoiner(): (line: string) => string | undefined {
  let text = "";
  return (line) => {
    if (text.length + line.length <= MAX_ENTRY_CHARACTERS) text += line;
    if (line.trimEnd() !== "}") return undefined;
    const entry = text;
    text = "";
    return entry;
  };
}
