/**
 * Reports oomkit's events as Kubernetes Events: on the pod when it is known, else on the Node. The first of its kind on an object
 * is posted immediately; repetitions raise its count: every few seconds at most, and only
 * as often as the budgets of the object and of the node allow.
 */

import { type EventType, hasPriority, type OomkitEvent } from "../../events/event.ts";
import { type Attempt, Delivery, type DeliveryOptions } from "../delivery.ts";
import { DropCounts, totalOf, type TypeCounts, typesText } from "../dropped_events.ts";
import type { Receiver, ReceiverCounts } from "../receiver.ts";
import type { Answer, KubernetesApi } from "./api.ts";
import { ObjectBudgets, requestBudget } from "./budget.ts";
import {
  type EventContent,
  type EventKind,
  eventNames,
  eventObject,
  fitMessage,
  type Involved,
  kindOf,
  nodeObject,
  podObject,
  wholeSeconds,
} from "./event_object.ts";
import type { Pod, PodWatcher } from "./pods.ts";

export interface KubernetesReceiverOptions {
  readonly api: KubernetesApi;
  /** Absent: all Events are on the Node. */
  readonly pods?: PodWatcher;
  /** Name of the Node. */
  readonly node: string;
  /** Also the level `warn`. */
  readonly withWarn?: boolean;
  /** What happened, in one line of text without time and place. */
  describe(event: OomkitEvent): string;
  /**
   * Makes the Events like oom-guard's: its JSON as the message where it has an event (see `oomGuardEvent`), all of them on the
   * Node, with oom-guard as their source.
   */
  readonly oomGuard?: (event: OomkitEvent, stat: string) => string | undefined;
  warn(line: string): void;
  /** For tests, as is the next. */
  readonly limits?: Partial<typeof LIMITS>;
  readonly queue?: Pick<DeliveryOptions<unknown>, "sleep" | "closeWithin">;
}

const LIMITS = {
  msBetweenPatches: 10_000,
  /** After this quiet time a repetition is a new Event, as in client-go's correlator (tools/record/events_cache.go). */
  repetitionWindowMs: 600_000,
  /** A node has some hundred pods. Series of events with priority have the same number for themselves. */
  maxSeries: 500,
  /** Requests for one object, of all its series: client-go's defaults, 25 in a row, then one per five minutes. */
  objectBurst: 25,
  msPerObjectRequest: 300_000,
  /**
   * Requests of this node for kills and actions, and the same for others: an estimate. 2,000 nodes on which every container is killed
   * in a loop send 400 a second.
   */
  requestBurst: 100,
  msPerRequest: 10_000,
};
/** The missing RBAC rule may be about to be created, but a lasting refusal must not block the rest for long. */
const MAX_FORBIDDEN_ATTEMPTS = 3;
/** The namespace no longer exists, or the server will never accept this Event. */
const PERMANENT_FAILURES: readonly Answer["is"][] = ["missing", "terminating", "refused"];
const MIN_MS_BETWEEN_FULL_WARNINGS = 60_000;
/** What a server accepts from newer clients. */
const MAX_MESSAGE_BYTES = 1023;
/** Events about pods wait once, at the start, until the pods are known. */
const MAX_MS_WAITING_FOR_PODS = 10_000;

/** Events that repeat each other: one Event with a count. */
class EventSeries implements EventContent {
  /** Of its events: those of a series are of one type. */
  readonly type: EventType;
  readonly podUid: string | null;
  readonly containerId: string | null;
  readonly first: string;
  last: string;
  message = "";
  /** The message is JSON, which must not be shortened. */
  isJson = false;
  /** Of the latest occurrence. */
  cgroup = "";
  count = 0;
  /** The part of `count` that the server knows. */
  sent = 0;
  /** Of the Event; set by the first attempt. */
  name: string | undefined;
  isPosted = false;
  /** performance.now() of the latest occurrence, and of the latest request. */
  countedAt = 0;
  sentAt = -Infinity;
  isQueued = false;
  timer: ReturnType<typeof setTimeout> | undefined;
  forbiddenAttempts = 0;

