/** What is kept of a pod: how to find it by its cgroup, whom an event about it is addressed to, and what rules choose by. */

import { OomkitError } from "../../errors.ts";
import { delay } from "../../timing.ts";
import { backoff } from "../delivery.ts";
import {
  asObject,
  type Failure,
  failureOfStatus,
  type JsonObject,
  type KubernetesApi,
  openItemSplitter,
  parseObject,
} from "./api.ts";

export interface Pod {
  /** As the API server has it. A static pod's cgroup has another one: `cgroupUid`. */
  readonly uid: string;
  /** In the names of its cgroups. */
  readonly cgroupUid: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  /** By container id, those of the last run included. */
  readonly containers: ReadonlyMap<string, PodContainer>;
}

export interface PodContainer {
  readonly name: string;
  /** As the events of the kubelet name it: `spec.containers{NAME}`. */
  readonly fieldPath: string;
}

const CONTAINERS = [
  ["containerStatuses", "containers"],
  ["initContainerStatuses", "initContainers"],
  ["ephemeralContainerStatuses", "ephemeralContainers"],
] as const;

/**
 * The kubelet makes a static pod's uid out of its manifest, and shows the pod to the API server as a mirror with a uid of
 * its own; both annotations hold the first (kubelet/types, kubelet/pod/mirror_client.go).
 */
const CONFIG_HASH = "kubernetes.io/config.hash";
const CONFIG_MIRROR = "kubernetes.io/config.mirror";
const UID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** `undefined` for what is no pod. */
export function readPod(object: unknown): Pod | undefined {
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
  // The hash alone anybody may write on a pod; a mirror the kubelet takes for its own, and removes when it is not.
  return annotations?.[CONFIG_MIRROR] === hash ? hash : undefined;
}

function containersOf(status: JsonObject | undefined): Map<string, PodContainer> {
  const found = new Map<string, PodContainer>();
  for (const [list, field] of CONTAINERS) {
    const statuses = status?.[list];
    for (const each of Array.isArray(statuses) ? statuses : []) {
      const { name, containerID, lastState } = asObject(each) ?? {};
      if (typeof name !== "string") continue;
      const container = { name, fieldPath: `spec.${field}{${name}}` };
      // What was killed is soon the last run.
      const last = asObject(asObject(lastState)?.terminated)?.containerID;
      for (const id of [last, containerID]) {
        const bare = typeof id === "string" ? /:\/\/(.+)$/.exec(id)?.[1] : undefined;
        if (bare !== undefined) found.set(bare, container);
      }
    }
  }
  return found;
}

/** On which node it runs. */
export function nodeOf(object: unknown): unknown {
  return asObject(asObject(object)?.spec)?.nodeName;
}

export function sameLabels({ labels: one }: Pod, { labels: other }: Pod): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}

/* The pods of a node by uid. */

export interface PodTable {
  /** By the uid in the names of its cgroups, or by the API server's. */
  get(uid: string): Pod | undefined;
  /** True when that is a change for those who choose by labels. */
  put(pod: Pod): boolean;
  remove(uid: string): boolean;
  replace(pods: readonly Pod[]): boolean;
  all(): Iterable<Pod>;
  readonly size: number;
}

export function createPodTable(): PodTable {
  const pods = new Map<string, Pod>();
  /** Static pods by the uid that the kubelet gave them; the first one that says so. */
  const mirrors = new Map<string, string>();

  const put = (pod: Pod) => {
    const before = pods.get(pod.uid);
    pods.set(pod.uid, pod);
    if (pod.cgroupUid !== pod.uid && !mirrors.has(pod.cgroupUid)) {
      mirrors.set(pod.cgroupUid, pod.uid);
    }
    return before === undefined || !sameLabels(before, pod);
  };
  const remove = (uid: string) => {
    const pod = pods.get(uid);
    if (pod === undefined) return false;
    pods.delete(uid);
    if (mirrors.get(pod.cgroupUid) === uid) mirrors.delete(pod.cgroupUid);
    return true;
  };
  return {
    // Its own uid first: what others say about theirs must not take it over.
    get: (uid) => pods.get(uid) ?? pods.get(mirrors.get(uid) ?? ""),
    put,
    remove,
    replace(now) {
      const uids = new Set(now.map(({ uid }) => uid));
      const gone = [...pods.keys()].filter((uid) => !uids.has(uid));
      const removed = gone.map(remove).length > 0;
      return now.map(put).some((changed) => changed) || removed;
    },
    all: () => pods.values(),
    get size() {
      return pods.size;
    },
  };
}

