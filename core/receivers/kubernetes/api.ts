/** A client of the Kubernetes API server that authenticates with the pod's service account: requests, answers and failures. */

import { retryAfterMs } from "../delivery.ts";
import { requestErrorText } from "../request_error.ts";
import {
  openToken,
  type ServiceAccountEnvironment,
  serviceAccountOf,
  type ServiceAccountOptions,
  TrustingClient,
} from "./credentials.ts";
import { asObject, type JsonObject, parseObject } from "./json.ts";

export interface RequestTarget {
  /** As RBAC names it. */
  readonly verb: "create" | "patch" | "list" | "watch";
  readonly resource: "events" | "pods";
  /** Absent: all namespaces. */
  readonly namespace?: string;
}

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

/** Why the API server did not do what was requested: a kind that decides about another attempt, and one line for the user. */
export interface Failure {
  readonly is:
    /** No connection, a timeout, or a certificate that is not trusted. */
    | "unreachable"
    | "unauthorized"
    | "forbidden"
    /** The namespace is being deleted and accepts no new objects. */
    | "terminating"
    /** 404 from an API server. */
    | "missing"
    | "exists"
    /** 410: the resource version is too old. */
    | "gone"
    /** Overloaded or out of order. */
    | "busy"
    /** The server will never accept this request. */
    | "refused"
    /** The answer is not from an API server. */
    | "garbage";
  readonly why: string;
  /** Milliseconds that the server requested. */
  readonly after?: number | undefined;
}

export interface ApiOptions extends ServiceAccountOptions {
  /** Called when the token or CA file becomes unreadable; the last content stays in use. */
  warn(line: string): void;
  /** Milliseconds for a request and its whole answer. */
  readonly timeout?: number;
  /** Such as `oomkit/0.1.0`. */
  readonly userAgent?: string;
  /** For tests. */
  readonly environment?: ServiceAccountEnvironment;
}

const REQUEST_TIMEOUT_MS = 10_000;
/** An Event has a few KiB. A character has at least one byte. */
const MAX_ANSWER_BYTES = 256 * 1024;
/** Of text from the server, which may be of any length. */
const MAX_SHOWN_CHARACTERS = 300;

const METHODS = { create: "POST", patch: "PATCH", list: "GET", watch: "GET" } as const;

export class KubernetesApi {
  readonly url: string;
  readonly #token: ReturnType<typeof openToken> | undefined;
  readonly #client: TrustingClient;
  /** Expected signer of the server's certificate, for messages. */
  readonly #authority: string;
  readonly #timeoutMs: number;
  readonly #userAgent: string;

  /** Sends nothing. Throws {@link OomkitError} for a URL, token or CA that cannot be used. */
  constructor({ warn, timeout, environment, userAgent = "oomkit", ...options }: ApiOptions) {
    const { url, tokenFile, caFile } = serviceAccountOf(options, environment);
    this.url = url;
    this.#userAgent = userAgent;
    this.#token = tokenFile === undefined ? undefined : openToken(tokenFile, warn);
    this.#client = new TrustingClient(caFile, warn);
    this.#authority = caFile === undefined
      ? "an authority that this machine trusts"
      : `the CA in ${caFile}`;
    this.#timeoutMs = timeout ?? REQUEST_TIMEOUT_MS;
  }

  /** One request with its whole answer. Never throws. */
  async send(request: ApiRequest, ending?: AbortSignal): Promise<Answer> {
    using deadline = new Deadline(this.#timeoutMs, ending);
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
    }
  }

