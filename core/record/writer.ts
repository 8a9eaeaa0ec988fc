/** One gzip member; loaded only for who writes what is to be compressed. */

import { OomkitError, shortened } from "../errors.ts";
import { toJson } from "../events/json.ts";
import { recordingClock } from "./clock.ts";
import type { AnyEvent, RecordedEvent, RecordingLine, RecordSink } from "./format.ts";
import { LONGEST_LINE } from "./reader.ts";
import { gzipSync } from "node:zlib";

export function deflated(text: string): Uint8Array {
  return gzipSync(text);
}

/* Events as lines of a recording. Pure but for what it is handed. */

/** At the time that the event itself gives, microseconds included. */
export function eventLine(event: AnyEvent): RecordedEvent {
  return { type: "event", at: millisecondsOf(event.ts), event };
}

/** Milliseconds since the epoch of RFC 3339 in UTC, with as many digits as there are. */
export function millisecondsOf(ts: string): number {
  const whole = Date.parse(ts);
  const digits = /\.\d{3}(\d+)Z$/.exec(ts)?.[1] ?? "";
  return digits === "" ? whole : whole + Number(`0.${digits}`);
}

/* A file that must not be there yet. */

/**
 * Made anew, for its owner's eyes alone, at the very name: no link is followed, neither to write through it nor to make room.
 *
 * @param force what lies there makes room, unless it is more than a file or a link to one. @param what such as `the recording`.
 * Throws {@link OomkitError}.
 */
