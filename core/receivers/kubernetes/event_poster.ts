/** Creates a Kubernetes Event for the first occurrence, and patches its count for repetitions. */

import type { OomkitEvent } from "../../events/event.ts";
import type { Answer, KubernetesApi } from "./api.ts";
import {
  type EventContent,
  eventNames,
  eventObject,
  fitMessage,
  type Involved,
  nodeObject,
  podObject,
} from "./event_object.ts";
import type { Pod, PodWatcher } from "./pods.ts";

/** One Event and what the server is to know of it. */
export interface PostedEvent extends EventContent {
  readonly podUid: string | null;
  readonly containerId: string | null;
  /** Of the latest occurrence. */
  readonly cgroup: string;
  /** The message is JSON, which must not be shortened. */
  readonly isJson: boolean;
  /** The poster maintains these three. */
  involved: Involved | undefined;
  /** Of the Event; set by the first attempt. */
  name: string | undefined;
  isPosted: boolean;
}

/** What a server accepts from newer clients. */
const MAX_MESSAGE_BYTES = 1023;
/** Events about pods wait once, at the start, until the pods are known. */
const MAX_MS_WAITING_FOR_PODS = 10_000;

export class EventPoster {
  readonly #newName = eventNames(() =>
    BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1e6))
  );
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
    event: PostedEvent,
    ending: AbortSignal,
  ): Promise<{ answer: Answer; sentCount: number }> {
    const { involved, name } = event;
    if (event.isPosted && involved !== undefined && name !== undefined) {
      const result = await this.#patch(event, involved, name, ending);
      if (result.answer.is !== "missing") return result;
      // It was deleted, or its time to live has passed.
      event.isPosted = false;
      event.name = undefined;
    }
    const result = await this.#post(event, ending);
    event.isPosted = result.answer.is === "ok";
    return result;
  }

  podOf({ pod_uid }: OomkitEvent): Pod | undefined {
    return pod_uid === null ? undefined : this.pods?.get(pod_uid);
  }

  /** From now on, events do not wait for the pods. */
  stopWaiting(): void {
    clearTimeout(this.#podsTimer);
    this.#podsKnown.resolve();
  }

  async #post(event: PostedEvent, ending: AbortSignal) {
    const involved = await this.#involvedIn(event, ending);
    const { namespace } = involved;
    const name = event.name ??= this.#newName(involved.object.name);
    const sentCount = event.count;
    const content = { ...event, message: messageOf(event, involved) };
    const body = eventObject(name, involved, content, this.component, this.node);
    const answer = await this.api.send(
      { verb: "create", resource: "events", namespace, body },
      ending,
    );
    // The answer to an earlier attempt was lost (fetch itself repeats a request once), so the server may not know the latest count.
    if (answer.is === "exists") return await this.#patch(event, involved, name, ending);
    return { answer, sentCount };
  }

  async #patch(event: PostedEvent, involved: Involved, name: string, ending: AbortSignal) {
    const { count, last: lastTimestamp } = event;
    const { namespace } = involved;
    const body = { count, lastTimestamp, message: messageOf(event, involved) };
    const answer = await this.api.send(
      { verb: "patch", resource: "events", namespace, name, body },
      ending,
    );
    return { answer, sentCount: count };
  }

  async #involvedIn(event: PostedEvent, ending: AbortSignal): Promise<Involved> {
    if (event.involved?.object.fieldPath !== undefined) return event.involved;
    if (event.podUid !== null) await this.#waitForPods(ending);
    const pod = event.podUid === null ? undefined : this.pods?.get(event.podUid);
    if (pod === undefined) return event.involved ??= nodeObject(this.node);
    // The container may have become known since the last attempt.
    const fieldPath = pod.containers.get(event.containerId ?? "")?.fieldPath;
    return event.involved = podObject(pod, fieldPath);
  }

  async #waitForPods(ending: AbortSignal): Promise<void> {
    const stop = () => this.stopWaiting();
    ending.addEventListener("abort", stop);
    if (!ending.aborted) await this.#podsKnown.promise;
    ending.removeEventListener("abort", stop);
  }
}

function messageOf({ message, isJson, cgroup }: PostedEvent, { object }: Involved): string {
  if (isJson) return message;
  const text = object.kind === "Node" ? `${message} (${cgroup})` : message;
  return fitMessage(text, MAX_MESSAGE_BYTES);
}
