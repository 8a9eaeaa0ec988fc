/**
 * A Kubernetes API server for tests, as far as oomkit uses one: pods (list, watch) and events (create, patch, get), over TLS, with a
 * token, and with failures on demand.
 */

import { type Certificates, certificates } from "./certificates.ts";
import {
  type Misbehaviour,
  misbehaviour,
  status,
  statusObject,
} from "./kubernetes_misbehaviour.ts";
import { decodingFault, type Json, validationFault } from "./kubernetes_validation.ts";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | null;
  readonly body: Json;
  status: number;
}

export interface KubernetesServer extends AsyncDisposable {
  readonly url: string;
  /** Like the mount of a service account, with `token`, `ca.crt` and `namespace`. */
  readonly mount: string;
  readonly tokenFile: string;
  readonly caFile: string;
  /** The only token that it accepts. */
  token: string;
  /** `verb resource` that RBAC does not allow. */
  readonly forbidden: Set<string>;
  /** How it answers a request; `undefined`: correctly. */
  misbehave: ((seen: Seen) => Misbehaviour | undefined) | undefined;
  readonly seen: readonly Seen[];
  /** By `namespace/name`. */
  readonly events: Map<string, Json>;
  /** The first request, past or future, that `matches`. */
  next(matches: (seen: Seen) => boolean): Promise<Seen>;
  /** Adds or changes a pod. */
  putPod(pod: Json): void;
  removePod(uid: string): void;
  bookmark(): void;
  /** Drops the history: watches of earlier versions get 410. */
  compact(): void;
  endWatches(): void;
  /** Sends a line on every open watch. */
  sendLine(line: string): void;
  /** Open watches. */
  readonly watches: number;
}

const encoder = new TextEncoder();
const line = (value: unknown) => encoder.encode(`${JSON.stringify(value)}\n`);
type Watcher = ReadableStreamDefaultController<Uint8Array>;

