/** Appends events to a file, one JSON line each. */

import { errorText, OomkitError, shortened } from "../errors.ts";
import { isPriorityEvent, type OomkitEvent } from "../events/event.ts";
import { toJson } from "../events/json.ts";
import { Delivery } from "./delivery.ts";
import type { TypeCounts } from "./dropped_events.ts";
import type { Receiver, ReceiverCounts } from "./receiver.ts";
import { ifFound, refuseUntrustedSymlink } from "./symlink_check.ts";

/** Bounds the memory used while the disk is full. */
const MAX_QUEUED_LINES = 10_000;
const encoder = new TextEncoder();

export class LogFile implements Receiver {
  readonly name = "log";
  readonly #path: string;
  readonly #delivery: Delivery<string>;
  #file: Deno.FsFile | undefined;
  #endsInPartialLine = false;
  #mustReopen = false;

  /** Throws {@link OomkitError} when the file cannot be opened. */
  constructor(path: string, warn: (line: string) => void) {
    this.#path = path;
    this.#file = open(path);
    this.#delivery = new Delivery({
      what: `write to ${shortened(path)}`,
      // A write fails because of the disk, never because of the line. The lines of a log are in the order of the events.
      keepsOrder: true,
      maxQueued: MAX_QUEUED_LINES,
      warn,
      deliver: async (line) => {
        await this.#write(line);
        return { is: "done" };
      },
    });
  }

  report(event: OomkitEvent): void {
    this.#delivery.send(toJson(event), event.type, isPriorityEvent(event));
  }

  counts(): ReceiverCounts {
    return this.#delivery.counts();
  }

  droppedByType(): TypeCounts {
    return this.#delivery.droppedByType();
  }

  /** For log rotation: after the file was moved away, later lines go to a new file of the same name. */
  reopen(): void {
    this.#mustReopen = true;
  }

  async close(): Promise<void> {
    await this.#delivery.close();
    this.#file?.close();
  }

  async #write(line: string): Promise<void> {
    if (this.#mustReopen || this.#file === undefined) {
      this.#mustReopen = false;
      this.#file?.close();
      this.#file = undefined;
      this.#file = open(this.#path);
      this.#endsInPartialLine = false;
    }
    const bytes = encoder.encode(this.#endsInPartialLine ? `\n${line}\n` : `${line}\n`);
    let written = 0;
    try {
      while (written < bytes.length) written += await this.#file.write(bytes.subarray(written));
      this.#endsInPartialLine = false;
    } catch (error) {
      if (written > 0 && !truncateLast(this.#file, written)) this.#endsInPartialLine = true;
      throw error;
    }
  }
}

function open(path: string): Deno.FsFile {
  try {
    // Opening a FIFO blocks until a reader opens it.
    if (ifFound(() => Deno.statSync(path))?.isFifo) throw new Error("it is a FIFO");
    refuseUntrustedSymlink(path);
    const file = Deno.openSync(path, { append: true, create: true, mode: 0o640 });
    try {
      // Checked again: in a directory that others can write to, a link may have been created in between.
      refuseUntrustedSymlink(path, file);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    throw new OomkitError(
      `cannot open the log file ${shortened(path)}: ${errorText(error)}`,
      "name a writable file",
    );
  }
}

/** Removes the last `bytes` bytes; false when that is not possible, or another process has appended since. */
function truncateLast(file: Deno.FsFile, bytes: number): boolean {
  try {
    const end = file.seekSync(0, Deno.SeekMode.Current);
    if (file.statSync().size !== end) return false;
    file.truncateSync(end - bytes);
    return true;
  } catch {
    return false;
  }
}
