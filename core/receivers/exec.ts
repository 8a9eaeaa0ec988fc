/** Runs the user's command once per event. A command that fails is not run again for that event. */

import { BoundedQueue } from "../bounded_queue.ts";
import { runHook } from "../control/hook.ts";
import { environmentOf } from "../events/environment.ts";
import type { OomkitEvent } from "../events/event.ts";
import { toJson } from "../events/json.ts";
import type { Receiver, ReceiverCounts } from "./receiver.ts";

export interface ExecOptions {
  readonly command: string;
  /** Milliseconds. */
  readonly timeout: number;
  /** For tests. */
  readonly run?: typeof runHook;
  warn(line: string): void;
}

const MAX_PARALLEL_COMMANDS = 4;
const MAX_QUEUED_EVENTS = 100;
/** Bounds how long `close` waits for running commands. */
const MAX_CLOSE_MS = 2000;

/** The event is on the command's stdin as JSON, and in its environment. */
export class ExecReceiver implements Receiver {
  readonly name = "exec";
  readonly #options: ExecOptions;
  readonly #queue = new BoundedQueue<OomkitEvent>({ capacity: MAX_QUEUED_EVENTS, drop: "oldest" });
  readonly #running = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  readonly #warned = new Set<string>();
  #sent = 0;
  #failed = 0;

  constructor(options: ExecOptions) {
    this.#options = options;
  }

  report(event: OomkitEvent): void {
    if (!this.#queue.push(event)) {
      this.#warnOnce(`${MAX_QUEUED_EVENTS} events are waiting, and the oldest are dropped`);
    }
    this.#startCommands();
  }

  counts(): ReceiverCounts {
    return {
      pending: this.#queue.size + this.#running.size,
      sent: this.#sent,
      dropped: this.#queue.dropped,
      failed: this.#failed,
    };
  }

  async close(): Promise<void> {
    const timer = setTimeout(
      () => this.#ending.abort("it was still running when oomkit stopped"),
      MAX_CLOSE_MS,
    );
    while (this.#running.size > 0) await Promise.all(this.#running);
    clearTimeout(timer);
    const { size } = this.#queue;
    if (size > 0) this.#options.warn(`--exec: oomkit stopped before it ran for ${size} events`);
    this.#queue.dropAll();
  }

  #startCommands(): void {
    while (this.#running.size < MAX_PARALLEL_COMMANDS && !this.#ending.signal.aborted) {
      const event = this.#queue.shift();
      if (event === undefined) return;
      const promise = this.#run(event).finally(() => {
        this.#running.delete(promise);
        this.#startCommands();
      });
      this.#running.add(promise);
    }
  }

  async #run(event: OomkitEvent): Promise<void> {
    const { command, timeout, run = runHook } = this.#options;
    const env = environmentOf(event);
    const result = await run(command, toJson(event), timeout, this.#ending.signal, env);
    if ("code" in result && result.code === 0) {
      this.#sent += 1;
      return;
    }
    this.#failed += 1;
    this.#queue.countDropped();
    this.#warnOnce("code" in result ? `it exited with ${result.code}` : result.failed);
  }

  #warnOnce(why: string): void {
    if (!this.#warned.has(why)) this.#options.warn(`--exec: ${why}`);
    this.#warned.add(why);
  }
}
