/**
 * The thread of the sentry. It waits in epoll_wait(2) itself: a message is taken only when the main thread has woken it, one
 * for each wake.
 */

import { ownSuspensionLog } from "../../control/journal.ts";
import { joinEpoll } from "../../kernel/epoll.ts";
import { setNice, setSchedFifo } from "../../kernel/scheduling.ts";
import { recordingOrigin } from "../../record/clock.ts";
import { createSampleWriter } from "./sample_ring.ts";
import type { Command, Report } from "./protocol.ts";
import { singlePolicy } from "../policy.ts";
import { WARM_UP_POLICY, warmUp } from "./warmup.ts";
import { createMonitorLoop } from "./loop.ts";

const thread = self as unknown as {
  onmessage: (event: MessageEvent<Command>) => void;
  postMessage(message: Report): void;
  close(): void;
};

const inbox: Command[] = [];
let arrived = () => {};
thread.onmessage = ({ data }) => {
  inbox.push(data);
  arrived();
};

async function nextOrder(): Promise<Command> {
  while (inbox.length === 0) await new Promise<void>((resolve) => arrived = resolve);
  return inbox.shift()!;
}

async function serve(): Promise<void> {
  const begin = await nextOrder();
  if (begin.type !== "begin") throw new Error(`expected begin, got ${begin.type}`);
  const epoll = joinEpoll(begin.epoll);
  let post = (_: Report) => {};
  const suspensions = ownSuspensionLog(begin.stateFolder);
  // The rehearsal's own are left out by who takes them: no ward of his has their number.
  const samples = begin.samples && createSampleWriter(begin.samples, recordingOrigin());
  const report = (message: Report) => post(message);
  const loop = createMonitorLoop(singlePolicy(WARM_UP_POLICY), epoll, report, suspensions, samples);
  const warmedUp = warmUp(loop, epoll);
  loop.reload(begin.policies);
  post = (message) => thread.postMessage(message);
  const scheduling = raisePriority();
  if (scheduling === REALTIME) loop.enableCpuFollowing();
  post({ type: "ready", scheduling, warmedUp });
  for (;;) {
    Atomics.add(begin.heartbeat, 0, 1);
    for (let woken = loop.runOnce(); woken > 0; woken--) {
      const send = await nextOrder();
      switch (send.type) {
        case "policies":
          loop.reload(send.policies);
          break;
        case "add":
          loop.add(send.state);
          break;
        case "update_settings":
          loop.updateSettings(send.id, send.settings);
          break;
        case "remove":
          loop.remove(send.id);
          break;
        case "stop":
          loop.close();
          post({ type: "stopped" });
          return thread.close();
      }
    }
  }
}

const REALTIME = "SCHED_FIFO";

/** @returns how soon this thread runs from now on when it is woken. */
function raisePriority(): string {
  const refused = setSchedFifo();
  if (refused === undefined) return REALTIME;
  return setNice() === undefined
    ? `nice -20 (SCHED_FIFO: ${refused})`
    : `no priority (SCHED_FIFO: ${refused})`;
}

try {
  await serve();
} catch (error) {
  // Uncaught it would be printed here, with its stack, over whatever the main thread has to say of it.
  thread.postMessage({ type: "failed", why: String(error) });
}
