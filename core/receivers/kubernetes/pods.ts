/**
 * The pods of one node, kept up to date by a list and a watch of the API server: how to find a pod by its cgroup, what an Event about
 * it refers to, and the labels that rules select by.
 */

import { errorText, OomkitError } from "../../errors.ts";
import { delay } from "../../timing.ts";
import { backoff } from "../delivery.ts";
import type { Failure, KubernetesApi, RequestTarget } from "./api.ts";
import { asObject, ItemSplitter, type JsonObject, parseObject } from "./json.ts";

export interface Pod {
  /** In the API server. The cgroup of a static pod has another one: `cgroupUid`. */
  readonly uid: string;
  /** In the names of the pod's cgroups. */
  readonly cgroupUid: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  /** By container id, including those of the previous run. */
  readonly containers: ReadonlyMap<string, PodContainer>;
}

export interface PodContainer {
  readonly name: string;
  /** As in the kubelet's Events: `spec.containers{NAME}`. */
  readonly fieldPath: string;
}

const CONTAINER_LISTS = [
  ["containerStatuses", "containers"],
  ["initContainerStatuses", "initContainers"],
  ["ephemeralContainerStatuses", "ephemeralContainers"],
] as const;

/**
 * The kubelet derives a static pod's uid from its manifest, and registers the pod as a mirror that gets another uid from the API server.
 * Both annotations hold the first (kubelet/types, kubelet/pod/mirror_client.go).
 */
const CONFIG_HASH = "kubernetes.io/config.hash";
const CONFIG_MIRROR = "kubernetes.io/config.mirror";
const UID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** `undefined` for an object that is not a pod. */
function readPod(object: unknown): Pod | undefined {
  const pod = asObject(object);
  const { uid, name, namespace, labels, annotations } = asObject(pod?.metadata) ?? {};
  if (typeof uid !== "string" || typeof name !== "string" || typeof namespace !== "string") {
    return undefined;
  }
  return {
    uid,
    cgroupUid: mirroredUid(asObject(annotations)) ?? uid,
    name,
    namespace,
    labels: new Map(
      Object.entries(asObject(labels) ?? {}).filter((each): each is [string, string] =>
        typeof each[1] === "string"
      ),
    ),
    containers: containersOf(asObject(pod?.status)),
  };
}

function mirroredUid(annotations: JsonObject | undefined): string | undefined {
  const hash = annotations?.[CONFIG_HASH];
  if (typeof hash !== "string" || !UID.test(hash)) return undefined;
  // Any user may set the hash on a pod. The kubelet removes a mirror annotation that it did not set.
  return annotations?.[CONFIG_MIRROR] === hash ? hash : undefined;
}

function containersOf(status: JsonObject | undefined): Map<string, PodContainer> {
  const containers = new Map<string, PodContainer>();
  for (const [list, field] of CONTAINER_LISTS) {
    const statuses = status?.[list];
    for (const each of Array.isArray(statuses) ? statuses : []) {
      const { name, containerID, lastState } = asObject(each) ?? {};
      if (typeof name !== "string") continue;
      const container = { name, fieldPath: `spec.${field}{${name}}` };
      // A killed container is restarted, and its id moves to the last state.
      const last = asObject(asObject(lastState)?.terminated)?.containerID;
      for (const id of [last, containerID]) {
        const bare = typeof id === "string" ? /:\/\/(.+)$/.exec(id)?.[1] : undefined;
        if (bare !== undefined) containers.set(bare, container);
      }
    }
  }
  return containers;
}

function sameLabels({ labels: one }: Pod, { labels: other }: Pod): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}

/** Pods by uid. Methods that change it return whether pods came or went, or labels changed. */
class PodTable {
  readonly #pods = new Map<string, Pod>();
  /** API server's uid by kubelet's uid, for static pods. The first pod that claims a kubelet's uid has it. */
  readonly #mirrors = new Map<string, string>();

  get size(): number {
    return this.#pods.size;
  }

  get(uid: string): Pod | undefined {
    // The own uid first, so that another pod's annotations cannot claim it.
    return this.#pods.get(uid) ?? this.#pods.get(this.#mirrors.get(uid) ?? "");
  }

  all(): Iterable<Pod> {
    return this.#pods.values();
  }

  put(pod: Pod): boolean {
    const before = this.#pods.get(pod.uid);
    this.#pods.set(pod.uid, pod);
    if (pod.cgroupUid !== pod.uid && !this.#mirrors.has(pod.cgroupUid)) {
      this.#mirrors.set(pod.cgroupUid, pod.uid);
    }
    return before === undefined || !sameLabels(before, pod);
  }

