/** A client of the Kubernetes API server that authenticates with the pod's service account. */

import { openCachedFile } from "./cached_file.ts";
import { type Failure, failureOf, failureOfFetch, oneLine, type RequestTarget } from "./failure.ts";
import { type JsonObject, parseObject } from "./json.ts";
import {
  type ServiceAccountEnvironment,
  serviceAccountOf,
  type ServiceAccountOptions,
} from "./service_account.ts";

export interface ApiRequest extends RequestTarget {
  /** Of the object, for `patch`. */
  readonly name?: string;
  readonly query?: Readonly<Record<string, string>>;
  /** An object to create, or a merge patch (RFC 7386). */
  readonly body?: unknown;
}

export type Answer = { readonly is: "ok"; readonly body: JsonObject } | Failure;

/** `text` yields pieces as they arrive. Throws when the connection breaks, or when nothing arrives for too long. */
export type Stream =
  | { readonly is: "ok"; readonly text: AsyncIterableIterator<string> }
  | Failure;

export interface ApiOptions extends ServiceAccountOptions {
  /** Called when the token or CA file becomes unreadable; the last content stays in use. */
  warn(line: string): void;
  /** Milliseconds for a request and its whole answer. */
  readonly timeout?: number;
  /** For tests. */
  readonly environment?: ServiceAccountEnvironment;
}

const REQUEST_TIMEOUT_MS = 10_000;
/** An Event has a few KiB. */
const MAX_ANSWER_BYTES = 256 * 1024;

const METHODS = { create: "POST", patch: "PATCH", list: "GET", watch: "GET" } as const;

export class KubernetesApi {
  readonly url: string;
  readonly #token: ReturnType<typeof openToken> | undefined;
  readonly #trust: Trust;
  /** Expected signer of the server's certificate, for messages. */
  readonly #authority: string;
  readonly #timeoutMs: number;
  readonly #warn: (line: string) => void;
  #reportedTroubles: readonly string[] = [];

  /** Sends nothing. Throws {@link OomkitError} for a URL, token or CA that cannot be used. */
  constructor(options: ApiOptions) {
    const { url, tokenFile, caFile } = serviceAccountOf(options, options.environment);
    this.url = url;
    this.#token = tokenFile === undefined ? undefined : openToken(tokenFile);
    this.#trust = openTrust(caFile);
    this.#authority = caFile === undefined
      ? "an authority that this machine trusts"
      : `the CA in ${caFile}`;
    this.#timeoutMs = options.timeout ?? REQUEST_TIMEOUT_MS;
    this.#warn = options.warn;
  }

