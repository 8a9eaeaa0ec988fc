/**
 * Events of oomkit as Events of Kubernetes: on the pod when it is known, else on the Node. The first of its kind on an object
 * is posted at once; those that repeat it raise its count, every few seconds at most.
 */

import { type Attempt, type DeliveryOptions, openDelivery } from "../delivery.ts";
import type { OomkitEvent } from "../../events/event.ts";
import type { Receiver } from "../receiver.ts";
import type { Answer, KubernetesApi } from "./api.ts";
import { kindOf } from "./event_object.ts";
import { podObject, wholeSeconds } from "./event_object.ts";
import { openEventPoster, type PostedEvent } from "./event_post.ts";
import { openRateLimit } from "./event_post.ts";
import type { Pods } from "./pods.ts";
import { createTallies } from "./event_post.ts";

export interface KubernetesReceiverOptions {
  readonly api: KubernetesApi;
  /** Absent: everything is told of on the Node. */
  readonly pods?: Pods;
  /** The Node's name. */
  readonly node: string;
  /** What happened, in one line for people, without when and where. */
  describe(event: OomkitEvent): string;
  /**
   * Makes the Events oom-guard's: its JSON for what it has one for (see `oomGuardEvent`), all of them on the Node, and it as
   * their source.
   */
  readonly oomGuard?: (event: OomkitEvent, stat: string) => string | undefined;
  warn(line: string): void;
  /** Milliseconds between two counts told of one object. */
  readonly patchEvery?: number;
  /** Milliseconds of quiet after which a repetition is news again. */
  readonly window?: number;
  /** Objects, reasons and kinds that are counted at once. */
  readonly most?: number;
  /** Requests that may go at once, and per second from then on. */
  readonly burst?: number;
  readonly perSecond?: number;
  /** Milliseconds for what is left in the end. */
  readonly closeWithin?: number;
  /** For tests. */
  readonly queue?: Pick<DeliveryOptions<unknown>, "sleep">;
}

const PATCH_EVERY_MS = 10_000;
/** As client-go's correlator (tools/record/events_cache.go). */
const WINDOW_MS = 600_000;
/** A node has some hundred pods. */
const MAX_TALLIES = 500;
/** client-go's events of one object that may go at once, and its requests per second: one of a thousand nodes. */
const BURST = 25;
const PER_SECOND = 5;
/** It may be that the rule is being written; but what is forbidden for good must not hold up the rest for long. */
const FORBIDDEN_TRIES = 3;
/** An Event for a namespace that is not there any more, or one that the server will never take. */
const FINAL: readonly Answer["is"][] = ["missing", "terminating", "refused"];
const FULL_TOLD_EVERY_MS = 60_000;

interface Tally extends PostedEvent {
  readonly key: string;
  /** Of `count`, what the server knows. */
  sent: number;
  /** Of performance.now(). */
  countedAt: number;
  sentAt: number;
  isQueued: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  forbidden: number;
}