export async function startKubernetes(
  { tls, hostname = "127.0.0.1" }: { tls?: Certificates; hostname?: string } = {},
): Promise<KubernetesServer> {
  const { ca, cert, key } = tls ?? await certificates();
  const mount = await Deno.makeTempDir({ prefix: "oomkit-kubernetes-" });
  await Deno.writeTextFile(`${mount}/ca.crt`, ca);
  await Deno.writeTextFile(`${mount}/token`, "first-token\n");
  await Deno.writeTextFile(`${mount}/namespace`, "kube-system");

  const pods = new Map<string, Json>();
  const namespaces = new Set(["default", "kube-system"]);
  const history: { version: number; type: string; object: Json }[] = [];
  const watchers = new Set<Watcher>();
  const seen: Seen[] = [];
  let waiting: { matches: (seen: Seen) => boolean; resolve: (seen: Seen) => void }[] = [];
  const over = Promise.withResolvers<void>();
  let isOver = false;
  let version = 1000;
  let oldest = 1000;

  const notify = (type: string, object: Json) => {
    history.push({ version, type, object });
    for (const watcher of watchers) watcher.enqueue(line({ type, object }));
  };

  const stamped = (object: Json) => ({
    ...object,
    metadata: { ...object.metadata, resourceVersion: String(++version) },
  });

  const listPods = (query: URLSearchParams): Response => {
    const node = /^spec\.nodeName=(.+)$/.exec(query.get("fieldSelector") ?? "")?.[1];
    if (node === undefined) return status(400, "BadRequest", "field selector of the tests");
    const fits = (pod: Json) => pod.spec.nodeName === node;
    if (query.get("watch") === null) {
      return Response.json({
        kind: "PodList",
        apiVersion: "v1",
        metadata: { resourceVersion: String(version) },
        items: [...pods.values()].filter(fits),
      });
    }
    const from = Number(query.get("resourceVersion"));
    if (from < oldest) {
      const why = `too old resource version: ${from} (${oldest})`;
      return new Response(line({ type: "ERROR", object: statusObject(410, "Expired", why) }));
    }
    let watcher: Watcher;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        watcher = controller;
        // A watch that starts during the shutdown ends immediately.
        if (isOver) return watcher.close();
        watchers.add(watcher);
        for (const { version, type, object } of history) {
          const isFit = object.spec === undefined || fits(object);
          if (version > from && isFit) controller.enqueue(line({ type, object }));
        }
      },
      cancel: () => void watchers.delete(watcher),
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  };

  const createEvent = (namespace: string, event: Json): Response => {
    const fault = decodingFault(event, namespace);
    if (fault !== undefined) return status(400, "BadRequest", fault);
    if (!namespaces.has(namespace)) {
      return status(404, "NotFound", `namespaces "${namespace}" not found`);
    }
    const invalid = validationFault(event, namespace);
    if (invalid !== undefined) return status(422, "Invalid", invalid);
    const { name } = event.metadata;
    if (server.events.has(`${namespace}/${name}`)) {
      return status(409, "AlreadyExists", `events "${name}" already exists`);
    }
    const stored = stamped({ ...event, metadata: { ...event.metadata, namespace } });
    server.events.set(`${namespace}/${name}`, stored);
    return Response.json(stored, { status: 201 });
  };

  const patchEvent = (namespace: string, name: string, patch: Json, type: string | null) => {
    const known = ["application/merge-patch+json", "application/strategic-merge-patch+json"];
    if (!known.includes(type ?? "")) return status(415, "UnsupportedMediaType", `no ${type}`);
    const before = server.events.get(`${namespace}/${name}`);
    if (before === undefined) return status(404, "NotFound", `events "${name}" not found`);
    const after = stamped({ ...before, ...patch });
    const fault = decodingFault(after, namespace) ?? validationFault(after, namespace);
    if (fault !== undefined) return status(422, "Invalid", fault);
    server.events.set(`${namespace}/${name}`, after);
    return Response.json(after);
  };

  const answer = (one: Seen, type: string | null): Response => {
    const { method, path, query, authorization, body } = one;
    if (authorization !== `Bearer ${server.token}`) {
      return status(401, "Unauthorized", "Unauthorized");
    }
    const [, namespace, resource, name] =
      /^\/api\/v1(?:\/namespaces\/([^/]+))?\/(pods|events)(?:\/([^/]+))?$/.exec(path) ?? [];
    const verb = { POST: "create", PATCH: "patch" }[method] ??
      (name !== undefined ? "get" : query.get("watch") === null ? "list" : "watch");
    if (server.forbidden.has(`${verb} ${resource}`)) {
      const where = namespace === undefined
        ? "at the cluster scope"
        : `in the namespace "${namespace}"`;
      const why =
        `${resource} is forbidden: User "system:serviceaccount:kube-system:oomkit" cannot ` +
        `${verb} resource "${resource}" in API group "" ${where}`;
      return status(403, "Forbidden", why);
    }
    if (resource === "pods" && method === "GET") return listPods(query);
    if (resource === "events" && namespace !== undefined) {
      if (method === "POST") {
        if (type !== "application/json") return status(415, "UnsupportedMediaType", `no ${type}`);
        return createEvent(namespace, body);
      }
      if (method === "PATCH" && name !== undefined) return patchEvent(namespace, name, body, type);
      const event = server.events.get(`${namespace}/${name}`);
      if (event !== undefined) return Response.json(event);
    }
    return status(404, "NotFound", "the server could not find the requested resource");
  };

  const serve = async (request: Request): Promise<Response> => {
    const { pathname: path, searchParams: query } = new URL(request.url);
    const text = await request.text();
    const one: Seen = {
      method: request.method,
      path,
      query,
      authorization: request.headers.get("authorization"),
      body: text === "" ? undefined : JSON.parse(text),
      status: 0,
    };
    const wrong = server.misbehave?.(one);
    const right = () => answer(one, request.headers.get("content-type"));
    const response = wrong === undefined ? right() : misbehaviour(wrong, right, over.promise);
    const answered = await response;
    one.status = answered.status;
    seen.push(one);
    const served = waiting.filter(({ matches }) => matches(one));
    waiting = waiting.filter((each) => !served.includes(each));
    for (const { resolve } of served) resolve(one);
    if (wrong === "hang") await over.promise;
    return answered;
  };

  const listener = Deno.serve({
    hostname,
    port: 0,
    cert,
    key,
    onListen: () => {},
    // Broken streams are intended.
    onError: () => new Response("broken", { status: 500 }),
  }, serve);

  const endWatches = () => {
    for (const watcher of watchers) watcher.close();
    watchers.clear();
  };

  const server: KubernetesServer = {
    url: `https://${hostname.includes(":") ? `[${hostname}]` : hostname}:${listener.addr.port}`,
    mount,
    tokenFile: `${mount}/token`,
    caFile: `${mount}/ca.crt`,
    token: "first-token",
    forbidden: new Set(),
    misbehave: undefined,
    seen,
    events: new Map(),
    next(matches) {
      const before = seen.find(matches);
      if (before !== undefined) return Promise.resolve(before);
      return new Promise((resolve) => waiting.push({ matches, resolve }));
    },
    putPod(pod) {
      const { uid, namespace } = pod.metadata;
      namespaces.add(namespace);
      const type = pods.has(uid) ? "MODIFIED" : "ADDED";
      const object = stamped(pod);
      pods.set(uid, object);
      notify(type, object);
    },
    removePod(uid) {
      const object = stamped(pods.get(uid));
      pods.delete(uid);
      notify("DELETED", object);
    },
    bookmark() {
      notify("BOOKMARK", stamped({ kind: "Pod", apiVersion: "v1", metadata: {} }));
    },
    compact() {
      oldest = ++version;
      history.length = 0;
    },
    endWatches,
    sendLine(text) {
      for (const watcher of watchers) watcher.enqueue(encoder.encode(`${text}\n`));
    },
    get watches() {
      return watchers.size;
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      over.resolve();
      endWatches();
      await listener.shutdown();
      await Deno.remove(mount, { recursive: true });
    },
  };
  return server;
}
