/** Runs the user's command once per event. A command that fails is not run again for that event. */

import { BoundedQueue } from "../bounded_queue.ts";
import { failureOf, runHook } from "../control/hook.ts";
import { environmentOf } from "../events/environment.ts";
import { isPriorityEvent, type OomkitEvent } from "../events/event.ts";
import { toJson } from "../events/json.ts";
import {
  DropCounts,
  MAX_QUEUED_PRIORITY_EVENTS,
  totalOf,
  type TypeCounts,
  typesText,
} from "./dropped_events.ts";
import type { Receiver, ReceiverCounts } from "./receiver.ts";

export interface ExecOptions {
  readonly command: string;
  /** Milliseconds. */
  readonly timeout: number;
  /** For tests. */
  readonly run?: typeof runHook;
  warn(line: string): void;
}

/** Of each lane: four slow commands for other events must not delay the command for a kill. */
const MAX_PARALLEL_COMMANDS = 4;
const MAX_QUEUED_EVENTS = 100;
/** Bounds how long `close` waits for running commands. */
const MAX_CLOSE_MS = 2000;

/** Events that wait for each other, and not for those of the other lane. */
interface Lane {
  readonly capacity: number;
  readonly queue: BoundedQueue<OomkitEvent>;
  running: number;
}

/** The event is on the command's stdin as JSON, and in its environment. */
export class ExecReceiver implements Receiver {
  readonly name = "exec";
  readonly #options: ExecOptions;
  readonly #priority = this.#makeLane(MAX_QUEUED_PRIORITY_EVENTS);
  readonly #other = this.#makeLane(MAX_QUEUED_EVENTS);
  readonly #drops = new DropCounts();
  readonly #running = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  readonly #warned = new Set<string>();
  #sent = 0;
  #failed = 0;

  constructor(options: ExecOptions) {
    this.#options = options;
  }

  report(event: OomkitEvent): void {
    const lane = isPriorityEvent(event) ? this.#priority : this.#other;
    if (!lane.queue.push(event)) {
      this.#warnOnce(`${lane.capacity} events are waiting, and the oldest are dropped`);
    }
    this.#startCommands(lane);
  }

  counts(): ReceiverCounts {
    return {
      pending: this.#priority.queue.size + this.#other.queue.size + this.#running.size,
      sent: this.#sent,
      dropped: totalOf(this.#drops.all),
      failed: this.#failed,
    };
  }

  droppedByType(): TypeCounts {
    return this.#drops.all;
  }

  async close(): Promise<void> {
    const timer = setTimeout(
      () => this.#ending.abort("it was still running when oomkit stopped"),
      MAX_CLOSE_MS,
    );
    while (this.#running.size > 0) await Promise.all(this.#running);
    clearTimeout(timer);
    this.#warnOfDrops("it did not run for", ": too many were waiting");
    for (const { queue } of [this.#priority, this.#other]) queue.dropAll();
    this.#warnOfDrops("oomkit stopped before it ran for", "");
  }

  #makeLane(capacity: number): Lane {
    const onDrop = ({ type }: OomkitEvent) => this.#drops.add(type);
    // An OOM loop in one cgroup must not delay the kill in another.
    const group = ({ cgroup }: OomkitEvent) => cgroup;
    const queue = new BoundedQueue<OomkitEvent>({ capacity, drop: "oldest", group, onDrop });
    return { capacity, queue, running: 0 };
  }

  #warnOfDrops(what: string, why: string): void {
    const dropped = this.#drops.takeUnreported();
    const count = totalOf(dropped);
    const events = count === 1 ? "1 event" : `${count} events`;
    if (count > 0) this.#warn(`${what} ${events} (${typesText(dropped)})${why}`);
  }

  #startCommands(lane: Lane): void {
    while (lane.running < MAX_PARALLEL_COMMANDS && !this.#ending.signal.aborted) {
      const event = lane.queue.shift();
      if (event === undefined) return;
      lane.running += 1;
      const promise = this.#run(event).finally(() => {
        lane.running -= 1;
        this.#running.delete(promise);
        this.#startCommands(lane);
      });
      this.#running.add(promise);
    }
  }

  async #run(event: OomkitEvent): Promise<void> {
    const { command, timeout, run = runHook } = this.#options;
    const env = environmentOf(event);
    const result = await run(command, toJson(event), timeout, this.#ending.signal, env);
    const failure = failureOf(result);
    if (failure === undefined) {
      this.#sent += 1;
      return;
    }
    this.#failed += 1;
    this.#drops.add(event.type, 1, true);
    this.#warnOnce(failure);
  }

  #warnOnce(why: string): void {
    if (!this.#warned.has(why)) this.#warn(why);
    this.#warned.add(why);
  }

  #warn(what: string): void {
    this.#options.warn(`--exec ${this.#options.command}: ${what}`);
  }
}
