/** The API server of Kubernetes, spoken to with the service account of the pod: no more of it than reports and rules need. */

import { type Asked, type Failure, failureOf, failureOfFetch } from "./failure.ts";
import { type JsonObject, oneLine, parseObject } from "./failure.ts";
import { type KeptText, openKeptText } from "./kept_text.ts";
import { placeOf, type PlaceOptions, type Surroundings } from "./place.ts";

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

export interface ApiOptions extends PlaceOptions {
  /** Told of a token or CA that has become unreadable; the last one is used on. */
  warn(line: string): void;
  /** Milliseconds for a question and its answer. */
  readonly timeout?: number;
  /** For tests. */
  readonly around?: Surroundings;
}

const TIMEOUT_MS = 10_000;
/** An Event has a few KiB. */
const MOST_ANSWER = 256 * 1024;

const METHODS = { create: "POST", patch: "PATCH", list: "GET", watch: "GET" } as const;

/** @throws {OomkitError} for a URL, token or CA that cannot be used. Nothing is asked yet. */
export function openKubernetesApi(options: ApiOptions): KubernetesApi {
  const { warn, timeout = TIMEOUT_MS } = options;
  const { url, tokenFile, caFile } = placeOf(options, options.around);
  const token = tokenFile === undefined
    ? undefined
    : openKeptText(tokenFile, "the token", usableToken, "give a file with a token of the cluster");
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
    const said = await readBounded(response, MOST_ANSWER, signal) ?? "";
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
        const said = await readBounded(response, MOST_ANSWER, clock.signal);
        if (said === undefined) {
          return { is: "garbage", why: `its answer has more than ${MOST_ANSWER} bytes` };
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
  const kept: KeptText<Deno.HttpClient> = openKeptText(
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
