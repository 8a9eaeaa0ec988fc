/** gzip, as far as it goes: loaded only for who reads what is compressed. */

import { OomkitError, shortened } from "../errors.ts";
import { DECISIONS, RECORDING_VERSION, type RecordingHead, type RecordingLine } from "./format.ts";
import { constants, createGunzip } from "node:zlib";

/**
 * What is in the members of a gzip file, one after the other; where it is cut off, what comes before that.
 *
 * @param name of the file, for messages. Throws {@link OomkitError} for what is damaged otherwise.
 */
export async function* inflated(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  // A file that is cut off ends where it is cut off.
  const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
  const feeding = feed(chunks, gunzip);
  // It is awaited below, unless the stream fails first.
  feeding.catch(() => {});
  try {
    for await (const bytes of gunzip) yield bytes as Uint8Array;
    await feeding;
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    // zlib's Z_BUF_ERROR: it wants more than there is.
    if ((error as { code?: unknown }).code === "Z_BUF_ERROR") return;
    const why = error instanceof Error ? error.message : error;
    throw new OomkitError(
      `cannot read ${name}: what is compressed in it is damaged (${why})`,
      "give a file that was written by --record",
    );
  } finally {
    gunzip.destroy();
    await feeding.catch(() => {});
  }
}

async function feed(
  chunks: AsyncIterable<Uint8Array>,
  gunzip: ReturnType<typeof createGunzip>,
): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (gunzip.destroyed) return;
      if (!gunzip.write(chunk)) await drained(gunzip);
    }
    gunzip.end();
  } catch (error) {
    gunzip.destroy(error as Error);
    throw error;
  }
}

function drained(gunzip: ReturnType<typeof createGunzip>): Promise<void> {
  return new Promise((resolve) => {
    // A large file is waited for many a time: neither is to pile up.
    const go = () => {
      gunzip.off("drain", go).off("close", go);
      resolve();
    };
    gunzip.on("drain", go).on("close", go);
  });
}

/* One line of a recording, believed only as far as it has been looked at. Pure. */

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isBoolean: Check = (value) => typeof value === "boolean";
const isFinite: Check = (value) => Number.isFinite(value);
/** Milliseconds since the epoch that a `Date` can hold. */
const isTime: Check = (value) => isFinite(value) && value as number >= 0 && value as number < 8e15;
const isCount: Check = (value) => Number.isSafeInteger(value) && value as number >= 0;
const isPositive: Check = (value) => isFinite(value) && value as number >= 0;
const oneOf = (...choices: readonly unknown[]): Check => (value) => choices.includes(value);
const orNull = (check: Check): Check => (value) => value === null || check(value);
const orAbsent = (check: Check): Check => (value) => value === undefined || check(value);
const listOf = (check: Check, most = Infinity): Check => (value) =>
  Array.isArray(value) && value.length <= most && value.every(check);
const shaped = (fields: Readonly<Record<string, Check>>): Check => (value) =>
  isObject(value) && Object.entries(fields).every(([name, check]) => check(fieldOf(value, name)));

const isLevel = oneOf("warn", "critical", "imminent");
const isMode = oneOf("notify", "throttle", "hold");

const isPlan = shaped({
  rule: orNull(isText),
  mode: oneOf("auto", "notify", "throttle", "hold"),
  warn: isPositive,
  critical: isPositive,
  margin: shaped({
    ratio: orAbsent(isPositive),
    min: orAbsent(isCount),
    max: orAbsent(isCount),
  }),
  metric: oneOf("usage", "working-set"),
  actions: shaped({ warn: listOf(isText), critical: listOf(isText), imminent: listOf(isText) }),
  hysteresis: isPositive,
  cooldown: isPositive,
  repeat: isBoolean,
  reclaim: isBoolean,
  grace_period: isPositive,
  kill_timeout: isPositive,
  dry_run: isBoolean,
});

/** What each type must have; a type that is not here is of a later version, and passed over. */
const types: Readonly<Record<RecordingLine["type"], Readonly<Record<string, Check>>>> = {
  recording: {
    at: isTime,
    command: oneOf("watch", "guard", "simulate"),
    oomkit: isText,
    host: isText,
    kernel: isText,
    hierarchy: oneOf(1, 2),
    policies: orNull(listOf(isPlan)),
  },
  cgroup: {
    at: isTime,
    id: isCount,
    path: isText,
    usage_cgroup: isText,
    container_id: orNull(isText),
    pod_uid: orNull(isText),
    limit: orNull(isCount),
    limit_owner: orNull(isText),
    reference_lines: listOf(shaped({ name: isText, bytes: isCount })),
    policy: orNull(isCount),
    mode: orNull(isMode),
    oom_total_bytes: orNull(isCount),
  },
  snapshot: {
    at: isTime,
    id: isCount,
    usage: isCount,
    inactive_file: orAbsent(isCount),
    reclaimable: orAbsent(isCount),
    some: orAbsent(isPositive),
    full: orAbsent(isPositive),
    sampled: orAbsent(oneOf(true)),
    rate: orAbsent(isFinite),
    unreclaimable_rate: orAbsent(isFinite),
    victim: orAbsent(oneOf("none", "alive", "dead")),
    decision: orAbsent(oneOf(...DECISIONS)),
    levels: orAbsent(listOf(isLevel, 3)),
  },
  event: { at: isTime, event: shaped({ type: isText, ts: isText, cgroup: isText }) },
  gone: { at: isTime, id: isCount },
  policies: { at: isTime, policies: listOf(isPlan) },
  lost: { at: isTime, snapshots: isCount },
  end: { at: isTime, reason: oneOf("ended", "full") },
};

/** It is no JSON, as the last line is of a run that was killed while it wrote. */
export class TornLine extends OomkitError {}

/**
 * `undefined` for a type of line that this version does not know.
 *
 * @param where such as `run.jsonl, line 3`.
 * Throws {@link TornLine} for what is no JSON, and {@link OomkitError} for what is no line of a recording.
 */
export function checkLine(text: string, where: string): RecordingLine | undefined {
  const value = parse(text, where);
  const type = isObject(value) ? fieldOf(value, "type") : undefined;
  if (!isObject(value) || typeof type !== "string") {
    throw new OomkitError(`cannot read ${where}: it is no line of a recording`, HINT);
  }
  if (!Object.hasOwn(types, type)) return undefined;
  if (type === "recording") checkVersion(value, where);
  for (const [name, check] of Object.entries(types[type as RecordingLine["type"]])) {
    if (check(fieldOf(value, name))) continue;
    throw new OomkitError(
      `cannot read ${where}: "${name}" of its ${type} is not as it should be`,
      HINT,
    );
  }
  return value as unknown as RecordingLine;
}

const HINT = "give a file that was written by --record";

function checkVersion(value: object, where: string): void {
  const version = fieldOf(value, "v");
  if (version === RECORDING_VERSION) return;
  throw isCount(version) && version as number > RECORDING_VERSION
    ? new OomkitError(
      `cannot read ${where}: it is a recording of version ${version}, and this oomkit knows ${RECORDING_VERSION}`,
      "use the oomkit that wrote it, or a later one",
    )
    : new OomkitError(`cannot read ${where}: "v" of its recording is not as it should be`, HINT);
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whatever the parser says repeats what stands there, which may be anything.
    throw new TornLine(`cannot read ${where}: it is no JSON`, HINT);
  }
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Of its own: what `Object.prototype` has is nobody's. */
const fieldOf = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;

/* Recordings, line by line, as far as they were written. */

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
    const { inflated } = await import("./reader.ts");
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