  remove(uid: string): boolean {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return false;
    this.#pods.delete(uid);
    if (this.#mirrors.get(pod.cgroupUid) === uid) this.#mirrors.delete(pod.cgroupUid);
    return true;
  }

  replaceAll(pods: readonly Pod[]): boolean {
    const uids = new Set(pods.map(({ uid }) => uid));
    const gone = [...this.#pods.keys()].filter((uid) => !uids.has(uid));
    for (const uid of gone) this.remove(uid);
    const changes = pods.map((pod) => this.put(pod));
    return gone.length > 0 || changes.includes(true);
  }
}

export interface PodsOptions {
  /** Called for the first failure of each kind in an outage, and when the pods are known again. */
  warn(line: string): void;
  /** Called after pods came or went, or their labels changed. */
  changed(): void;
  /** Milliseconds without data after which the watch is renewed; a bookmark arrives about every minute. */
  readonly idle?: number;
  /** For tests: from 0 to below 1. */
  readonly random?: () => number;
  /** For tests: resolves after this many milliseconds, or once `ending` is aborted. */
  readonly sleep?: (ms: number, ending: AbortSignal) => Promise<void>;
}

const MAX_IDLE_MS = 150_000;
/** The server ends a watch after this time or up to twice as much, as for client-go's reflector. */
const MIN_WATCH_S = 300;
/** A watch that ends sooner without data counts as failed. */
const MIN_WATCH_MS = 5000;
/** etcd's limit is 1.5 MiB in a more compact encoding. */
const MAX_POD_CHARACTERS = 4 * 1024 * 1024;
/** A kubelet's default limit is 110; ended pods stay listed. */
const MAX_PODS = 5000;
/** Reasons reported during one outage; a hostile server can invent any number of them. */
const MAX_REPORTED_REASONS = 5;

/** Follows the pods of a node until it is closed. */
export class PodWatcher {
  /** Resolves once the pods are known for the first time, or the watch was closed. */
  readonly ready: Promise<void>;
  readonly #table = new PodTable();
  readonly #ending = new AbortController();
  readonly #known = Promise.withResolvers<void>();
  readonly #selector: { readonly fieldSelector: string };
  readonly #reportedReasons = new Set<string>();
  readonly #following: Promise<void>;
  /** Resource version at which the next watch starts; `undefined`: list first. */
  #version: string | undefined;
  #failures = 0;
  /** Since the last data of a watch. A list that works does not end such an outage. */
  #watchFailed = false;

  /**
   * Throws {@link OomkitError} for a name that no node can have.
   *
   * @param node `spec.nodeName` in the API server, not a host name or an address.
   */
  constructor(
    private readonly api: KubernetesApi,
    private readonly node: string,
    private readonly options: PodsOptions,
  ) {
    checkNode(node);
    this.ready = this.#known.promise;
    this.#selector = { fieldSelector: `spec.nodeName=${node}` };
    this.#following = this.#follow();
  }

  /** @param uid in the names of the pod's cgroups, or in the API server; they differ for a static pod. */
  get(uid: string): Pod | undefined {
    return this.#table.get(uid);
  }

  all(): Iterable<Pod> {
    return this.#table.all();
  }

  async close(): Promise<void> {
    this.#ending.abort(new Error("oomkit is stopping"));
    await this.#following;
  }

  async #follow(): Promise<void> {
    const { random = Math.random, sleep = delay } = this.options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const isList = this.#version === undefined;
      const failure = await this.#listOrWatch();
      if (signal.aborted) break;
      if (failure === undefined) {
        // A server ends a watch every few minutes; if it ends immediately, starting the next one must not busy-loop.
        if (!isList) await sleep(backoff(0, random()), signal);
        continue;
      }
      if (!isList) this.#watchFailed = true;
      // A server that was away for a moment still knows the version. After any other failure only a list shows what was missed.
      if (failure.is !== "unreachable" && failure.is !== "busy") this.#version = undefined;
      // "gone" is an ordinary end of a watch.
      if (failure.is !== "gone") this.#warnOnce(failure.why);
      await sleep(backoff(this.#failures, random(), failure.after), signal);
      this.#failures += 1;
    }
    this.#known.resolve();
  }

  async #listOrWatch(): Promise<Failure | undefined> {
    try {
      return this.#version === undefined ? await this.#list() : await this.#watch(this.#version);
    } catch (error) {
      return { is: "unreachable", why: errorText(error) };
    }
  }

  async #list(): Promise<Failure | undefined> {
    // Version 0 is answered from the server's cache. Otherwise each of a thousand nodes would make etcd read all pods.
    const stream = await this.#open({ verb: "list", resource: "pods" }, { resourceVersion: "0" });
    if (stream.is !== "ok") return stream;
    const pods: Pod[] = [];
    const splitter = new ItemSplitter(MAX_POD_CHARACTERS, (item) => {
      const pod = this.#ownPod(parseObject(item));
      if (pod !== undefined) pods.push(pod);
      if (pods.length > MAX_PODS) throw new Error(`it lists more than ${MAX_PODS} pods`);
    });
    for await (const text of stream.text) splitter.push(text);
    const list = parseObject(splitter.end());
    const version = asObject(list?.metadata)?.resourceVersion;
    if (list?.kind !== "PodList" || typeof version !== "string") {
      return { is: "garbage", why: "its answer is not a list of pods" };
    }
    this.#version = version;
    if (this.#table.replaceAll(pods)) this.options.changed();
    if (!this.#watchFailed) this.#reportRecovery();
    if (pods.length === 0) {
      this.#warnOnce("the node has no pods; is this the node's name (spec.nodeName)?");
    }
    this.#known.resolve();
    return undefined;
  }

  async #watch(from: string): Promise<Failure | undefined> {
    const { random = Math.random } = this.options;
    const stream = await this.#open({ verb: "watch", resource: "pods" }, {
      watch: "1",
      allowWatchBookmarks: "true",
      resourceVersion: from,
      timeoutSeconds: String(Math.floor(MIN_WATCH_S * (1 + random()))),
    });
    if (stream.is !== "ok") return stream;
    const started = performance.now();
    let isEmpty = true;
    for await (const line of lines(stream.text)) {
      const failure = this.#applyWatchEvent(line);
      if (failure !== undefined) return failure;
      isEmpty = false;
      this.#reportRecovery();
    }
    return isEmpty && performance.now() - started < MIN_WATCH_MS
      ? { is: "unreachable", why: "its watch ends as soon as it has started" }
      : undefined;
  }

  #open(target: RequestTarget, query: Readonly<Record<string, string>>) {
    return this.api.open(
      { ...target, query: { ...this.#selector, ...query } },
      this.#ending.signal,
      this.options.idle ?? MAX_IDLE_MS,
    );
  }

  #applyWatchEvent(line: string): Failure | undefined {
    const { type, object } = parseObject(line) ?? {};
    if (type === "ERROR") {
      return this.api.failureOfStatus({ verb: "watch", resource: "pods" }, object);
    }
    const { resourceVersion, uid } = asObject(asObject(object)?.metadata) ?? {};
    if (typeof type !== "string" || typeof resourceVersion !== "string") {
      return { is: "garbage", why: "its watch sent something that is not an event" };
    }
    this.#version = resourceVersion;
    if (type === "BOOKMARK") return undefined;
    const pod = type === "DELETED" ? undefined : this.#ownPod(object);
    const isChange = pod !== undefined && (this.#table.size < MAX_PODS || this.#table.get(pod.uid))
      ? this.#table.put(pod)
      : type === "DELETED" && typeof uid === "string" && this.#table.remove(uid);
    if (isChange) this.options.changed();
    return undefined;
  }

  #ownPod(object: unknown): Pod | undefined {
    const { nodeName } = asObject(asObject(object)?.spec) ?? {};
    return nodeName === this.node ? readPod(object) : undefined;
  }

  #warnOnce(why: string): void {
    const reported = this.#reportedReasons;
    if (reported.has(why) || reported.size >= MAX_REPORTED_REASONS) return;
    reported.add(why);
    this.options.warn(`cannot follow the pods of node ${this.node} at ${this.api.url}: ${why}`);
  }

  #reportRecovery(): void {
    if (this.#failures > 0 && this.#reportedReasons.size > 0) {
      const attempts = `${this.#failures} failed attempts`;
      this.options.warn(`can follow the pods of node ${this.node} again, after ${attempts}`);
      this.#reportedReasons.clear();
    }
    this.#failures = 0;
    this.#watchFailed = false;
  }
}

/** Complete lines; text after the last newline is dropped. */
async function* lines(pieces: AsyncIterable<string>): AsyncIterableIterator<string> {
  let rest = "";
  for await (const piece of pieces) {
    const parts = piece.split("\n");
    for (const part of parts.slice(0, -1)) {
      const line = rest + part;
      rest = "";
      if (line.trim() !== "") yield line;
    }
    rest += parts.at(-1);
    if (rest.length > MAX_POD_CHARACTERS) {
      throw new Error(`one event of its watch is longer than ${MAX_POD_CHARACTERS} characters`);
    }
  }
}

/** RFC 1123, as the API server checks names. */
function checkNode(node: string): void {
  if (node.length <= 253 && /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(node)) return;
  throw new OomkitError(
    `cannot use "${node}" as the name of a node: it is not a lower-case DNS name`,
    "give the name that kubectl get nodes shows",
  );
}
