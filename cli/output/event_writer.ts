/**
 * A command that others rely on does not wait for who reads its output: lines are queued and written beside its work, and what
 * does not fit is dropped and counted.
 */

import { outputError } from "./output.ts";

export interface EventWriter {
  /** Queued; what does not fit is dropped, and how much that was is told later. */
  write(line: string): void;
  /** Rejects when nothing more can be written: with `OutputClosed` when the reader went away. */
  readonly broken: Promise<never>;
  /** Waits for what is queued, but not for long. */
  close(): Promise<void>;
}

export interface EventWriterOptions {
  readonly stream: { write(bytes: Uint8Array): Promise<number> };
  /** Told what was dropped: once the reader goes on, and in the end. */
  warn(line: string): void;
  /** Lines that may wait; they are to fit into the memory of a cgroup that is short of it. */
  readonly most?: number;
  /** Milliseconds for what is left in the end. */
  readonly timeout?: number;
}

const MAX_WAITING = 10_000;
const CLOSE_MS = 1000;
/** Between two tries where somebody has made the stream one that does not block. */
const AGAIN_MS = 20;

const encoder = new TextEncoder();

export function openEventWriter(
  { stream, warn, most = MAX_WAITING, timeout = CLOSE_MS }: EventWriterOptions,
): EventWriter {
  const queue: string[] = [];
  const broken = Promise.withResolvers<never>();
  // Asked for only while there is somebody to tell.
  broken.promise.catch(() => {});
  let isOpen = true;
  let working: Promise<void> | undefined;
  let dropped = 0;
  const tellDropped = () => {
    if (dropped > 0) warn(`${count(dropped)} dropped: nobody read stdout in time`);
    dropped = 0;
  };
  // Line by line: a short one stays in one piece where others write to the same pipe.
  const work = async () => {
    try {
      while (isOpen && queue.length > 0) {
        await writeAll(stream, `${queue[0]}\n`);
        queue.shift();
        // Not at each line of a reader that is a little too slow all the time.
        if (isOpen && queue.length <= most / 2) tellDropped();
      }
    } catch (error) {
      isOpen = false;
      queue.length = 0;
      dropped = 0;
      broken.reject(outputError(error));
    }
    working = undefined;
  };
  return {
    broken: broken.promise,
    write(line) {
      if (!isOpen) return;
      if (queue.length >= most) return void dropped++;
      queue.push(line);
      working ??= work();
    },
    async close() {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, timeout);
      await Promise.race([working, late.promise]);
      clearTimeout(timer);
      isOpen = false;
      dropped += queue.length;
      tellDropped();
    },
  };
}

const count = (lines: number) => lines === 1 ? "1 line was" : `${lines} lines were`;

async function writeAll(stream: EventWriterOptions["stream"], text: string): Promise<void> {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(await stream.write(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}