  constructor(
    readonly key: string,
    readonly reason: string,
    /** What its budget is of: the pod, else the cgroup. */
    readonly object: string,
    { type, ts, pod_uid, container_id }: OomkitEvent,
    public involved: Involved | undefined,
  ) {
    this.type = type;
    this.podUid = pod_uid;
    this.containerId = container_id;
    this.first = this.last = wholeSeconds(ts);
  }
}

/**
 * Its counts are of events, of which one request may report many. Its bound is on series, not on events: a repetition needs no
 * room, and a series is only dropped once the server knows its count.
 */
export class KubernetesReceiver implements Receiver {
  readonly name = "kubernetes";
  readonly #options: KubernetesReceiverOptions;
  readonly #poster: EventPoster;
  readonly #delivery: Delivery<EventSeries>;
  /** Of events with priority, and of the others. */
  readonly #requestBudgets: Readonly<
    Record<"priority" | "other", ReturnType<typeof requestBudget>>
  >;
  readonly #objectBudgets: ObjectBudgets;
  /** By key, in the order of their latest occurrence. */
  readonly #series = new Map<string, EventSeries>();
  readonly #limits: typeof LIMITS;
  #sent = 0;
  readonly #drops = new DropCounts();
  #pending = 0;
  #isClosing = false;
  #warnedFullAt = -Infinity;

