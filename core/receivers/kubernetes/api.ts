/** A list of Kubernetes objects, read while it comes in: never more of it at once than one object. */

import { type CachedFile, openCachedFile } from "./cached_file.ts";
import {
  serviceAccountOf,
  type ServiceAccountOptions,
  type Surroundings,
} from "./service_account.ts";

export interface ItemSplitter {
  /** @throws {Error} when one object, or all that is around them, is longer than it may be. */
  push(text: string): void;
  /** The list without its items, to be parsed. */
  end(): string;
}

const ITEMS = /"items"\s*:\s*\[$/;

/**
 * @param most characters of one item.
 * @param take is given each item of the list's array `items`, as JSON.
 */
export function openItemSplitter(most: number, take: (item: string) => void): ItemSplitter {
  let depth = 0;
  let inString = false;
  let escaped = false;
  let inItems = false;
  let item = "";
  let around = "";

  const keep = (text: string) => {
    if (inItems) item += text;
    else around += text;
    if (item.length > most || around.length > most) {
      throw new Error(`one object in its answer is longer than ${most} characters`);
    }
  };

  return {
    push(text) {
      let from = 0;
      const keepTo = (to: number) => {
        keep(text.slice(from, to));
        from = to;
      };
      for (let at = 0; at < text.length; at++) {
        const c = text[at];
        if (escaped) escaped = false;
        else if (inString && c === "\\") escaped = true;
        else if (c === '"') inString = !inString;
        else if (inString) continue;
        else if (c === "{" || c === "[") {
          depth += 1;
          if (depth !== 2 || c !== "[") continue;
          keepTo(at + 1);
          inItems = ITEMS.test(around.slice(-100));
        } else if (c === "}" || c === "]") {
          depth -= 1;
          if (!inItems || depth > 2) continue;
          keepTo(depth === 2 ? at + 1 : at);
          if (depth === 2) take(item.replace(/^[\s,]+/, ""));
          else inItems = false;
          item = "";
        }
      }
      keepTo(text.length);
    },
    end: () => around,
  };
}

/* What it means that the API server did not do what it was asked: one line, and whether to ask again. */

export interface Asked {
  /** The verb as RBAC names it. */
  readonly verb: "create" | "patch" | "list" | "watch";
  readonly resource: "events" | "pods";
  /** Absent: in all of them. */
  readonly namespace?: string;
}

export interface Failure {
  readonly is:
    /** Nobody, too late, or not the one whom the CA vouches for. */
    | "unreachable"
    | "unauthorized"
    | "forbidden"
    /** The namespace is about to go, and takes nothing new. */
    | "terminating"
    /** 404, said by an API server. */
    | "missing"
    | "exists"
    /** 410: the resource version is too old. */
    | "gone"
    /** Overloaded or out of order. */
    | "busy"
    /** It will never take it as it is. */
    | "refused"
    /** What came is not what an API server says. */
    | "garbage";
  readonly why: string;
  /** Milliseconds that it asked for. */
  readonly after?: number;
}

/** Of what the other side says; it can say as much as it likes. */
const MAX_SAID = 300;

/** @param said the body, as far as it was read. */
export function failureOf(
  asked: Asked,
  status: number,
  headers: Headers,
  said: string,
  url: string,
): Failure {
  const answer = readStatus(said);
  const message = answer?.message ?? "";
  const preferenceReason = message === "" ? "" : `: ${oneLine(message)}`;
  const after = retryAfter(headers);
  if (status >= 300 && status < 400) {
    const to = headers.get("location");
    return {
      is: "garbage",
      why: `it redirects${to ? ` to ${oneLine(to)}` : ""}, which is not followed`,
    };
  }
  if (status === 401) {
    return {
      is: "unauthorized",
      why: `401, the token is not accepted (expired, or another cluster's)${preferenceReason}`,
    };
  }
  if (answer === undefined && status < 500 && status !== 429) {
    return { is: "garbage", why: `${status} from something that is no API server at ${url}` };
  }
  switch (status) {
    case 403:
      return forbidden(asked, answer, preferenceReason);
    case 404:
      return { is: "missing", why: `404${preferenceReason}` };
    case 409:
      return answer?.reason === "AlreadyExists"
        ? { is: "exists", why: `409${preferenceReason}` }
        : { is: "busy", why: `409${preferenceReason}`, ...after };
    case 410:
      return { is: "gone", why: `410${preferenceReason}` };
    case 429:
      return { is: "busy", why: `429, it is asked too often${preferenceReason}`, ...after };
  }
  if (status >= 500) {
    return { is: "busy", why: `it answered ${status}${preferenceReason}`, ...after };
  }
  return { is: "refused", why: `it answered ${status}${preferenceReason}` };
}

function forbidden(asked: Asked, answer: Status | undefined, preferenceReason: string): Failure {
  if (answer?.causes.includes("NamespaceTerminating")) {
    return { is: "terminating", why: `403${preferenceReason}` };
  }
  const where = asked.namespace === undefined
    ? "in all namespaces"
    : `in namespace ${asked.namespace}`;
  return {
    is: "forbidden",
    why: `403, the service account may not ${asked.verb} ${asked.resource} ${where}; ` +
      `an RBAC rule is missing: apiGroups [""], resources ["${asked.resource}"], verbs ["${asked.verb}"]${preferenceReason}`,
  };
}

interface Status {
  readonly message: string;
  readonly reason: string;
  readonly causes: readonly string[];
}

/** meta/v1 Status, which is what an API server says when it does not do something. */
function readStatus(said: string): Status | undefined {
  const status = parseObject(said);
  if (status?.kind !== "Status") return undefined;
  const { message, reason } = status;
  const details = asObject(status.details)?.causes;
  return {
    message: typeof message === "string" ? message : "",
    reason: typeof reason === "string" ? reason : "",
    causes: Array.isArray(details) ? details.map((cause) => String(asObject(cause)?.reason)) : [],
  };
}

/** An ERROR in the midst of a watch. */
export function failureOfStatus(asked: Asked, object: unknown, url: string): Failure {
  const code = asObject(object)?.code;
  return failureOf(
    asked,
    typeof code === "number" ? code : 500,
    new Headers(),
    JSON.stringify(object) ?? "",
    url,
  );
}

function retryAfter(headers: Headers): { readonly after?: number } {
  const seconds = /^\d{1,6}$/.exec(headers.get("retry-after")?.trim() ?? "")?.[0];
  return seconds === undefined ? {} : { after: Number(seconds) * 1000 };
}

/**
 * Why `fetch` threw, without the URL, which the message names anyway.
 * @param authority whom the certificate should be signed by: "the CA in FILE".
 */
export function failureOfFetch(error: unknown, authority: string): Failure {
  const text = error instanceof Error ? error.message : String(error);
  const certificate = /invalid peer certificate: (.*)$/.exec(text)?.[1];
  if (certificate === "UnknownIssuer") {
    return { is: "unreachable", why: `its certificate is not signed by ${authority}` };
  }
  if (certificate !== undefined) {
    return { is: "unreachable", why: `its certificate is not valid: ${oneLine(certificate)}` };
  }
  const plain = text.replace(/^error sending request(?: for url \([^)]*\))?: /, "")
    .replace(/^client error \(\w+\): /, "").replace(/ \(os error \d+\)/, "");
  return { is: "unreachable", why: oneLine(plain) };
}

