/** The monitor thread, as seen from the main thread. */

import { OomkitError } from "../../errors.ts";
import { type EpollSet, openEpoll } from "../../kernel/epoll.ts";
import { withDeadline } from "../../timing.ts";
import type { PolicySet } from "../policy.ts";
import type { Command, Report } from "./protocol.ts";
import type { SampleRing } from "./sample_ring.ts";

type Ready = Extract<Report, { type: "ready" }>;
export type CgroupReport = Exclude<Report, { type: "ready" | "stopped" | "failed" }>;

export interface MonitorThread {
  /** The main thread adds to it, the monitor thread waits for it. */
  readonly epoll: EpollSet;
  readonly ready: Promise<Ready>;
  /** Rejects with an {@link OomkitError} when the thread fails, or with the error of `onReport`. */
  readonly failed: Promise<never>;
  send(command: Command): void;
  /** How many turns the loop has made. */
  beats(): number;
  /** Waits for the last reports, at most 2 s. */
  stop(): Promise<void>;
  close(): void;
}

const MAX_MS_TO_STOP = 2000;

export function startMonitorThread(
  policies: PolicySet,
  stateDirectory: string,
  onReport: (report: CgroupReport) => void,
  samples?: SampleRing,
): MonitorThread {
  const epoll = openEpoll();
  const heartbeat = new Int32Array(new SharedArrayBuffer(4));
  const ready = Promise.withResolvers<Ready>();
  const stopped = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  // The caller waits for it only once the thread is ready.
  failed.promise.catch(() => {});
  const worker = new Worker(new URL(workerScript(), import.meta.url), { type: "module" });
  const fail = (reason: string) => {
    const error = new OomkitError(`the monitor thread failed: ${reason}`);
    ready.reject(error);
    failed.reject(error);
    stopped.resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(event.message);
  };
  const handle = (report: CgroupReport) => {
    try {
      onReport(report);
    } catch (error) {
      // If it were thrown from here, the process would exit without restoring any settings.
      failed.reject(error);
    }
  };
  worker.onmessage = ({ data }: MessageEvent<Report>) => {
    if (data.type === "ready") ready.resolve(data);
    else if (data.type === "stopped") stopped.resolve();
    else if (data.type === "failed") fail(data.reason);
    else handle(data);
  };
  const send = (command: Command) => {
    worker.postMessage(command);
    // In epoll_wait(2) the thread receives no message.
    epoll.wake();
  };
  // Without a wake-up: the thread does not wait in epoll_wait(2) yet, where each wake-up stands for one command.
  const shared = { epoll: epoll.shared, heartbeat, samples };
  const begin: Command = { type: "begin", policies, stateDirectory, ...shared };
  worker.postMessage(begin);
  return {
    epoll,
    ready: ready.promise,
    failed: failed.promise,
    send,
    beats: () => Atomics.load(heartbeat, 0),
    async stop() {
      send({ type: "stop" });
      await withDeadline(MAX_MS_TO_STOP, stopped.promise, () => {});
      worker.terminate();
    },
    close: epoll.close,
  };
}

/** Next to its source, or next to the bundle (scripts/compile.ts). */
function workerScript(): string {
  return import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";
}