  constructor(options: KubernetesReceiverOptions) {
    const { api, node, pods, oomGuard, warn } = options;
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#poster = oomGuard === undefined
      ? new EventPoster(api, pods, node, "oomkit")
      : new EventPoster(api, undefined, node, "oom-guard");
    const { requestBurst, msPerRequest, objectBurst, msPerObjectRequest } = this.#limits;
    this.#requestBudgets = {
      priority: requestBudget(requestBurst, msPerRequest),
      other: requestBudget(requestBurst, msPerRequest),
    };
    this.#objectBudgets = new ObjectBudgets(objectBurst, msPerObjectRequest);
    this.#delivery = new Delivery({
      what: `report events to ${api.url}`,
      deliver: (series, ending) => this.#deliver(series, ending),
      onRejected: (series) => this.#giveUp(series),
      warn,
      // A series is in the queue once at most, so the queue never drops one.
      maxQueued: this.#limits.maxSeries,
      maxQueuedPriority: this.#limits.maxSeries,
      ...options.queue,
    });
  }

  report(event: OomkitEvent, stat: string): void {
    const kind = kindOf(event, this.#options.withWarn);
    if (kind === undefined) return;
    if (this.#isClosing) return this.#drops.add(event.type, 1, true);
    const series = this.#seriesOf(event, kind);
    if (series === undefined) return this.#dropForFullTable(event.type);
    const json = this.#options.oomGuard?.(event, stat);
    const last = wholeSeconds(event.ts);
    series.message = json ?? this.#options.describe(event);
    series.isJson = json !== undefined;
    series.cgroup = event.cgroup;
    series.count += 1;
    series.countedAt = performance.now();
    if (last > series.last) series.last = last;
    this.#pending += 1;
    this.#series.delete(series.key);
    this.#series.set(series.key, series);
    this.#schedule(series);
  }

  counts(): ReceiverCounts {
    return {
      pending: this.#pending,
      sent: this.#sent,
      dropped: totalOf(this.#drops.all),
      failed: this.#delivery.counts().failed,
    };
  }

  droppedByType(): TypeCounts {
    return this.#drops.all;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    for (const series of this.#series.values()) {
      if (series.timer !== undefined) this.#enqueue(series);
    }
    await this.#delivery.close();
    this.#poster.stopWaiting();
    for (const series of this.#series.values()) this.#dropUnsent(series);
    const dropped = this.#drops.takeUnreported();
    if (dropped.size === 0) return;
    const { api, warn } = this.#options;
    warn(`could not report events to ${api.url}: no room for ${typesText(dropped)}`);
  }

  /** The series that the event belongs to, or a new one; `undefined` when there is no room. */
  #seriesOf(event: OomkitEvent, { reason, pattern }: EventKind): EventSeries | undefined {
    const pod = this.#poster.podOf(event.pod_uid);
    const fieldPath = pod?.containers.get(event.container_id ?? "")?.fieldPath;
    const object = pod?.uid ?? event.pod_uid ?? event.cgroup;
    // By the container's name: a restarted container continues its series.
    const key = [object, fieldPath ?? "", reason, pattern].join("\n");
    const known = this.#series.get(key);
    if (known !== undefined) {
      const quietMs = performance.now() - known.countedAt;
      if (known.isQueued || quietMs <= this.#limits.repetitionWindowMs) return known;
      this.#dropUnsent(known);
      this.#series.delete(key);
    }
    if (!this.#makeRoom(hasPriority(event.type))) return undefined;
    return new EventSeries(key, reason, object, event, pod && podObject(pod, fieldPath));
  }

  /** Removes the series of this lane that was quiet for longest and is fully sent; false when none is. */
  #makeRoom(isPriority: boolean): boolean {
    const lane = [...this.#series.values()].filter(({ type }) => hasPriority(type) === isPriority);
    if (lane.length < this.#limits.maxSeries) return true;
    const sent = lane.find((series) => series.count === series.sent);
    return sent !== undefined && this.#series.delete(sent.key);
  }

  #schedule(series: EventSeries): void {
    if (series.isQueued || series.timer !== undefined) return;
    const due = Math.max(
      series.sentAt + this.#limits.msBetweenPatches - performance.now(),
      this.#objectBudgets.msUntilRequest(series.object),
    );
    if (due <= 0 || this.#isClosing) return this.#enqueue(series);
    series.timer = setTimeout(() => {
      series.timer = undefined;
      // Another series of the object may have used the budget meanwhile.
      this.#schedule(series);
    }, Math.ceil(due));
  }

  #enqueue(series: EventSeries): void {
    clearTimeout(series.timer);
    series.timer = undefined;
    series.isQueued = true;
    this.#objectBudgets.take(series.object);
    this.#delivery.send(series, series.type);
  }

  async #deliver(series: EventSeries, ending: AbortSignal): Promise<Attempt> {
    await this.#requestBudgets[hasPriority(series.type) ? "priority" : "other"](ending);
    const { answer, sentCount } = await this.#poster.send(series, ending);
    if (answer.is === "ok") {
      this.#markSent(series, sentCount);
      return { is: "done" };
    }
    if (answer.is === "forbidden") series.forbiddenAttempts += 1;
    const isPermanent = series.forbiddenAttempts >= MAX_FORBIDDEN_ATTEMPTS ||
      PERMANENT_FAILURES.includes(answer.is);
    if (isPermanent) {
      this.#giveUp(series);
      return { is: "never", why: answer.why };
    }
    return { ...answer, is: "later" };
  }

  #markSent(series: EventSeries, sentCount: number): void {
    this.#sent += sentCount - series.sent;
    this.#pending -= sentCount - series.sent;
    series.sent = sentCount;
    series.sentAt = performance.now();
    series.isQueued = false;
    series.forbiddenAttempts = 0;
    if (series.count > sentCount) this.#schedule(series);
  }

  #giveUp(series: EventSeries): void {
    series.isQueued = false;
    if (this.#series.get(series.key) === series) this.#series.delete(series.key);
    this.#dropUnsent(series);
  }

  #dropUnsent(series: EventSeries): void {
    clearTimeout(series.timer);
    series.timer = undefined;
    const unsent = series.count - series.sent;
    // Delivery reports the series that it drops.
    this.#drops.add(series.type, unsent, true);
    this.#pending -= unsent;
    series.sent = series.count;
  }

  #dropForFullTable(type: EventType): void {
    this.#drops.add(type);
    const now = performance.now();
    if (now - this.#warnedFullAt < MIN_MS_BETWEEN_FULL_WARNINGS) return;
    this.#warnedFullAt = now;
    const { api, warn } = this.#options;
    warn(
      `events of ${this.#limits.maxSeries} kinds and objects wait for ${api.url}, and more are dropped`,
    );
  }
}