/** What is said by others in one line that is safe to show, and not too long. */
export function oneLine(text: string): string {
  const plain = text.toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
  return plain.length <= MAX_SAID ? plain : `${plain.slice(0, MAX_SAID - 1)}…`;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as JsonObject
    : undefined;
}

export function parseObject(text: string): JsonObject | undefined {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/* The API server of Kubernetes, spoken to with the service account of the pod: no more of it than reports and rules need. */

export interface ApiRequest extends Asked {
  /** Of the object, for `patch`. */
  readonly name?: string;
  readonly query?: Readonly<Record<string, string>>;
  /** An object to create, or a merge patch (RFC 7386). */
  readonly body?: unknown;
}

export type Answer = { readonly is: "ok"; readonly body: JsonObject } | Failure;

/** Text as it comes in. Throws when it breaks off, or when nothing came for too long. */
export type Stream =
  | { readonly is: "ok"; readonly text: AsyncIterableIterator<string> }
  | Failure;

export interface KubernetesApi {
  readonly url: string;
  /** One question and its whole answer; never throws. */
  send(request: ApiRequest, ending?: AbortSignal): Promise<Answer>;
  /**
   * A long answer, piece by piece. `ending` ends it, and so does leaving the loop over it.
   * @param idle milliseconds in which something must come.
   */
  open(request: ApiRequest, ending: AbortSignal, idle: number): Promise<Stream>;
  close(): void;
}

export interface ApiOptions extends ServiceAccountOptions {
  /** Told of a token or CA that has become unreadable; the last one is used on. */
  warn(line: string): void;
  /** Milliseconds for a question and its answer. */
  readonly timeout?: number;
  /** For tests. */
  readonly around?: Surroundings;
}

const TIMEOUT_MS = 10_000;
/** An Event has a few KiB. */
const MAX_ANSWER = 256 * 1024;

const METHODS = { create: "POST", patch: "PATCH", list: "GET", watch: "GET" } as const;

/** @throws {OomkitError} for a URL, token or CA that cannot be used. Nothing is asked yet. */
export function openKubernetesApi(options: ApiOptions): KubernetesApi {
  const { warn, timeout = TIMEOUT_MS } = options;
  const { url, tokenFile, caFile } = serviceAccountOf(options, options.around);
  const token = tokenFile === undefined ? undefined : openCachedFile(
    tokenFile,
    "the token",
    usableToken,
    "give a file with a token of the cluster",
  );
  const trust = openTrust(caFile);
  const authority = caFile === undefined
    ? "an authority that this machine trusts"
    : `the CA in ${caFile}`;
  const told = new Set<string>();

  const warnAboutFiles = () => {
    const troubles = [token?.trouble, trust.trouble].filter((each) => each !== undefined);
    for (const each of troubles) if (!told.has(each)) warn(each);
    told.clear();
    troubles.forEach((each) => told.add(each));
  };

  const ask = (
    request: ApiRequest,
    client: Deno.HttpClient,
    bearer: string | undefined,
    signal: AbortSignal,
  ) =>
    fetch(url + pathOf(request), {
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

  /** A token that is not accepted may have just been replaced: read again, and asked again with another, once. */
  const askTwice = async (request: ApiRequest, signal: AbortSignal) => {
    const bearer = token?.current();
    const client = trust.client();
    warnAboutFiles();
    const response = await ask(request, client, bearer, signal);
    if (response.status !== 401 || token === undefined) return response;
    const fresh = token.again();
    warnAboutFiles();
    if (fresh === bearer) return response;
    await response.body?.cancel();
    return await ask(request, client, fresh, signal);
  };

  const failed = async (
    request: ApiRequest,
    response: Response,
    signal: AbortSignal,
  ): Promise<Failure> => {
    const said = await readBounded(response, MAX_ANSWER, signal) ?? "";
    const failure = failureOf(request, response.status, response.headers, said, url);
    const trouble = failure.is === "unauthorized" ? token?.trouble : undefined;
    return trouble === undefined ? failure : { ...failure, why: `${failure.why}; ${trouble}` };
  };

  return {
    url,
    async send(request, ending) {
      const clock = openClock(timeout, ending);
      try {
        const response = await askTwice(request, clock.signal);
        if (!response.ok) return await failed(request, response, clock.signal);
        const said = await readBounded(response, MAX_ANSWER, clock.signal);
        if (said === undefined) {
          return { is: "garbage", why: `its answer has more than ${MAX_ANSWER} bytes` };
        }
        const body = parseObject(said);
        if (typeof body?.kind === "string") return { is: "ok", body };
        const what = said === "" ? "nothing" : oneLine(said).slice(0, 60);
        return { is: "garbage", why: `its answer is no object of Kubernetes: ${what}` };
      } catch (error) {
        return failureOfFetch(error, authority);
      } finally {
        clock.stop();
      }
    },
    async open(request, ending, idle) {
      const clock = openClock(Math.min(idle, timeout), ending);
      try {
        const response = await askTwice(request, clock.signal);
        if (response.ok && response.body !== null) {
          return { is: "ok", text: pieces(response.body, clock, idle) };
        }
        const failure = await failed(request, response, clock.signal);
        clock.stop();
        return failure;
      } catch (error) {
        clock.stop();
        return failureOfFetch(error, authority);
      }
    },
    close: trust.close,
  };
}

interface Trust {
  client(): Deno.HttpClient;
  readonly trouble: string | undefined;
  close(): void;
}

/** The client that trusts the authority in the file; another one once the file is another. */
function openTrust(caFile: string | undefined): Trust {
  // HTTP/1.1: where a machine in between forgets a connection, all that is asked over HTTP/2 hangs on that one for long.
  if (caFile === undefined) {
    const client = Deno.createHttpClient({ http2: false });
    return { client: () => client, trouble: undefined, close: () => client.close() };
  }
  let before: Deno.HttpClient | undefined;
  const use = (pem: string) => {
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new Error("it has no certificate");
    const client = Deno.createHttpClient({ caCerts: [pem], http2: false });
    // What is under way goes on.
    before?.close();
    before = client;
    return client;
  };
  const kept: CachedFile<Deno.HttpClient> = openCachedFile(
    caFile,
    "the CA",
    use,
    "give the certificate of the cluster's authority, in PEM",
  );
  return {
    client: kept.current,
    get trouble() {
      return kept.trouble;
    },
    close: () => before?.close(),
  };
}

function usableToken(text: string): string {
  const token = text.trim();
  if (token === "") throw new Error("it is empty");
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error("it is no token, but several words");
  return token;
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

interface Clock {
  readonly signal: AbortSignal;
  /** From now on so many milliseconds. */
  restart(ms: number): void;
  stop(): void;
}

function openClock(ms: number, ending?: AbortSignal): Clock {
  const late = new AbortController();
  const give = (after: number) =>
    setTimeout(() => late.abort(new Error(`nothing came within ${after / 1000} s`)), after);
  let timer = give(ms);
  const end = () => late.abort(ending?.reason);
  ending?.addEventListener("abort", end);
  if (ending?.aborted) end();
  return {
    signal: late.signal,
    restart(after) {
      clearTimeout(timer);
      timer = give(after);
    },
    stop() {
      clearTimeout(timer);
      ending?.removeEventListener("abort", end);
    },
  };
}

type Body = ReadableStream<Uint8Array<ArrayBuffer>>;

/** `undefined` when it is longer; the rest is not read. */
async function readBounded(
  { body }: Response,
  most: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of chunks(body, signal)) {
    bytes += chunk.length;
    if (bytes > most) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

async function* pieces(body: Body, clock: Clock, idle: number): AsyncIterableIterator<string> {
  const decoder = new TextDecoder();
  clock.restart(idle);
  try {
    for await (const chunk of chunks(body, clock.signal)) {
      clock.restart(idle);
      yield decoder.decode(chunk, { stream: true });
    }
  } finally {
    clock.stop();
  }
}

/**
 * Leaving the loop over it cancels what has not come yet. The signal that was given to `fetch` does not always reach the body
 * (Deno 2.7.11: once the Request that carries it to there was collected as garbage), so that it is heard here as well.
 */
async function* chunks(body: Body, signal: AbortSignal) {
  const reader = body.getReader();
  // What it rejects with, the read below does too.
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
