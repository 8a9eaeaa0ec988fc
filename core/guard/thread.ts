/** The sentry's thread, as the main one sees it. */

import { OomkitError } from "../errors.ts";
import { type EpollSet, openEpoll } from "../kernel/epoll.ts";
import type { SharedLooks } from "./look_ring.ts";
import type { Message, Order } from "./messages.ts";
import type { Plans } from "./plan.ts";

type Ready = Extract<Message, { say: "ready" }>;
export type Report = Exclude<Message, { say: "ready" | "stopped" | "failed" }>;

export interface SentryThread {
  /** Filled here, waited for there. */
  readonly epoll: EpollSet;
  readonly ready: Promise<Ready>;
  /** Rejects when the thread ends by itself, or nobody can take what it reports. */
  readonly failed: Promise<never>;
  order(order: Order): void;
  /** How often it has turned. */
  beats(): number;
  /** Lets it tell what is left to tell, but not for long. */
  stop(): Promise<void>;
  close(): void;
}

const STOP_WITHIN_MS = 2000;

export function startSentryThread(
  plans: Plans,
  stateFolder: string,
  onReport: (report: Report) => void,
  looks?: SharedLooks,
): SentryThread {
  const epoll = openEpoll();
  const heartbeat = new Int32Array(new SharedArrayBuffer(4));
  const ready = Promise.withResolvers<Ready>();
  const stopped = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  // Asked for only once it is ready.
  failed.promise.catch(() => {});
  const worker = new Worker(new URL(sentryScript(), import.meta.url), { type: "module" });
  const fail = (why: string) => {
    const error = new OomkitError(`the sentry failed: ${why}`);
    ready.reject(error);
    failed.reject(error);
    stopped.resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(event.message);
  };
  const take = (report: Report) => {
    try {
      onReport(report);
    } catch (error) {
      // Thrown on from here it would end the process with everything as it was set.
      failed.reject(error);
    }
  };
  worker.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.say === "ready") ready.resolve(data);
    else if (data.say === "stopped") stopped.resolve();
    else if (data.say === "failed") fail(data.why);
    else take(data);
  };
  const order = (order: Order) => {
    worker.postMessage(order);
    // It waits in epoll_wait(2) and hears nothing.
    epoll.wake();
  };
  // Without a wake: it is not waiting in epoll_wait(2) yet, and each wake stands for one order that is to be taken there.
  const shared = { epoll: epoll.shared, heartbeat, looks };
  const begin: Order = { order: "begin", plans, stateFolder, ...shared };
  worker.postMessage(begin);
  return {
    epoll,
    ready: ready.promise,
    failed: failed.promise,
    order,
    beats: () => Atomics.load(heartbeat, 0),
    async stop() {
      order({ order: "stop" });
      const late = setTimeout(stopped.resolve, STOP_WITHIN_MS);
      await stopped.promise;
      clearTimeout(late);
      worker.terminate();
    },
    close: epoll.close,
  };
}

/** Beside its source, and beside the file that it is bundled into. */
function sentryScript(): string {
  return import.meta.url.endsWith(".ts") ? "./sentry_worker.ts" : "./sentry_worker.js";
}