/** Creates a Kubernetes Event for the first occurrence, and patches its count for repetitions. */
class EventPoster {
  readonly #newName = eventNames();
  readonly #podsKnown = Promise.withResolvers<void>();
  readonly #podsTimer = setTimeout(this.#podsKnown.resolve, MAX_MS_WAITING_FOR_PODS);

  /** @param pods absent: all Events are on the Node. */
  constructor(
    private readonly api: KubernetesApi,
    private readonly pods: PodWatcher | undefined,
    private readonly node: string,
    private readonly component: string,
  ) {
    if (pods === undefined) this.stopWaiting();
    else pods.ready.then(() => this.stopWaiting());
  }

  /** `sentCount`: the event's count that was sent. */
  async send(
    series: EventSeries,
    ending: AbortSignal,
  ): Promise<{ answer: Answer; sentCount: number }> {
    const { involved, name, isPosted } = series;
    if (isPosted && involved !== undefined && name !== undefined) {
      const result = await this.#patch(series, involved, name, ending);
      if (result.answer.is !== "missing") return result;
      // It was deleted, or its time to live has passed.
      series.isPosted = false;
      series.name = undefined;
    }
    const result = await this.#post(series, ending);
    series.isPosted = result.answer.is === "ok";
    return result;
  }

  podOf(uid: string | null): Pod | undefined {
    return uid === null ? undefined : this.pods?.get(uid);
  }

  /** From now on, events do not wait for the pods. */
  stopWaiting(): void {
    clearTimeout(this.#podsTimer);
    this.#podsKnown.resolve();
  }

  async #post(series: EventSeries, ending: AbortSignal) {
    const involved = await this.#involvedIn(series, ending);
    const { namespace } = involved;
    const name = series.name ??= this.#newName(involved.object.name);
    const sentCount = series.count;
    const content = { ...series, message: messageOf(series, involved) };
    const body = eventObject(name, involved, content, this.component, this.node);
    const request = { verb: "create", resource: "events", namespace, body } as const;
    const answer = await this.api.send(request, ending);
    // The answer to an earlier attempt was lost (fetch itself repeats a request once), so the server may not know the latest count.
    if (answer.is === "exists") return await this.#patch(series, involved, name, ending);
    return { answer, sentCount };
  }

  async #patch(series: EventSeries, involved: Involved, name: string, ending: AbortSignal) {
    const { count, last: lastTimestamp } = series;
    const { namespace } = involved;
    const body = { count, lastTimestamp, message: messageOf(series, involved) };
    const request = { verb: "patch", resource: "events", namespace, name, body } as const;
    return { answer: await this.api.send(request, ending), sentCount: count };
  }

  async #involvedIn(series: EventSeries, ending: AbortSignal): Promise<Involved> {
    if (series.involved?.object.fieldPath !== undefined) return series.involved;
    if (series.podUid !== null) await this.#waitForPods(ending);
    const pod = this.podOf(series.podUid);
    if (pod === undefined) return series.involved ??= nodeObject(this.node);
    // The container may have become known since the last attempt.
    const fieldPath = pod.containers.get(series.containerId ?? "")?.fieldPath;
    return series.involved = podObject(pod, fieldPath);
  }

  async #waitForPods(ending: AbortSignal): Promise<void> {
    const stop = () => this.stopWaiting();
    ending.addEventListener("abort", stop);
    if (!ending.aborted) await this.#podsKnown.promise;
    ending.removeEventListener("abort", stop);
  }
}

function messageOf({ message, isJson, cgroup }: EventSeries, { object }: Involved): string {
  if (isJson) return message;
  const text = object.kind === "Node" ? `${message} (${cgroup})` : message;
  return fitMessage(text, MAX_MESSAGE_BYTES);
}
