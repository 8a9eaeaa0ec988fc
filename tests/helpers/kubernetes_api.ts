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

const encoder = new TextEncoder();
const line = (value: unknown) => encoder.encode(`${JSON.stringify(value)}\n`);
type Watcher = ReadableStreamDefaultController<Uint8Array>;

export async function startKubernetes(
  { tls, hostname = "127.0.0.1" }: { tls?: Certificates; hostname?: string } = {},
): Promise<KubernetesServer> {
  const trusted = tls ?? await certificates();
  const mount = await Deno.makeTempDir({ prefix: "oomkit-kubernetes-" });
  await Deno.writeTextFile(`${mount}/ca.crt`, trusted.ca);
  await Deno.writeTextFile(`${mount}/token`, "first-token\n");
  await Deno.writeTextFile(`${mount}/namespace`, "kube-system");
  return new KubernetesServer(mount, hostname, trusted);
}

/** Started by {@link startKubernetes}. */
export class KubernetesServer implements AsyncDisposable {
  readonly url: string;
  readonly tokenFile: string;
  readonly caFile: string;
  /** The only token that it accepts. */
  token = "first-token";
  /** `verb resource` that RBAC does not allow. */
  readonly forbidden = new Set<string>();
  /** How it answers a request; `undefined`: correctly. */
  misbehave: ((seen: Seen) => Misbehaviour | undefined) | undefined;
  readonly seen: Seen[] = [];
  /** By `namespace/name`. */
  readonly events = new Map<string, Json>();
  readonly #listener: Deno.HttpServer<Deno.NetAddr>;
  readonly #pods = new Map<string, Json>();
  readonly #namespaces = new Set(["default", "kube-system"]);
  readonly #history: { version: number; type: string; object: Json }[] = [];
  readonly #watchers = new Set<Watcher>();
  #waiting: { matches: (seen: Seen) => boolean; resolve: (seen: Seen) => void }[] = [];
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;
  #version = 1000;
  #oldest = 1000;