  /**
   * A long answer, piece by piece. It ends with `ending`, or when the caller leaves the loop over it.
   *
   * @param idleMs milliseconds without a piece after which it fails.
   */
  async open(request: ApiRequest, ending: AbortSignal, idleMs: number): Promise<Stream> {
    using opening = new DisposableStack();
    const deadline = opening.use(new Deadline(Math.min(idleMs, this.#timeoutMs), ending));
    try {
      const response = await this.#request(request, deadline.signal);
      if (!response.ok || response.body === null) {
        return await this.#failure(request, response, deadline.signal);
      }
      opening.move();
      return { is: "ok", text: pieces(response, deadline, idleMs) };
    } catch (error) {
      return failureOfFetch(error, this.#authority);
    }
  }

  close(): void {
    this.#client.close();
  }

  /** Of an ERROR event within a watch. */
  failureOfStatus(target: RequestTarget, object: unknown): Failure {
    const code = asObject(object)?.code;
    const status = typeof code === "number" ? code : 500;
    return failureOf(target, status, new Headers(), asObject(object), this.url);
  }

  /** A rejected token may just have been replaced: reads it again and repeats the request once if it changed. */
  async #request(request: ApiRequest, signal: AbortSignal): Promise<Response> {
    const bearer = this.#token?.current();
    const client = this.#client.current();
    const response = await this.#fetch(request, client, bearer, signal);
    if (response.status !== 401) return response;
    const fresh = this.#token?.reread();
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
    const { verb, body } = request;
    const type = verb === "patch" ? "application/merge-patch+json" : "application/json";
    return fetch(this.url + pathOf(request), {
      method: METHODS[verb],
      client,
      redirect: "manual",
      signal,
      headers: {
        accept: "application/json",
        "user-agent": this.#userAgent,
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        ...(body !== undefined && { "content-type": type }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async #failure(request: ApiRequest, response: Response, signal: AbortSignal): Promise<Failure> {
    const body = parseObject(await readBounded(response, signal) ?? "");
    const failure = failureOf(request, response.status, response.headers, body, this.url);
    const trouble = failure.is === "unauthorized" ? this.#token?.trouble : undefined;
    return trouble === undefined ? failure : { ...failure, why: `${failure.why}; ${trouble}` };
  }
}

function pathOf({ resource, namespace, name, query = {} }: ApiRequest): string {
  const parts = ["api", "v1", ...(namespace === undefined ? [] : ["namespaces", namespace])];
  const path = [...parts, resource, ...(name === undefined ? [] : [name])];
  const search = new URLSearchParams(query).toString();
  return `/${path.map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`;
}

/** Its signal is aborted with `ending`, or some time after the last start. */
class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #late = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number, ending?: AbortSignal) {
    this.signal = AbortSignal.any([this.#late.signal, ...(ending ? [ending] : [])]);
    this.restart(ms);
  }

  /** Milliseconds from now. */
  restart(ms: number): void {
    clearTimeout(this.#timer);
    const late = new Error(`nothing arrived within ${ms / 1000} s`);
    this.#timer = setTimeout(() => this.#late.abort(late), ms);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** `undefined` when the body is longer than {@link MAX_ANSWER_BYTES}; the rest is not read. */
async function readBounded(response: Response, signal: AbortSignal): Promise<string | undefined> {
  let text = "";
  for await (const piece of textOf(response, signal)) {
    text += piece;
    if (text.length > MAX_ANSWER_BYTES) return undefined;
  }
  return text;
}

async function* pieces(
  response: Response,
  deadline: Deadline,
  idleMs: number,
): AsyncIterableIterator<string> {
  using _ = deadline;
  deadline.restart(idleMs);
  for await (const piece of textOf(response, deadline.signal)) {
    deadline.restart(idleMs);
    yield piece;
  }
}

/**
 * Leaving the loop over it cancels the rest. The signal is given here too because the one given to `fetch` does not always reach
 * the body (Deno 2.7.11: not once the Request that links them was garbage-collected).
 */
function textOf({ body }: Response, signal: AbortSignal): AsyncIterable<string> {
  return (body ?? new Blob().stream()).pipeThrough(new TextDecoderStream(), { signal });
}

/** @param body as far as it was read. */
function failureOf(
  target: RequestTarget,
  status: number,
  headers: Headers,
  body: JsonObject | undefined,
  url: string,
): Failure {
  if (status >= 300 && status < 400) {
    const to = headers.get("location");
    const where = to ? ` to ${oneLine(to)}` : "";
    return { is: "garbage", why: `it redirects${where}, which is not followed` };
  }
  // meta/v1 Status, the body of an API server's refusal.
  const answer = body?.kind === "Status" ? body : undefined;
  const message = typeof answer?.message === "string" ? answer.message : "";
  const detail = message === "" ? "" : `: ${oneLine(message)}`;
  if (status === 401) {
    return {
      is: "unauthorized",
      why: `401, the token is not accepted (expired, or of another cluster)${detail}`,
    };
  }
  if (answer === undefined && status < 500 && status !== 429) {
    return { is: "garbage", why: `${status} from a server that is not an API server at ${url}` };
  }
  const busy = (why: string): Failure => ({ is: "busy", why, after: retryAfterMs(headers) });
  switch (status) {
    case 403:
      return isTerminating(answer)
        ? { is: "terminating", why: `403${detail}` }
        : { is: "forbidden", why: forbiddenText(target) + detail };
    case 404:
      return { is: "missing", why: `404${detail}` };
    case 409:
      return answer?.reason === "AlreadyExists"
        ? { is: "exists", why: `409${detail}` }
        : busy(`409${detail}`);
    case 410:
      return { is: "gone", why: `410${detail}` };
    case 429:
      return busy(`429, too many requests${detail}`);
  }
  const why = `it answered ${status}${detail}`;
  return status >= 500 ? busy(why) : { is: "refused", why };
}

function isTerminating(answer: JsonObject | undefined): boolean {
  const causes = asObject(answer?.details)?.causes;
  return Array.isArray(causes) &&
    causes.some((cause) => asObject(cause)?.reason === "NamespaceTerminating");
}

function forbiddenText({ verb, resource, namespace }: RequestTarget): string {
  const where = namespace === undefined ? "in all namespaces" : `in namespace ${namespace}`;
  return `403, the service account may not ${verb} ${resource} ${where}; ` +
    `an RBAC rule is missing: apiGroups [""], resources ["${resource}"], verbs ["${verb}"]`;
}

/**
 * Of an exception of `fetch`, without the URL, which the caller's message has.
 *
 * @param authority expected signer of the certificate: "the CA in FILE".
 */
function failureOfFetch(error: unknown, authority: string): Failure {
  const text = requestErrorText(error);
  const certificate = /invalid peer certificate: (.*)$/.exec(text)?.[1];
  const why = certificate === "UnknownIssuer"
    ? `its certificate is not signed by ${authority}`
    : certificate !== undefined
    ? `its certificate is not valid: ${oneLine(certificate)}`
    : oneLine(text);
  return { is: "unreachable", why };
}

/** Text from the server as one bounded line without control characters. */
function oneLine(text: string): string {
  const plain = text.toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
  return plain.length <= MAX_SHOWN_CHARACTERS
    ? plain
    : `${plain.slice(0, MAX_SHOWN_CHARACTERS - 1)}…`;
}
