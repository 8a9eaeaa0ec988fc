/**
 * The thread of the sentry. It waits in epoll_wait(2) itself: a message is taken only when the main thread has woken it, one
 * for each wake.
 */

import { ownPauses } from "../act/journal.ts";
import { joinEpoll } from "../kernel/epoll.ts";
import { goFirst, goRealtime } from "../kernel/scheduling.ts";
import { recordingOrigin } from "../record/clock.ts";
import { putLooks } from "./look_ring.ts";
import type { Message, Order } from "./messages.ts";
import { onePlan } from "./plan.ts";
import { rehearse, REHEARSED } from "./rehearsal.ts";
import { createSentry } from "./sentry.ts";

const thread = self as unknown as {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(message: Message): void;
  close(): void;
};

const inbox: Order[] = [];
let arrived = () => {};
thread.onmessage = ({ data }) => {
  inbox.push(data);
  arrived();
};

async function nextOrder(): Promise<Order> {
  while (inbox.length === 0) await new Promise<void>((resolve) => arrived = resolve);
  return inbox.shift()!;
}

async function serve(): Promise<void> {
  const begin = await nextOrder();
  if (begin.order !== "begin") throw new Error(`expected begin, got ${begin.order}`);
  const epoll = joinEpoll(begin.epoll);
  let post = (_: Message) => {};
  const pauses = ownPauses(begin.stateFolder);
  // The rehearsal's own are left out by who takes them: no ward of his has their number.
  const looks = begin.looks && putLooks(begin.looks, recordingOrigin());
  const say = (message: Message) => post(message);
  const sentry = createSentry(onePlan(REHEARSED), epoll, say, pauses, looks);
  const rehearsed = rehearse(sentry, epoll);
  sentry.assume(begin.plans);
  post = (message) => thread.postMessage(message);
  const scheduling = hurry();
  if (scheduling === REALTIME) sentry.goBeside();
  post({ say: "ready", scheduling, rehearsed });
  for (;;) {
    Atomics.add(begin.heartbeat, 0, 1);
    for (let woken = sentry.turn(); woken > 0; woken--) {
      const order = await nextOrder();
      switch (order.order) {
        case "plans":
          sentry.assume(order.plans);
          break;
        case "adopt":
          sentry.adopt(order.ward);
          break;
        case "rebound":
          sentry.rebound(order.id, order.terms);
          break;
        case "drop":
          sentry.drop(order.id);
          break;
        case "stop":
          sentry.close();
          post({ say: "stopped" });
          return thread.close();
      }
    }
  }
}

const REALTIME = "SCHED_FIFO";

/** @returns how soon this thread runs from now on when it is woken. */
function hurry(): string {
  const refused = goRealtime();
  if (refused === undefined) return REALTIME;
  return goFirst() === undefined
    ? `nice -20 (SCHED_FIFO: ${refused})`
    : `no priority (SCHED_FIFO: ${refused})`;
}

try {
  await serve();
} catch (error) {
  // Uncaught it would be printed here, with its stack, over whatever the main thread has to say of it.
  thread.postMessage({ say: "failed", why: String(error) });
}
