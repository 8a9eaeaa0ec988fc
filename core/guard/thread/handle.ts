/** The sentry's thread, as the main one sees it. */

import { OomkitError } from "../../errors.ts";
import { type EpollSet, openEpoll } from "../../kernel/epoll.ts";
import type { SampleRing } from "./sample_ring.ts";
import type { Command, Report } from "./protocol.ts";
import type { PolicySet } from "../policy.ts";

type Ready = Extract<Report, { type: "ready" }>;
export type CgroupReport = Exclude<Report, { type: "ready" | "stopped" | "failed" }>;

export interface MonitorThread {
  /** Filled here, waited for there. */
  readonly epoll: EpollSet;
  readonly ready: Promise<Ready>;
  /** Rejects when the thread ends by itself, or nobody can take what it reports. */
  readonly failed: Promise<never>;
  send(send: Command): void;
  /** How often it has turned. */
  beats(): number;
  /** Lets it tell what is left to tell, but not for long. */
  stop(): Promise<void>;
  close(): void;
}

const MAX_MS_TO_STOP = 2000;

export function startMonitorThread(
  policies: PolicySet,
  stateFolder: string,
  onReport: (report: CgroupReport) => void,
  samples?: SampleRing,
): MonitorThread {
  const epoll = openEpoll();
  const heartbeat = new Int32Array(new SharedArrayBuffer(4));
  const ready = Promise.withResolvers<Ready>();
  const stopped = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  // Asked for only once it is ready.
  failed.promise.catch(() => {});
  const worker = new Worker(new URL(workerScript(), import.meta.url), { type: "module" });
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
  const take = (report: CgroupReport) => {
    try {
      onReport(report);
    } catch (error) {
      // Thrown on from here it would end the process with everything as it was set.
      failed.reject(error);
    }
  };
  worker.onmessage = ({ data }: MessageEvent<Report>) => {
    if (data.type === "ready") ready.resolve(data);
    else if (data.type === "stopped") stopped.resolve();
    else if (data.type === "failed") fail(data.why);
    else take(data);
  };
  const send = (send: Command) => {
    worker.postMessage(send);
    // It waits in epoll_wait(2) and hears nothing.
    epoll.wake();
  };
  // Without a wake: it is not waiting in epoll_wait(2) yet, and each wake stands for one order that is to be taken there.
  const shared = { epoll: epoll.shared, heartbeat, samples };
  const begin: Command = { type: "begin", policies, stateFolder, ...shared };
  worker.postMessage(begin);
  return {
    epoll,
    ready: ready.promise,
    failed: failed.promise,
    send,
    beats: () => Atomics.load(heartbeat, 0),
    async stop() {
      send({ type: "stop" });
      const late = setTimeout(stopped.resolve, MAX_MS_TO_STOP);
      await stopped.promise;
      clearTimeout(late);
      worker.terminate();
    },
    close: epoll.close,
  };
}

/** Beside its source, and beside the file that it is bundled into. */
function workerScript(): string {
  return import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";
}
