/**
 * Writes a recording while it happens, without waiting for the disk. Each write has whole lines, and in a compressed file is
 * a gzip member of its own (RFC 1952, 2.2): if the program or the machine dies, everything but the last line, or the last
 * second, can be read.
 */

import { errorText, shortened } from "../errors.ts";
import { hasPriority } from "../events/event.ts";
import { toJson } from "../events/json.ts";
import { withDeadline } from "../timing.ts";
import { recordingClock } from "./clock.ts";
import { MAX_LINE_LENGTH, type RecordingLine, type RecordSink } from "./format.ts";
import { createNewFile } from "./new_file.ts";

export interface RecordFileOptions {
  /** Bytes on disk. */
  readonly max: number;
  /** Replaces a file of that name. */
  readonly force: boolean;
  /** Called once, when nothing more can be written. */
  readonly warn: (line: string) => void;
}

/** Room for the last line, compressed or not. */
const END_BYTES = 128;
/** Characters that may wait for a slow disk; what comes beyond that is dropped and counted. */
const MAX_WAITING = 8 * 1024 ** 2;
/** The same for kills, and for lines that others refer to: a guard of ten thousand cgroups describes all of them in a row. */
const MAX_WAITING_KEPT = 64 * 1024 ** 2;
/** A gzip member holds the lines of so long, or so many characters: smaller ones compress worse. */
const MS_BETWEEN_MEMBERS = 1000;
const MAX_MEMBER_LENGTH = 256 * 1024;
const MAX_MS_TO_CLOSE = 2000;
/** Command lines of victims may hold secrets. */
const OWNER_ONLY = 0o600;

const encoder = new TextEncoder();

/** Creates the file; it is compressed when its name ends in `.gz`. Throws `OomkitError` when it cannot be created. */
export async function openRecordFile(
  path: string,
  options: RecordFileOptions,
): Promise<RecordFile> {
  // Loaded only when needed.
  const gzip = path.endsWith(".gz") ? (await import("node:zlib")).gzipSync : undefined;
  return new RecordFile(path, options, gzip);
}

export class RecordFile implements RecordSink {
  /** For messages. */
  readonly #name: string;
  readonly #max: number;
  readonly #warn: (line: string) => void;
  readonly #file: Deno.FsFile;
  #waiting: string[] = [];
  #waitingLength = 0;
  #writtenBytes = 0;
  /** Lines dropped since the last line `lost`. */
  #lost = 0;
  /** Cgroups without a description in the file: their snapshots could not be read. */
  readonly #undescribed = new Set<number>();
  /** Anything but the head. */
  #hasContent = false;
  #isOver = false;
  #writing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly path: string,
    { max, force, warn }: RecordFileOptions,
    private readonly gzip: ((text: string) => Uint8Array) | undefined,
  ) {
    this.#name = shortened(path);
    this.#max = max;
    this.#warn = warn;
    this.#file = createNewFile(path, { force, what: "the recording", mode: OWNER_ONLY });
  }

  line(line: RecordingLine): void {
    if (this.#isOver) return;
    if (this.#lost > 0 && this.#waitingLength < MAX_WAITING / 2) this.#addLost(line.at);
    if (line.type !== "recording") this.#hasContent = true;
    this.#add(line);
    this.#schedule();
  }

  /** Writes what is left and the end; a file with nothing but a head is removed. */
  async close(): Promise<void> {
    if (!this.#isOver) {
      if (this.#lost > 0) this.#addLost(recordingClock());
      this.#flush();
    }
    // A run that could not even begin must not need --force the next time.
    if (!this.#hasContent) removeIfSame(this.path, this.#file);
    const deadline = performance.now() + MAX_MS_TO_CLOSE;
    while (this.#writing && performance.now() < deadline) {
      await withDeadline(MAX_MS_TO_CLOSE, this.#writing, () => {});
    }
    try {
      if (!this.#isOver && !this.#writing) await this.#writeEnd("ended");
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const reason = errorText(error);
      this.#warn(`oomkit: cannot write the end of the recording ${this.#name}: ${reason}`);
    } finally {
      this.#isOver = true;
      clearTimeout(this.#timer);
      this.#file.close();
    }
  }

  #addLost(at: number): void {
    this.#push(textOf({ type: "lost", at, snapshots: this.#lost }));
    this.#lost = 0;
  }

  #add(line: RecordingLine): void {
    const text = textOf(line);
    const isDescription = line.type === "cgroup" || line.type === "policies";
    const isKept = isDescription || (line.type === "event" && hasPriority(line.event.type));
    const max = isKept ? MAX_WAITING_KEPT : MAX_WAITING;
    const isUnreadable = (line.type === "snapshot" || line.type === "gone") &&
      this.#undescribed.has(line.id);
    const isLost = isUnreadable || text.length > MAX_LINE_LENGTH ||
      this.#waitingLength + text.length > max;
    if (line.type === "cgroup") {
      if (isLost) this.#undescribed.add(line.id);
      else this.#undescribed.delete(line.id);
    }
    if (isLost) this.#lost++;
    else this.#push(text);
  }

  #push(text: string): void {
    this.#waiting.push(text);
    this.#waitingLength += text.length;
  }

  #schedule(): void {
    if (!this.gzip || this.#waitingLength > MAX_MEMBER_LENGTH) return this.#flush();
    this.#timer ??= setTimeout(() => this.#flush(), MS_BETWEEN_MEMBERS);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeWaiting().catch((error) => {
      this.#isOver = true;
      const why = `${errorText(error)}; the run continues without it`;
      this.#warn(`oomkit: cannot write the recording ${this.#name}: ${why}`);
    }).finally(() => {
      this.#writing = undefined;
      // Lines that came meanwhile.
      if (this.#waiting.length > 0 && !this.#isOver) this.#schedule();
    });
  }

  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isOver) {
      const lines = this.#waiting;
      this.#waiting = [];
      this.#waitingLength = 0;
      const { bytes, isAll } = this.#fitting(lines);
      if (bytes.length > 0) await this.#write(bytes);
      if (isAll) continue;
      this.#isOver = true;
      await this.#writeEnd("full");
      const why = "has reached its maximum size (--record-max); the run continues without it";
      this.#warn(`oomkit: the recording ${this.#name} ${why}`);
    }
  }

  /** As many of the first lines as there is room for, found by halving. */
  #fitting(lines: readonly string[]): { readonly bytes: Uint8Array; readonly isAll: boolean } {
    const bytes = this.#pack(lines.join(""));
    if (this.#writtenBytes + bytes.length <= this.#max - END_BYTES) return { bytes, isAll: true };
    const half = lines.slice(0, lines.length >> 1);
    return {
      bytes: half.length === 0 ? new Uint8Array() : this.#fitting(half).bytes,
      isAll: false,
    };
  }

  #pack(text: string): Uint8Array {
    return this.gzip?.(text) ?? encoder.encode(text);
  }

  async #writeEnd(reason: "ended" | "full"): Promise<void> {
    await this.#write(this.#pack(textOf({ type: "end", at: recordingClock(), reason })));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    this.#writtenBytes += bytes.length;
  }
}

const textOf = (line: RecordingLine): string => `${toJson(line)}\n`;

function removeIfSame(path: string, file: Deno.FsFile): void {
  try {
    if (Deno.lstatSync(path).ino === file.statSync().ino) Deno.removeSync(path);
  } catch {
    // Another process has removed it.
  }
}