/* The pods of one node, kept up to date by the API server: a list, and a watch from there on. */

export interface Pods {
  /** By the uid in the names of its cgroups (a static pod's is not the API server's), or by the API server's. */
  get(uid: string): Pod | undefined;
  all(): Iterable<Pod>;
  /** Resolves once they are known for the first time, or will not be any more. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

export interface PodsOptions {
  /** Told of the first failure of each kind in a row, and when they are known again. */
  warn(line: string): void;
  /** Called after pods have come or gone, or their labels have changed. */
  changed(): void;
  /** Milliseconds without a word on the watch; a bookmark comes about every minute. */
  readonly idle?: number;
  /** For tests: at least 0, less than 1. */
  readonly random?: () => number;
  /** For tests: resolves after so many milliseconds, or once `ending` is aborted. */
  readonly sleep?: (ms: number, ending: AbortSignal) => Promise<void>;
}

const IDLE_MS = 150_000;
/** Seconds after which the server ends a watch, up to twice that, as for client-go's reflector. */
const WATCH_S = 300;
/** One that has said nothing and ends this soon is no watch. */
const SHORT_WATCH_MS = 5000;
/** Characters of one pod. etcd takes 1.5 MiB in a terser encoding. */
const MAX_POD = 4 * 1024 * 1024;
/** A kubelet's limit is 110 unless it is raised; those that have ended stay listed. */
const MAX_PODS = 5000;
/** Reasons that were told in an outage; a hostile server can make up as many as it likes. */
const MAX_REASONS = 5;

/** A round that did not end as it should. */
type Trouble = Pick<Failure, "is" | "why" | "after">;

/**
 * @param node its name as the API server has it (`spec.nodeName`), not a host name or an address.
 * @throws {OomkitError} for a name that no node can have.
 */