  /** @param mount like that of a service account, with `token`, `ca.crt` and `namespace`. */
  constructor(readonly mount: string, hostname: string, { cert, key }: Certificates) {
    this.#listener = Deno.serve({
      hostname,
      port: 0,
      cert,
      key,
      onListen: () => {},
      // Broken streams are intended.
      onError: () => new Response("broken", { status: 500 }),
    }, (request) => this.#serve(request));
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    this.url = `https://${host}:${this.#listener.addr.port}`;
    this.tokenFile = `${mount}/token`;
    this.caFile = `${mount}/ca.crt`;
  }

  /** Open watches. */
  get watches(): number {
    return this.#watchers.size;
  }

  /** The first request, past or future, that `matches`. */
  next(matches: (seen: Seen) => boolean): Promise<Seen> {
    const before = this.seen.find(matches);
    if (before !== undefined) return Promise.resolve(before);
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }

  /** Adds or changes a pod. */
  putPod(pod: Json): void {
    const { uid, namespace } = pod.metadata;
    this.#namespaces.add(namespace);
    const type = this.#pods.has(uid) ? "MODIFIED" : "ADDED";
    const object = this.#stamped(pod);
    this.#pods.set(uid, object);
    this.#notify(type, object);
  }

  removePod(uid: string): void {
    const object = this.#stamped(this.#pods.get(uid));
    this.#pods.delete(uid);
    this.#notify("DELETED", object);
  }

  bookmark(): void {
    this.#notify("BOOKMARK", this.#stamped({ kind: "Pod", apiVersion: "v1", metadata: {} }));
  }

  /** Drops the history: watches of earlier versions get 410. */
  compact(): void {
    this.#oldest = ++this.#version;
    this.#history.length = 0;
  }

  endWatches(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers.clear();
  }

  /** Sends a line on every open watch. */
  sendLine(text: string): void {
    for (const watcher of this.#watchers) watcher.enqueue(encoder.encode(`${text}\n`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#over.resolve();
    this.endWatches();
    await this.#listener.shutdown();
    await Deno.remove(this.mount, { recursive: true });
  }

  #notify(type: string, object: Json): void {
    this.#history.push({ version: this.#version, type, object });
    for (const watcher of this.#watchers) watcher.enqueue(line({ type, object }));
  }

  #stamped(object: Json): Json {
    return {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(++this.#version) },
    };
  }

  #listPods(query: URLSearchParams): Response {
    const node = /^spec\.nodeName=(.+)$/.exec(query.get("fieldSelector") ?? "")?.[1];
    if (node === undefined) return status(400, "BadRequest", "field selector of the tests");
    const fits = (pod: Json) => pod.spec.nodeName === node;
    if (query.get("watch") === null) {
      return Response.json({
        kind: "PodList",
        apiVersion: "v1",
        metadata: { resourceVersion: String(this.#version) },
        items: [...this.#pods.values()].filter(fits),
      });
    }
    const from = Number(query.get("resourceVersion"));
    if (from < this.#oldest) {
      const why = `too old resource version: ${from} (${this.#oldest})`;
      return new Response(line({ type: "ERROR", object: statusObject(410, "Expired", why) }));
    }
    let watcher: Watcher;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        watcher = controller;
        // A watch that starts during the shutdown ends immediately.
        if (this.#isOver) return watcher.close();
        this.#watchers.add(watcher);
        for (const { version, type, object } of this.#history) {
          const isFit = object.spec === undefined || fits(object);
          if (version > from && isFit) controller.enqueue(line({ type, object }));
        }
      },
      cancel: () => void this.#watchers.delete(watcher),
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  #createEvent(namespace: string, event: Json): Response {
    const fault = decodingFault(event, namespace);
    if (fault !== undefined) return status(400, "BadRequest", fault);
    if (!this.#namespaces.has(namespace)) {
      return status(404, "NotFound", `namespaces "${namespace}" not found`);
    }
    const invalid = validationFault(event, namespace);
    if (invalid !== undefined) return status(422, "Invalid", invalid);
    const { name } = event.metadata;
    if (this.events.has(`${namespace}/${name}`)) {
      return status(409, "AlreadyExists", `events "${name}" already exists`);
    }
    const stored = this.#stamped({ ...event, metadata: { ...event.metadata, namespace } });
    this.events.set(`${namespace}/${name}`, stored);
    return Response.json(stored, { status: 201 });
  }

  #patchEvent(namespace: string, name: string, patch: Json, type: string | null): Response {
    const known = ["application/merge-patch+json", "application/strategic-merge-patch+json"];
    if (!known.includes(type ?? "")) return status(415, "UnsupportedMediaType", `no ${type}`);
    const before = this.events.get(`${namespace}/${name}`);
    if (before === undefined) return status(404, "NotFound", `events "${name}" not found`);
    const after = this.#stamped({ ...before, ...patch });
    const fault = decodingFault(after, namespace) ?? validationFault(after, namespace);
    if (fault !== undefined) return status(422, "Invalid", fault);
    this.events.set(`${namespace}/${name}`, after);
    return Response.json(after);
  }

  #answer(one: Seen, type: string | null): Response {
    const { method, path, query, authorization, body } = one;
    if (authorization !== `Bearer ${this.token}`) {
      return status(401, "Unauthorized", "Unauthorized");
    }
    const [, namespace, resource, name] =
      /^\/api\/v1(?:\/namespaces\/([^/]+))?\/(pods|events)(?:\/([^/]+))?$/.exec(path) ?? [];
    const verb = { POST: "create", PATCH: "patch" }[method] ??
      (name !== undefined ? "get" : query.get("watch") === null ? "list" : "watch");
    if (this.forbidden.has(`${verb} ${resource}`)) {
      const where = namespace === undefined
        ? "at the cluster scope"
        : `in the namespace "${namespace}"`;
      const why =
        `${resource} is forbidden: User "system:serviceaccount:kube-system:oomkit" cannot ` +
        `${verb} resource "${resource}" in API group "" ${where}`;
      return status(403, "Forbidden", why);
    }
    if (resource === "pods" && method === "GET") return this.#listPods(query);
    if (resource === "events" && namespace !== undefined) {
      if (method === "POST") {
        if (type !== "application/json") return status(415, "UnsupportedMediaType", `no ${type}`);
        return this.#createEvent(namespace, body);
      }
      if (method === "PATCH" && name !== undefined) {
        return this.#patchEvent(namespace, name, body, type);
      }
      const event = this.events.get(`${namespace}/${name}`);
      if (event !== undefined) return Response.json(event);
    }
    return status(404, "NotFound", "the server could not find the requested resource");
  }

  async #serve(request: Request): Promise<Response> {
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
    const wrong = this.misbehave?.(one);
    const right = () => this.#answer(one, request.headers.get("content-type"));
    const response = wrong === undefined ? right() : misbehaviour(wrong, right, this.#over.promise);
    const answered = await response;
    one.status = answered.status;
    this.seen.push(one);
    const served = this.#waiting.filter(({ matches }) => matches(one));
    this.#waiting = this.#waiting.filter((each) => !served.includes(each));
    for (const { resolve } of served) resolve(one);
    if (wrong === "hang") await this.#over.promise;
    return answered;
  }
}
