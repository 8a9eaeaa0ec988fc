/**
 * The monitor thread. It blocks in epoll_wait(2), in which no message arrives: it takes one command for each time that the main
 * thread wakes it.
 */

import { ownSuspensionLog } from "../../control/journal.ts";
import { joinEpoll } from "../../kernel/epoll.ts";
import { setNice, setSchedFifo } from "../../kernel/scheduling.ts";
import { recordingOrigin } from "../../record/clock.ts";
import { singlePolicy } from "../policy.ts";
import { MonitorLoop } from "./loop.ts";
import type { Command, Report } from "./protocol.ts";
import { SampleWriter } from "./sample_ring.ts";
import { WARM_UP_POLICY, warmUp } from "./warmup.ts";

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

async function nextCommand(): Promise<Command> {
  while (inbox.length === 0) await new Promise<void>((resolve) => arrived = resolve);
  return inbox.shift()!;
}

async function serve(): Promise<void> {
  const begin = await nextCommand();
  if (begin.type !== "begin") throw new Error(`expected the command begin, got ${begin.type}`);
  const epoll = joinEpoll(begin.epoll);
  let post = (_: Report) => {};
  const suspensions = ownSuspensionLog(begin.stateDirectory);
  // The reader leaves out the samples of the warm-up, because it knows no cgroup of their id.
  const samples = begin.samples && new SampleWriter(begin.samples, recordingOrigin());
  const report = (message: Report) => post(message);
  const loop = new MonitorLoop(singlePolicy(WARM_UP_POLICY), epoll, report, suspensions, samples);
  const warmedUp = warmUp(loop, epoll);
  loop.reload(begin.policies);
  post = (message) => thread.postMessage(message);
  const scheduling = raisePriority();
  if (scheduling === REALTIME) loop.enableCpuFollowing();
  post({ type: "ready", scheduling, warmedUp });
  for (;;) {
    Atomics.add(begin.heartbeat, 0, 1);
    for (let woken = loop.runOnce(); woken > 0; woken--) {
      const command = await nextCommand();
      switch (command.type) {
        case "policies":
          loop.reload(command.policies);
          break;
        case "add":
          loop.add(command.spec);
          break;
        case "update_settings":
          loop.updateSettings(command.id, command.settings);
          break;
        case "armed":
          loop.updateNotifications(command.id, command.notifications);
          break;
        case "remove":
          loop.remove(command.id);
          break;
        case "leave_to_kernel":
          loop.leaveToKernel(command.id);
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

/** @returns how this thread is scheduled from now on. */
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
  // If it were uncaught, its stack would be printed over the message of the main thread.
  thread.postMessage({ type: "failed", reason: String(error) });
}
