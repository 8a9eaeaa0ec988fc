/** Events to a command of the user's. */

import { environmentOf } from "../events/environment.ts";
import type { OomkitEvent } from "../events/event.ts";
import { toJson } from "../events/json.ts";
import type { Receiver } from "./receiver.ts";

/** How a command ended: its exit code, or why there is none. */
export type Run = (
  command: string,
  text: string,
  timeout: number,
  ending: AbortSignal,
  env: Readonly<Record<string, string>>,
) => Promise<{ readonly code: number } | { readonly failed: string }>;

export interface ExecOptions {
  readonly command: string;
  /** Milliseconds. */
  readonly timeout: number;
  readonly run: Run;
  warn(line: string): void;
}

/** Commands at once. */
const AT_ONCE = 4;
const MAX_WAITING = 100;
/** Milliseconds for what still runs in the end. */
const CLOSE_WITHIN_MS = 2000;

/** Runs it once for each event, with the event as JSON on stdin and in the environment. It is not run again when it fails. */
export function openExec({ command, timeout, run, warn }: ExecOptions): Receiver {
  const queue: OomkitEvent[] = [];
  const running = new Set<Promise<void>>();
  const ending = new AbortController();
  const count = { sent: 0, dropped: 0, failed: 0 };
  const told = new Set<string>();
  const warnOnce = (why: string) => {
    if (!told.has(why)) warn(`--exec: ${why}`);
    told.add(why);
  };

  const runOne = async (event: OomkitEvent) => {
    const end = await run(command, toJson(event), timeout, ending.signal, environmentOf(event));
    if ("code" in end && end.code === 0) {
      count.sent += 1;
      return;
    }
    count.failed += 1;
    count.dropped += 1;
    warnOnce("code" in end ? `it exited with ${end.code}` : end.failed);
  };

  const runMore = () => {
    while (running.size < AT_ONCE && !ending.signal.aborted) {
      const event = queue.shift();
      if (event === undefined) return;
      const promise = runOne(event).finally(() => {
        running.delete(promise);
        runMore();
      });
      running.add(promise);
    }
  };

  return {
    name: "exec",
    report(event) {
      if (queue.length >= MAX_WAITING) {
        queue.shift();
        count.dropped += 1;
        warnOnce(`${MAX_WAITING} events are waiting, and the oldest are dropped`);
      }
      queue.push(event);
      runMore();
    },
    counts: () => ({ pending: queue.length + running.size, ...count }),
    async close() {
      const timer = setTimeout(
        () => ending.abort("it still ran when oomkit ended"),
        CLOSE_WITHIN_MS,
      );
      while (running.size > 0) await Promise.all(running);
      clearTimeout(timer);
      if (queue.length > 0) warn(`--exec: ${queue.length} events came to no command any more`);
      count.dropped += queue.length;
      queue.length = 0;
    },
  };
}