  /** One request with its whole answer. Never throws. */
  async send(request: ApiRequest, ending?: AbortSignal): Promise<Answer> {
    const deadline = openDeadline(this.#timeoutMs, ending);
    try {
      const response = await this.#request(request, deadline.signal);
      if (!response.ok) return await this.#failure(request, response, deadline.signal);
      const text = await readBounded(response, deadline.signal);
      if (text === undefined) {
        return { is: "garbage", why: `its answer has more than ${MAX_ANSWER_BYTES} bytes` };
      }
      const body = parseObject(text);
      if (typeof body?.kind === "string") return { is: "ok", body };
      const what = text === "" ? "nothing" : oneLine(text).slice(0, 60);
      return { is: "garbage", why: `its answer is not a Kubernetes object: ${what}` };
    } catch (error) {
      return failureOfFetch(error, this.#authority);
    } finally {
      deadline.stop();
    }
  }

  /**
   * A long answer, piece by piece. It ends with `ending`, or when the caller leaves the loop over it.
   *
   * @param idleMs milliseconds without a piece after which it fails.
   */
  async open(request: ApiRequest, ending: AbortSignal, idleMs: number): Promise<Stream> {
    const deadline = openDeadline(Math.min(idleMs, this.#timeoutMs), ending);
    try {
      const response = await this.#request(request, deadline.signal);
      if (response.ok && response.body !== null) {
        return { is: "ok", text: pieces(response.body, deadline, idleMs) };
      }
      const failure = await this.#failure(request, response, deadline.signal);
      deadline.stop();
      return failure;
    } catch (error) {
      deadline.stop();
      return failureOfFetch(error, this.#authority);
    }
  }

  close(): void {
    this.#trust.close();
  }

  /** A rejected token may just have been replaced: reads it again and repeats the request once if it changed. */
  async #request(request: ApiRequest, signal: AbortSignal): Promise<Response> {
    const bearer = this.#token?.current();
    const client = this.#trust.client();
    this.#warnAboutFiles();
    const response = await this.#fetch(request, client, bearer, signal);
    if (response.status !== 401 || this.#token === undefined) return response;
    const fresh = this.#token.reread();
    this.#warnAboutFiles();
    if (fresh === bearer) return response;
    await response.body?.cancel();
    return await this.#fetch(request, client, fresh, signal);
  }

  #fetch(
    request: ApiRequest,
    client: Deno.HttpClient,
    bearer: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    return fetch(this.url + pathOf(request), {
      method: METHODS[request.verb],
      client,
      redirect: "manual",
      signal,
      headers: {
        accept: "application/json",
        "user-agent": "oomkit",
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        ...(request.body !== undefined && { "content-type": contentType(request) }),
      },
      ...(request.body !== undefined && { body: JSON.stringify(request.body) }),
    });
  }

  async #failure(
    request: ApiRequest,
    response: Response,
    signal: AbortSignal,
  ): Promise<Failure> {
    const text = await readBounded(response, signal) ?? "";
    const failure = failureOf(request, response.status, response.headers, text, this.url);
    const trouble = failure.is === "unauthorized" ? this.#token?.trouble : undefined;
    return trouble === undefined ? failure : { ...failure, why: `${failure.why}; ${trouble}` };
  }

  #warnAboutFiles(): void {
    const troubles = [this.#token?.trouble, this.#trust.trouble].filter((each) =>
      each !== undefined
    );
    for (const each of troubles) if (!this.#reportedTroubles.includes(each)) this.#warn(each);
    this.#reportedTroubles = troubles;
  }
}

const openToken = (file: string) =>
  openCachedFile(file, "the token", checkedToken, "give a file with a token of the cluster");

function checkedToken(text: string): string {
  const token = text.trim();
  if (token === "") throw new Error("it is empty");
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error("it is not a token, but several words");
  return token;
}

interface Trust {
  client(): Deno.HttpClient;
  readonly trouble: string | undefined;
  close(): void;
}

/** A client that trusts the CA in the file; a new client when the file changes. */
function openTrust(caFile: string | undefined): Trust {
  // HTTP/1.1: when a middlebox drops a connection silently, all HTTP/2 requests wait on that one connection.
  if (caFile === undefined) {
    const client = Deno.createHttpClient({ http2: false });
    return { client: () => client, trouble: undefined, close: () => client.close() };
  }
  let before: Deno.HttpClient | undefined;
  const use = (pem: string) => {
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new Error("it has no certificate");
    const client = Deno.createHttpClient({ caCerts: [pem], http2: false });
    // Requests in flight continue.
    before?.close();
    before = client;
    return client;
  };
  const hint = "give the certificate of the cluster's authority, in PEM";
  const file = openCachedFile(caFile, "the CA", use, hint);
  return {
    client: file.current,
    get trouble() {
      return file.trouble;
    },
    close: () => before?.close(),
  };
}

function pathOf({ resource, namespace, name, query = {} }: ApiRequest): string {
  const parts = ["api", "v1", ...(namespace === undefined ? [] : ["namespaces", namespace])];
  const path = [...parts, resource, ...(name === undefined ? [] : [name])];
  const search = new URLSearchParams(query).toString();
  return `/${path.map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`;
}

function contentType({ verb }: ApiRequest): string {
  return verb === "patch" ? "application/merge-patch+json" : "application/json";
}

interface Deadline {
  readonly signal: AbortSignal;
  /** Milliseconds from now. */
  restart(ms: number): void;
  stop(): void;
}

function openDeadline(ms: number, ending?: AbortSignal): Deadline {
  const controller = new AbortController();
  const start = (ms: number) =>
    setTimeout(() => controller.abort(new Error(`nothing arrived within ${ms / 1000} s`)), ms);
  let timer = start(ms);
  const end = () => controller.abort(ending?.reason);
  ending?.addEventListener("abort", end);
  if (ending?.aborted) end();
  return {
    signal: controller.signal,
    restart(ms) {
      clearTimeout(timer);
      timer = start(ms);
    },
    stop() {
      clearTimeout(timer);
      ending?.removeEventListener("abort", end);
    },
  };
}

type Body = ReadableStream<Uint8Array<ArrayBuffer>>;

/** `undefined` when the body is longer than {@link MAX_ANSWER_BYTES}; the rest is not read. */
async function readBounded(
  { body }: Response,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of chunks(body, signal)) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

async function* pieces(
  body: Body,
  deadline: Deadline,
  idleMs: number,
): AsyncIterableIterator<string> {
  const decoder = new TextDecoder();
  deadline.restart(idleMs);
  try {
    for await (const chunk of chunks(body, deadline.signal)) {
      deadline.restart(idleMs);
      yield decoder.decode(chunk, { stream: true });
    }
  } finally {
    deadline.stop();
  }
}

/**
 * Leaving the loop over it cancels the rest. It listens to the signal itself because the signal given to `fetch` does not always
 * reach the body (Deno 2.7.11: not once the Request that links them was garbage-collected).
 */
async function* chunks(body: Body, signal: AbortSignal) {
  const reader = body.getReader();
  // A rejection of cancel is also a rejection of the read below.
  const stop = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", stop);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}