/** Its counts are of events; one request may tell of many. */
export function openKubernetesReceiver(options: KubernetesReceiverOptions): Receiver {
  const { api, node, describe, oomGuard, warn, closeWithin } = options;
  const { patchEvery = PATCH_EVERY_MS, window = WINDOW_MS, most = MAX_TALLIES } = options;
  const { burst = BURST, perSecond = PER_SECOND } = options;
  const poster = oomGuard === undefined
    ? openEventPoster(api, options.pods, node, "oomkit")
    : openEventPoster(api, undefined, node, "oom-guard");
  const tallies = createTallies<Tally>(most);
  const pace = openRateLimit(burst, perSecond);
  const count = { sent: 0, dropped: 0, pending: 0 };
  let isClosing = false;
  let fullToldAt = -Infinity;

  const deliver = async (tally: Tally, ending: AbortSignal): Promise<Attempt> => {
    await pace.wait(ending);
    const { answer, told } = await poster.send(tally, ending);
    if (answer.is === "ok") {
      settled(tally, told);
      return { is: "done" };
    }
    if (answer.is === "forbidden") tally.forbidden += 1;
    if (tally.forbidden >= FORBIDDEN_TRIES || FINAL.includes(answer.is)) {
      abandon(tally);
      return { is: "never", why: answer.why };
    }
    const { why, after } = answer;
    return { is: "later", why, ...(after !== undefined && { after }) };
  };

  const delivery = openDelivery<Tally>({
    what: `report events to ${api.url}`,
    deliver,
    givenUp: (tally) => abandon(tally),
    warn,
    // Each tally is in the queue once at most, so that it never has to drop one.
    most,
    ...options.queue,
    ...(closeWithin !== undefined && { closeWithin }),
  });

  const schedule = (tally: Tally) => {
    if (tally.isQueued || tally.timer !== undefined) return;
    const due = tally.sentAt + patchEvery - performance.now();
    if (due <= 0 || isClosing) return enqueue(tally);
    tally.timer = setTimeout(enqueue, due, tally);
  };

  const enqueue = (tally: Tally) => {
    clearTimeout(tally.timer);
    tally.timer = undefined;
    tally.isQueued = true;
    delivery.send(tally);
  };

  const settled = (tally: Tally, told: number) => {
    count.sent += told - tally.sent;
    count.pending -= told - tally.sent;
    tally.sent = told;
    tally.sentAt = performance.now();
    tally.isQueued = false;
    tally.forbidden = 0;
    if (tally.count > told) schedule(tally);
  };

  /** What it has not told is lost. */
  const forget = (tally: Tally) => {
    clearTimeout(tally.timer);
    tally.timer = undefined;
    const lost = tally.count - tally.sent;
    count.dropped += lost;
    count.pending -= lost;
    tally.sent = tally.count;
  };

  const abandon = (tally: Tally) => {
    tally.isQueued = false;
    if (tallies.get(tally.key) === tally) tallies.remove(tally.key);
    forget(tally);
  };

  const refuse = () => {
    count.dropped += 1;
    const now = performance.now();
    if (now - fullToldAt < FULL_TOLD_EVERY_MS) return;
    fullToldAt = now;
    warn(`events of ${most} kinds and objects wait for ${api.url}, and more are dropped`);
  };

  const begin = (key: string, reason: string, event: OomkitEvent): Tally => {
    const pod = poster.podOf(event);
    const container = pod?.containers.get(event.container_id ?? "");
    const at = wholeSeconds(event.ts);
    return {
      key,
      reason,
      podUid: event.pod_uid,
      containerId: event.container_id,
      involved: pod && podObject(pod, container?.fieldPath),
      name: undefined,
      isPosted: false,
      cgroup: event.cgroup,
      message: "",
      isJson: false,
      count: 0,
      sent: 0,
      first: at,
      last: at,
      countedAt: performance.now(),
      sentAt: -Infinity,
      isQueued: false,
      timer: undefined,
      forbidden: 0,
    };
  };

  /** One for each object, container and kind; a container that was started again is the same. */
  const keyOf = (event: OomkitEvent, reason: string, pattern: string) => {
    const pod = poster.podOf(event);
    const container = pod?.containers.get(event.container_id ?? "")?.fieldPath;
    const where = pod?.uid ?? event.pod_uid ?? event.cgroup;
    return [where, container ?? "", reason, pattern].join("\n");
  };

  return {
    name: "kubernetes",
    report(event, stat) {
      const kind = kindOf(event);
      if (kind === undefined) return;
      if (isClosing) return void (count.dropped += 1);
      const key = keyOf(event, kind.reason, kind.pattern);
      const now = performance.now();
      let tally = tallies.get(key);
      if (tally !== undefined && !tally.isQueued && now - tally.countedAt > window) {
        forget(tally);
        tallies.remove(key);
        tally = undefined;
      }
      if (tally === undefined) {
        tally = begin(key, kind.reason, event);
        if (!tallies.add(key, tally)) return refuse();
      }
      const json = oomGuard?.(event, stat);
      const last = wholeSeconds(event.ts);
      tally.message = json ?? describe(event);
      tally.isJson = json !== undefined;
      tally.cgroup = event.cgroup;
      tally.count += 1;
      tally.countedAt = now;
      if (last > tally.last) tally.last = last;
      count.pending += 1;
      tallies.touch(key, tally);
      schedule(tally);
    },
    counts: () => ({ ...count, failed: delivery.counts().failed }),
    async close() {
      isClosing = true;
      for (const tally of tallies.all()) if (tally.timer !== undefined) enqueue(tally);
      await delivery.close();
      poster.end();
      for (const tally of tallies.all()) forget(tally);
    },
  };
}