export function createNewFile(path: string, force: boolean, what: string): Deno.FsFile {
  const refuse = (why: unknown, hint: string) =>
    new OomkitError(`cannot write ${what} to ${shortened(path)}: ${why}`, hint);
  try {
    const there = force ? lookAt(path) : undefined;
    if (there && !there.isFile && !isLinkToFile(path, there)) {
      throw refuse("what lies there is no file", "name another");
    }
    if (there) Deno.removeSync(path);
    return Deno.openSync(path, { append: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    if (error instanceof Deno.errors.AlreadyExists) {
      throw refuse("it is there already", "name another, or give --force");
    }
    const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
    throw refuse(why, "name a file in a folder that can be written");
  }
}

/** Or to nothing; /dev/stdout leads to one too, and is nobody's to replace. */
function isLinkToFile(path: string, { isSymlink }: Deno.FileInfo): boolean {
  if (!isSymlink || Deno.readLinkSync(path).startsWith("/proc/")) return false;
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

function lookAt(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/*
 * A recording that is written to a file as it happens. Nobody waits for the disk: lines are handed over, and written in the
 * order in which they came. Each write is of whole lines, and of compressed files a gzip member of its own (RFC 1952, 2.2), so
 * that whenever the program or the machine is ended, what is there can be read but for the last line, or the last second.
 */

export interface RecordFile extends RecordSink {
  /** Writes what is left and the end; a file with nothing but a head is removed. */
  close(): Promise<void>;
}

export interface RecordFileOptions {
  /** Bytes on disk. */
  readonly max: number;
  /** A file of that name makes room. */
  readonly force: boolean;
  /** Told once, when no more can be written. */
  readonly warn: (line: string) => void;
}

/** Room for the last line, compressed or not. */
const END_BYTES = 128;
/** What may wait for a disk that is slow; what comes beyond it is lost, and that is told (characters). */
const MAX_WAITING = 8 * 1024 ** 2;
/** The same of what others rest on: a guard of ten thousand cgroups describes all of them at once. */
const MAX_RESTED_ON = 64 * 1024 ** 2;
/** Of compressed files a member holds so much (milliseconds, characters): less compresses worse. */
const GZIP_MS = 1000;
const GZIP_CHARACTERS = 256 * 1024;
const CLOSE_MS = 2000;

const encoder = new TextEncoder();

/** Compressed where it is called `.gz`. Throws `OomkitError` when it cannot be made. */
export async function openRecordFile(
  path: string,
  { max, force, warn }: RecordFileOptions,
): Promise<RecordFile> {
  const isCompressed = path.endsWith(".gz");
  const pack = isCompressed ? (await import("./writer.ts")).deflated : encoder.encode.bind(encoder);
  const file = createNewFile(path, force, "the recording");
  let waiting: string[] = [];
  let characters = 0;
  let written = 0;
  let lost = 0;
  /** Whose description was lost: what was seen of them could not be read. */
  const nameless = new Set<number>();
  let isOver = false;
  /** Anything but the head. */
  let hasContent = false;
  let writing: Promise<void> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const put = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    written += bytes.length;
  };

  /** As many of the first lines as there is room for. */
  const fitting = (lines: readonly string[]): { bytes: Uint8Array; isAll: boolean } => {
    const bytes = pack(lines.join(""));
    if (written + bytes.length <= max - END_BYTES) return { bytes, isAll: true };
    const half = lines.length >> 1;
    if (half === 0) return { bytes: new Uint8Array(0), isAll: false };
    return { bytes: fitting(lines.slice(0, half)).bytes, isAll: false };
  };

  const endLine = (reason: "ended" | "full") =>
    `${toJson({ type: "end", at: recordingClock(), reason })}\n`;

  const writeOut = async () => {
    while (waiting.length > 0 && !isOver) {
      const lines = waiting;
      waiting = [];
      characters = 0;
      const { bytes, isAll } = fitting(lines);
      if (bytes.length > 0) await put(bytes);
      if (isAll) continue;
      isOver = true;
      await put(pack(endLine("full")));
      warn(`oomkit: the recording ${shortened(path)} is full: the run goes on without it`);
    }
  };

  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    writing ??= writeOut().catch((error) => {
      isOver = true;
      const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
      warn(
        `oomkit: cannot write the recording ${shortened(path)}: ${why}; the run goes on without it`,
      );
    }).finally(() => {
      writing = undefined;
      // What has come in the meantime.
      if (waiting.length > 0 && !isOver) schedule();
    });
  };

  const schedule = () => {
    if (!isCompressed || characters > GZIP_CHARACTERS) return flush();
    timer ??= setTimeout(flush, GZIP_MS);
  };

  const add = (line: RecordingLine) => {
    const text = `${toJson(line)}\n`;
    const most = line.type === "cgroup" || line.type === "policies" ? MAX_RESTED_ON : MAX_WAITING;
    const isNameless = (line.type === "snapshot" || line.type === "gone") && nameless.has(line.id);
    const isLost = isNameless || text.length > LONGEST_LINE || characters + text.length > most;
    if (line.type === "cgroup") isLost ? nameless.add(line.id) : nameless.delete(line.id);
    if (isLost) {
      lost++;
      return;
    }
    waiting.push(text);
    characters += text.length;
  };

  return {
    line(line) {
      if (isOver) return;
      if (lost > 0 && characters < MAX_WAITING / 2) {
        add({ type: "lost", at: line.at, snapshots: lost });
        lost = 0;
      }
      if (line.type !== "recording") hasContent = true;
      add(line);
      schedule();
    },
    async close() {
      if (!isOver) {
        if (lost > 0) {
          waiting.push(`${toJson({ type: "lost", at: recordingClock(), snapshots: lost })}\n`);
        }
        flush();
      }
      // Who could not even begin is to find his way free the next time.
      if (!hasContent) removeIfSame(path, file);
      const deadline = performance.now() + CLOSE_MS;
      while (writing && performance.now() < deadline) await soon(writing);
      try {
        if (!isOver && !writing) await put(pack(endLine("ended")));
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        warn(`oomkit: cannot end the recording ${shortened(path)}: ${error.message}`);
      } finally {
        isOver = true;
        clearTimeout(timer);
        file.close();
      }
    },
  };
}

function removeIfSame(path: string, file: Deno.FsFile): void {
  try {
    if (Deno.lstatSync(path).ino === file.statSync().ino) Deno.removeSync(path);
  } catch {
    // Somebody else was faster.
  }
}

/** A disk that does not answer is not waited for. */
async function soon(writing: Promise<void>): Promise<void> {
  let late: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([writing, new Promise((resolve) => late = setTimeout(resolve, CLOSE_MS))]);
  clearTimeout(late);
}