export function openPods(api: KubernetesApi, node: string, options: PodsOptions): Pods {
  checkNode(node);
  const { warn, changed, idle = IDLE_MS, random = Math.random, sleep = delay } = options;
  const table = createPodTable();
  const ending = new AbortController();
  const ready = Promise.withResolvers<void>();
  const selector = { fieldSelector: `spec.nodeName=${node}` };
  /** Where the next watch begins; `undefined`: list first. */
  let version: string | undefined;
  const told = new Set<string>();
  let failures = 0;
  /** A list that works proves nothing then. */
  let failedWatch = false;

  const list = async (): Promise<Trouble | undefined> => {
    // 0: out of the server's memory. Without it each of a thousand nodes would have etcd read all pods there are.
    const query = { ...selector, resourceVersion: "0" };
    const stream = await api.open({ verb: "list", resource: "pods", query }, ending.signal, idle);
    if (stream.is !== "ok") return stream;
    const pods: Pod[] = [];
    const splitter = openItemSplitter(MAX_POD, (item) => {
      const pod = ownPod(parseObject(item));
      if (pod !== undefined) pods.push(pod);
      if (pods.length > MAX_PODS) throw new Error(`it lists more than ${MAX_PODS} pods`);
    });
    for await (const text of stream.text) splitter.push(text);
    const around = parseObject(splitter.end());
    const from = asObject(around?.metadata)?.resourceVersion;
    if (around?.kind !== "PodList" || typeof from !== "string") {
      return { is: "garbage", why: "its answer is no list of pods" };
    }
    version = from;
    if (table.replace(pods)) changed();
    if (!failedWatch) recovered();
    if (pods.length === 0) {
      warnOnce(`there are none; is that the node's name (spec.nodeName)?`);
    }
    ready.resolve();
    return undefined;
  };

  const watch = async (from: string): Promise<Trouble | undefined> => {
    const stream = await api.open(
      {
        verb: "watch",
        resource: "pods",
        query: {
          ...selector,
          watch: "1",
          allowWatchBookmarks: "true",
          resourceVersion: from,
          timeoutSeconds: String(Math.floor(WATCH_S * (1 + random()))),
        },
      },
      ending.signal,
      idle,
    );
    if (stream.is !== "ok") return stream;
    const begun = performance.now();
    let isEmpty = true;
    for await (const line of lines(stream.text)) {
      const failure = take(line);
      if (failure !== undefined) return failure;
      isEmpty = false;
      recovered();
    }
    return isEmpty && performance.now() - begun < SHORT_WATCH_MS
      ? { is: "unreachable", why: "its watch ends as soon as it has begun" }
      : undefined;
  };

  /** One event of the watch. */
  const take = (line: string): Trouble | undefined => {
    const { type, object } = parseObject(line) ?? {};
    if (type === "ERROR") {
      return failureOfStatus({ verb: "watch", resource: "pods" }, object, api.url);
    }
    const now = asObject(asObject(object)?.metadata)?.resourceVersion;
    if (typeof type !== "string" || typeof now !== "string") {
      return { is: "garbage", why: "its watch sent what is no event" };
    }
    version = now;
    if (type === "BOOKMARK") return undefined;
    const pod = type === "DELETED" ? undefined : ownPod(object);
    const uid = asObject(asObject(object)?.metadata)?.uid;
    const isNews = pod !== undefined && (table.size < MAX_PODS || table.get(pod.uid))
      ? table.put(pod)
      : type === "DELETED" && typeof uid === "string" && table.remove(uid);
    if (isNews) changed();
    return undefined;
  };

  const ownPod = (object: unknown) => nodeOf(object) === node ? readPod(object) : undefined;

  const warnOnce = (why: string) => {
    if (told.has(why) || told.size >= MAX_REASONS) return;
    told.add(why);
    warn(`cannot follow the pods of node ${node} at ${api.url}: ${why}`);
  };

  const recovered = () => {
    if (failures > 0 && told.size > 0) {
      warn(`can follow the pods of node ${node} again, after ${failures} failed tries`);
      told.clear();
    }
    failures = 0;
    failedWatch = false;
  };

  const round = async (): Promise<Trouble | undefined> => {
    try {
      return version === undefined ? await list() : await watch(version);
    } catch (error) {
      return { is: "unreachable", why: error instanceof Error ? error.message : String(error) };
    }
  };

  const follow = async () => {
    while (!ending.signal.aborted) {
      const isList = version === undefined;
      const trouble = await round();
      if (ending.signal.aborted) break;
      if (trouble !== undefined && !isList) failedWatch = true;
      if (trouble === undefined) {
        // A watch ends by itself every few minutes; one that ends at once must not be begun again at once.
        if (!isList) await sleep(backoff(0, random()), ending.signal);
        continue;
      }
      // What was missed in between is in a list; a server that is away for a moment still knows where the watch was.
      if (trouble.is !== "unreachable" && trouble.is !== "busy") version = undefined;
      // That is how a watch may end, too.
      if (trouble.is !== "gone") warnOnce(trouble.why);
      await sleep(backoff(failures, random(), trouble.after), ending.signal);
      failures += 1;
    }
    ready.resolve();
  };
  const following = follow();

  return {
    get: table.get,
    all: table.all,
    ready: ready.promise,
    async close() {
      ending.abort(new Error("the end has come"));
      await following;
    },
  };
}

/** Line by line; what follows the last newline is no line yet. */
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
    if (rest.length > MAX_POD) {
      throw new Error(`one event of its watch is longer than ${MAX_POD} characters`);
    }
  }
}

/** RFC 1123, as the API server checks names. */
function checkNode(node: string): void {
  if (node.length <= 253 && /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(node)) return;
  throw new OomkitError(
    `cannot use "${node}" as the name of a node: it is no DNS name in lower case`,
    "give the name that kubectl get nodes shows",
  );
}
