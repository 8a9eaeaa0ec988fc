/**
 * Output that never blocks the command: lines are queued and written asynchronously, and lines that do not fit are dropped and
 * counted. A guard must not wait for the reader of its stdout.
 */

import { BoundedQueue } from "../../core/bounded_queue.ts";
import { type EventType, hasPriority } from "../../core/events/event.ts";
import { DropCounts, typesText } from "../../core/receivers/dropped_events.ts";
import { delay, withDeadline } from "../../core/timing.ts";
import { divertOutput, OutputClosed, outputError } from "./output.ts";

/** Milliseconds that closing waits for messages on stderr, which are short. */
const MAX_STDERR_CLOSE_MS = 250;

/** Until this is closed, `print` and `printStderr` do not wait for their readers. */
export function openQueuedOutput(): { close(): Promise<void> } {
  // Dropped messages on stderr are not reported: there is no other place to report them.
  const messages = new QueuedWriter({
    stream: Deno.stderr,
    warn: () => {},
    closeWithin: MAX_STDERR_CLOSE_MS,
  });
  const printStderr = (line: string) => messages.write(line);
  const results = new QueuedWriter({ stream: Deno.stdout, warn: printStderr });
  divertOutput({ print: (line, type) => results.write(line, type), printStderr });
  // The command goes on: it has other receivers, or it guards.
  results.broken.catch((error) => {
    const why = error instanceof OutputClosed ? "the reader of stdout went away" : error.message;
    messages.write(`oomkit: ${why}: events are no longer printed`);
  });
  return {
    async close() {
      await results.close();
      await messages.close();
      divertOutput(undefined);
    },
  };
}

interface QueuedWriterOptions {
  readonly stream: { write(bytes: Uint8Array): Promise<number> };
  /** Called with the number of dropped lines, once the reader continues and on close. */
  warn(line: string): void;
  /**
   * Bounds the queued lines, which must fit into the memory of a cgroup that is short of it; and separately those of events with
   * priority.
   */
  readonly maxLines?: number;
  /** Milliseconds that `close` waits for queued lines. */
  readonly closeWithin?: number;
}

const MAX_QUEUED_LINES = 10_000;
const MAX_CLOSE_MS = 1000;
/** Between two writes to a stream that another process has made non-blocking. */
const MS_BETWEEN_WRITES = 20;

const encoder = new TextEncoder();

interface QueuedLine {
  readonly text: string;
  readonly type: EventType | undefined;
}

export class QueuedWriter {
  /** Rejects when nothing more can be written: with `OutputClosed` when the reader went away. */
  readonly broken: Promise<never>;
  readonly #maxLines: number;
  readonly #queue: BoundedQueue<QueuedLine>;
  readonly #drops = new DropCounts();
  readonly #broken = Promise.withResolvers<never>();
  #isOpen = true;
  #writing: Promise<void> | undefined;
  #reportedDrops = 0;

  constructor(private readonly options: QueuedWriterOptions) {
    this.#maxLines = options.maxLines ?? MAX_QUEUED_LINES;
    this.#queue = new BoundedQueue<QueuedLine>({
      capacity: this.#maxLines,
      drop: "newest",
      reserved: {
        capacity: this.#maxLines,
        has: ({ type }) => type !== undefined && hasPriority(type),
      },
      onDrop: ({ type }) => type && this.#drops.add(type),
    });
    this.broken = this.#broken.promise;
    // The caller may not listen.
    this.broken.catch(() => {});
  }

  /** Queues a line. A full queue drops it, which is reported later. @param type of the event that it is about. */
  write(text: string, type?: EventType): void {
    if (!this.#isOpen) return;
    this.#queue.push({ text, type });
    this.#writing ??= this.#writeQueue();
  }

  /** Waits a bounded time for queued lines. */
  async close(): Promise<void> {
    if (this.#writing) {
      await withDeadline(this.options.closeWithin ?? MAX_CLOSE_MS, this.#writing, () => {});
    }
    this.#isOpen = false;
    this.#queue.dropAll();
    this.#reportDrops();
  }

  async #writeQueue(): Promise<void> {
    try {
      // One write per line: a short line stays whole when other processes write to the same pipe.
      for (let line; this.#isOpen && (line = this.#queue.head) !== undefined;) {
        await writeAll(this.options.stream, `${line.text}\n`);
        this.#queue.shift();
        // Not at each line, for a reader that is always a little too slow.
        if (this.#isOpen && this.#queue.size <= this.#maxLines / 2) this.#reportDrops();
      }
    } catch (error) {
      this.#isOpen = false;
      this.#queue.dropAll();
      // The error says it.
      this.#reportedDrops = this.#queue.dropped;
      this.#broken.reject(outputError(error));
    }
    this.#writing = undefined;
  }

  #reportDrops(): void {
    const count = this.#queue.dropped - this.#reportedDrops;
    this.#reportedDrops = this.#queue.dropped;
    if (count === 0) return;
    const lines = count === 1 ? "1 line was" : `${count} lines were`;
    const types = typesText(this.#drops.takeUnreported());
    this.options.warn(
      `${lines} dropped${types && ` (${types})`}: the reader of stdout was too slow`,
    );
  }
}

async function writeAll(stream: QueuedWriterOptions["stream"], text: string): Promise<void> {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(await stream.write(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await delay(MS_BETWEEN_WRITES);
    }
  }
}
