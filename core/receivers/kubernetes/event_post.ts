/** Events that repeat each other, counted together; those that have been quiet for longest are forgotten first. */

import type { OomkitEvent } from "../../events/event.ts";
import { delay } from "../../timing.ts";
import type { Answer, KubernetesApi } from "./api.ts";
import {
  eventObject,
  fitMessage,
  type Involved,
  makeNaming,
  nodeObject,
  podObject,
} from "./event_object.ts";
import type { Pod, Pods } from "./pods.ts";

export interface Tallies<T extends Countable> {
  get(key: string): T | undefined;
  /** False when there is no room, since all have something to tell still. */
  add(key: string, tally: T): boolean;
  /** It has just been counted. */
  touch(key: string, tally: T): void;
  remove(key: string): void;
  all(): Iterable<T>;
  readonly size: number;
}

export interface Countable {
  /** Events. */
  readonly count: number;
  /** Of them, those that the server knows of. */
  readonly sent: number;
}

export function createTallies<T extends Countable>(most: number): Tallies<T> {
  /** In the order in which they were last counted. */
  const tallies = new Map<string, T>();
  const makeRoom = () => {
    if (tallies.size < most) return true;
    for (const [key, { count, sent }] of tallies) {
      if (count === sent) return tallies.delete(key);
    }
    return false;
  };
  return {
    get: (key) => tallies.get(key),
    add(key, tally) {
      if (!makeRoom()) return false;
      tallies.set(key, tally);
      return true;
    },
    touch(key, tally) {
      tallies.delete(key);
      tallies.set(key, tally);
    },
    remove: (key) => void tallies.delete(key),
    all: () => tallies.values(),
    get size() {
      return tallies.size;
    },
  };
}

/* No more than so many in a second: a bucket that fills up again. */

export interface RateLimit {
  /** Resolves when the next one may go, or once `ending` is aborted. */
  wait(ending: AbortSignal): Promise<void>;
}

/** @param burst that may go at once after a quiet time. */
export function openRateLimit(
  burst: number,
  perSecond: number,
  now = () => performance.now(),
): RateLimit {
  let left = burst;
  let at = now();
  return {
    async wait(ending) {
      const time = now();
      left = Math.min(burst, left + (time - at) / 1000 * perSecond) - 1;
      at = time;
      if (left < 0) await delay(-left / perSecond * 1000, ending);
    },
  };
}

/* One Event that is told of once or more: made on the first time, and its count raised from then on. */

/** What the server is to know. The poster keeps the last three. */
export interface PostedEvent {
  readonly reason: string;
  readonly podUid: string | null;
  readonly containerId: string | null;
  /** Of the latest. */
  cgroup: string;
  message: string;
  /** Somebody's format, which must not be cut. */
  isJson: boolean;
  count: number;
  first: string;
  last: string;
  involved: Involved | undefined;
  /** The Event's, once it was tried. */
  name: string | undefined;
  isPosted: boolean;
}

export interface EventPoster {
  /** `told`: of its count, what the server was told. */
  send(telling: PostedEvent, ending: AbortSignal): Promise<{ answer: Answer; told: number }>;
  podOf(event: OomkitEvent): Pod | undefined;
  end(): void;
}

/** Bytes: what a server takes of newer clients. */
const MAX_MESSAGE = 1023;
/** Milliseconds for the pods to become known, once; until then what is about a pod waits for them. */
const PODS_WITHIN_MS = 10_000;

/** @param pods absent: everything is told of on the Node. */
export function openEventPoster(
  api: KubernetesApi,
  pods: Pods | undefined,
  node: string,
  component: string,
): EventPoster {
  const newName = makeNaming(() =>
    BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1e6))
  );
  const patience = openPatience(pods);

  const find = (uid: string | null) => uid === null ? undefined : pods?.get(uid);

  const involvedIn = async (telling: PostedEvent, ending: AbortSignal): Promise<Involved> => {
    if (telling.involved?.object.fieldPath !== undefined) return telling.involved;
    if (telling.podUid !== null) await patience.wait(ending);
    const pod = find(telling.podUid);
    if (pod === undefined) return telling.involved ??= nodeObject(node);
    // Its container may have become known since.
    const fieldPath = pod.containers.get(telling.containerId ?? "")?.fieldPath;
    return telling.involved = podObject(pod, fieldPath);
  };

  const post = async (telling: PostedEvent, ending: AbortSignal) => {
    const involved = await involvedIn(telling, ending);
    const name = telling.name ??= newName(involved.object.name);
    const { namespace } = involved;
    const told = telling.count;
    const chartEvent = { ...telling, message: messageOf(telling, involved) };
    const body = eventObject(name, involved, chartEvent, component, node);
    const answer = await api.send({ verb: "create", resource: "events", namespace, body }, ending);
    // The answer to an earlier try was lost (fetch tries twice by itself); what was counted since is not known there yet.
    if (answer.is === "exists") return await patch(telling, involved, name, ending);
    return { answer, told };
  };

  const patch = async (
    telling: PostedEvent,
    involved: Involved,
    name: string,
    ending: AbortSignal,
  ) => {
    const { count, last: lastTimestamp } = telling;
    const body = { count, lastTimestamp, message: messageOf(telling, involved) };
    const { namespace } = involved;
    const answer = await api.send(
      { verb: "patch", resource: "events", namespace, name, body },
      ending,
    );
    return { answer, told: count };
  };

  return {
    async send(telling, ending) {
      const { involved, name } = telling;
      if (telling.isPosted && involved !== undefined && name !== undefined) {
        const result = await patch(telling, involved, name, ending);
        if (result.answer.is !== "missing") return result;
        // Somebody has deleted it, or it was past its time to live.
        telling.isPosted = false;
        telling.name = undefined;
      }
      const result = await post(telling, ending);
      telling.isPosted = result.answer.is === "ok";
      return result;
    },
    podOf: ({ pod_uid }) => find(pod_uid),
    end: patience.end,
  };
}

function messageOf({ message, isJson, cgroup }: PostedEvent, { object }: Involved): string {
  if (isJson) return message;
  return fitMessage(object.kind === "Node" ? `${message} (${cgroup})` : message, MAX_MESSAGE);
}

function openPatience(pods: Pods | undefined) {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, PODS_WITHIN_MS);
  const end = () => {
    clearTimeout(timer);
    over.resolve();
  };
  if (pods === undefined) end();
  else pods.ready.then(end);
  return {
    async wait(ending: AbortSignal): Promise<void> {
      ending.addEventListener("abort", end);
      if (!ending.aborted) await over.promise;
      ending.removeEventListener("abort", end);
    },
    end,
  };
}
