/** Events to a file, one JSON line each. */

import { OomkitError, shortened } from "../errors.ts";
import { openDelivery } from "./delivery.ts";
import { refuseUntrustedSymlink } from "./symlink_check.ts";
import { toJson } from "../events/json.ts";
import type { Receiver } from "./receiver.ts";

export interface LogFile extends Receiver {
  /** For who has moved the file away: what comes from now on goes to a new one of that name. */
  reopen(): void;
}

/** Lines that may wait for a disk that is full. */
const MAX_WAITING = 10_000;
const encoder = new TextEncoder();

/** Throws {@link OomkitError} when it cannot be opened. */
export function openLogFile(path: string, warn: (line: string) => void): LogFile {
  let file: Deno.FsFile | undefined = open(path);
  /** It ends with a part of a line. */
  let isTorn = false;
  let isStale = false;

  const write = async (line: string) => {
    if (isStale || file === undefined) {
      isStale = false;
      file?.close();
      file = undefined;
      file = open(path);
      isTorn = false;
    }
    const bytes = encoder.encode(isTorn ? `\n${line}\n` : `${line}\n`);
    let written = 0;
    try {
      while (written < bytes.length) written += await file.write(bytes.subarray(written));
      isTorn = false;
    } catch (error) {
      if (written > 0 && !takeBack(file, written)) isTorn = true;
      throw error;
    }
  };

  const delivery = openDelivery<string>({
    what: `write to ${shortened(path)}`,
    // It is the disk that is full, and no line that it dislikes.
    byBadnessNow: true,
    most: MAX_WAITING,
    warn,
    async deliver(line) {
      try {
        await write(line);
        return { is: "done" };
      } catch (error) {
        return { is: "later", why: reasonOf(error) };
      }
    },
  });
  return {
    name: "log",
    report: (event) => delivery.send(toJson(event)),
    counts: delivery.counts,
    reopen: () => void (isStale = true),
    async close() {
      await delivery.close();
      file?.close();
    },
  };
}

function open(path: string): Deno.FsFile {
  try {
    // To open one waits until somebody reads it.
    if (isFifo(path)) throw new Error("it is a FIFO");
    refuseUntrustedSymlink(path);
    const file = Deno.openSync(path, { append: true, create: true, mode: 0o640 });
    try {
      // Once more: where others may write it can have been put there in between.
      refuseUntrustedSymlink(path, file);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    throw new OomkitError(
      `cannot open the log file ${shortened(path)}: ${reasonOf(error)}`,
      "name a writable file",
    );
  }
}

/** Takes back the last that was written; false where that cannot be done, or somebody else has written behind it. */
function takeBack(file: Deno.FsFile, bytes: number): boolean {
  try {
    const end = file.seekSync(0, Deno.SeekMode.Current);
    if (file.statSync().size !== end) return false;
    file.truncateSync(end - bytes);
    return true;
  } catch {
    return false;
  }
}

function isFifo(path: string): boolean {
  try {
    return Deno.statSync(path).isFifo === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.split(" (os error")[0] ?? error.message;
}
