/**
 * The HTTP server of /metrics, /healthz and /readyz: as much of HTTP/1.1 as a scraper and a kubelet's probe need, with one GET or
 * HEAD per connection.
 *
 * `Deno.serve` (2.7.11) bounds neither the connections nor the time in which a request must arrive: 400 hanging clients hold 400
 * descriptors for ever, and the guard needs the descriptors.
 */

import { errorText, OomkitError } from "../../errors.ts";
import { delay, withDeadline } from "../../timing.ts";
import { formatListen, type ListenAddress } from "./listen.ts";
import { CONTENT_TYPE } from "./text.ts";

export type Health = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** The monitor thread beats at least every 5 s, but a machine that swaps may delay it for seconds. */
const MAX_HEARTBEAT_AGE_MS = 15_000;

/** @param ageMs milliseconds since the last heartbeat of the monitor thread. */
export function heartbeatHealth(ageMs: number): Health {
  if (ageMs <= MAX_HEARTBEAT_AGE_MS) return { ok: true };
  const reason = `the monitor thread has not responded for ${Math.round(ageMs / 1000)} s`;
  return { ok: false, reason };
}

export interface ServedValues {
  metrics(): Promise<string>;
  alive(): Health;
  ready(): Health;
}

const LIMITS = {
  /** Each connection costs a descriptor. A node has a few scrapers and probes. */
  maxConnections: 32,
  /**
   * Connections that wait for /metrics or receive it. An answer that does not fit into the socket's buffer waits for its reader, and
   * Deno (2.7.11) cannot abort a write: closing the connection does not end it. So each client that does not read costs a
   * descriptor for as long as it lives.
   */
  maxScrapes: 8,
  /** For a connection as a whole: Prometheus' default scrape_timeout. */
  connectionMs: 10_000,
  /** For answers in progress on `close`. */
  closeMs: 500,
};
/** accept(2) fails immediately while descriptors are short; the pause avoids a busy loop. */
const MS_AFTER_FAILED_ACCEPT = 200;

interface Connection {
  /** The request is complete. */
  hasRequest: boolean;
  done: Promise<void>;
}

export class MetricsServer {
  /** With the actual port. */
  readonly address: ListenAddress;
  readonly #values: ServedValues;
  readonly #limits: typeof LIMITS;
  readonly #listener: Deno.TcpListener;
  readonly #accepting: Promise<void>;
  /** In the order of their arrival. */
  readonly #connections = new Map<Deno.Conn, Connection>();
  #scrapes = 0;
  #isClosing = false;

  /** Listens from now on. Throws {@link OomkitError} when that fails. */
  constructor(where: ListenAddress, values: ServedValues, limits: Partial<typeof LIMITS> = {}) {
    this.#values = values;
    this.#limits = { ...LIMITS, ...limits };
    this.#listener = listen(where);
    this.address = { host: where.host, port: this.#listener.addr.port };
    this.#accepting = this.#accept();
  }

  /** Closes every connection; answers in progress have a moment to finish. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#listener.close();
    for (const [conn, { hasRequest }] of this.#connections) if (!hasRequest) this.#hangUp(conn);
    const answers = Promise.all([...this.#connections.values()].map(({ done }) => done));
    await withDeadline(this.#limits.closeMs, answers, () => {});
    for (const conn of [...this.#connections.keys()]) this.#hangUp(conn);
    await this.#accepting;
  }

  async #accept(): Promise<void> {
    while (!this.#isClosing) {
      try {
        this.#open(await this.#listener.accept());
      } catch {
        if (!this.#isClosing) await delay(MS_AFTER_FAILED_ACCEPT);
      }
    }
  }

  #open(conn: Deno.Conn): void {
    if (this.#connections.size >= this.#limits.maxConnections) {
      // Hanging clients must not keep a probe out: closes the oldest connection without a request, else the oldest of all.
      const all = [...this.#connections];
      const [oldest] = all.find(([, { hasRequest }]) => !hasRequest) ?? all[0]!;
      this.#hangUp(oldest);
    }
    const connection = { hasRequest: false, done: Promise.resolve() };
    this.#connections.set(conn, connection);
    connection.done = this.#serve(conn, connection);
  }

  async #serve(conn: Deno.Conn, connection: Connection): Promise<void> {
    const timer = setTimeout(() => this.#hangUp(conn), this.#limits.connectionMs);
    let isScrape = false;
    try {
      await serveRequest(conn, async (path) => {
        connection.hasRequest = true;
        if (path === "/metrics" && this.#scrapes >= this.#limits.maxScrapes) {
          return plain(503, "too many scrapes at the same time; try again later");
        }
        isScrape = path === "/metrics";
        if (isScrape) this.#scrapes += 1;
        return await answerFor(path, this.#values);
      });
    } catch {
      // The client went away, or the connection was closed here.
    }
    if (isScrape) this.#scrapes -= 1;
    clearTimeout(timer);
    this.#hangUp(conn);
  }

  #hangUp(conn: Deno.Conn): void {
    this.#connections.delete(conn);
    try {
      conn.close();
    } catch {
      // Closed before.
    }
  }
}

interface Answer {
  readonly status: keyof typeof REASON_PHRASES;
  readonly type: string;
  readonly body: string | Uint8Array;
  /** A header line of its own. */
  readonly header?: string;
}

const plain = (status: Answer["status"], text: string, header = ""): Answer => ({
  status,
  type: "text/plain; charset=utf-8",
  body: `${text}\n`,
  header,
});

async function answerFor(path: string, values: ServedValues): Promise<Answer> {
  const health = (state: Health) => state.ok ? plain(200, "ok") : plain(503, state.reason);
  try {
    switch (path) {
      case "/metrics":
        return { status: 200, type: CONTENT_TYPE, body: await values.metrics() };
      case "/healthz":
        return health(values.alive());
      case "/readyz":
        return health(values.ready());
      default:
        return plain(404, "not found; there are /metrics, /healthz and /readyz");
    }
  } catch (error) {
    return plain(500, error instanceof Error ? error.message : String(error));
  }
}

const REASON_PHRASES = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

/** A scraper's request head has about 300 bytes. */
const MAX_HEAD_BYTES = 8192;
const TOO_LONG = "too long";
/** Read after the answer: closing a socket with unread data resets the connection, and the client may lose the answer. */
const MAX_DRAINED_BYTES = 65536;

/**
 * Reads one request, answers it and shuts the connection down for writing. Closing the connection ends it early.
 *
 * @param answer called when the request is complete.
 */
async function serveRequest(
  conn: Deno.Conn,
  answer: (path: string) => Promise<Answer>,
): Promise<void> {
  const head = await readHead(conn);
  if (head === undefined) return;
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r?\n/.exec(head) ?? [];
  if (head === TOO_LONG) await write(conn, plain(431, "the request is too long"));
  else if (target === undefined) await write(conn, plain(400, "this is not an HTTP/1 request"));
  else if (method !== "GET" && method !== "HEAD") {
    await write(conn, plain(405, "only GET and HEAD", "Allow: GET, HEAD\r\n"));
  } else {
    const path = target.replace(/^https?:\/\/[^/]*/i, "").split("?")[0]!;
    const found = await answer(path);
    await write(conn, acceptsGzip(head) ? await zipped(found) : found, method === "GET");
  }
  await conn.closeWrite();
  await drain(conn);
}

/** A shorter body gains nothing. */
const MIN_ZIPPED_CHARACTERS = 1024;

/** RFC 9110, 12.5.3; a quality of 0 refuses. */
function acceptsGzip(head: string): boolean {
  const codings = /^accept-encoding:(.*)$/im.exec(head)?.[1]?.split(",") ?? [];
  return codings.some((each) =>
    /^\s*(?:gzip|x-gzip)\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?\s*$/i.test(each)
  );
}

async function zipped(answer: Answer): Promise<Answer> {
  if (answer.body.length < MIN_ZIPPED_CHARACTERS) return answer;
  const { gzipSync } = await import("node:zlib");
  const header = `${answer.header ?? ""}Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n`;
  return { ...answer, body: gzipSync(answer.body, { level: 1 }), header };
}

/** Up to the empty line, or {@link TOO_LONG}; `undefined` when the client closes before. */
async function readHead(conn: Deno.Conn): Promise<string | undefined> {
  const buffer = new Uint8Array(MAX_HEAD_BYTES);
  const decoder = new TextDecoder();
  for (let length = 0; length < buffer.length;) {
    const count = await conn.read(buffer.subarray(length));
    if (count === null) return undefined;
    length += count;
    const text = decoder.decode(buffer.subarray(0, length));
    if (/\r?\n\r?\n/.test(text)) return text;
  }
  return TOO_LONG;
}

async function write(
  conn: Deno.Conn,
  { status, type, body, header = "" }: Answer,
  withBody = true,
): Promise<void> {
  const encoder = new TextEncoder();
  const content = typeof body === "string" ? encoder.encode(body) : body;
  const head = `HTTP/1.1 ${status} ${REASON_PHRASES[status]}\r\nContent-Type: ${type}\r\n` +
    `Content-Length: ${content.length}\r\nCache-Control: no-store\r\n` +
    `X-Content-Type-Options: nosniff\r\n${header}Connection: close\r\n\r\n`;
  for (const bytes of [encoder.encode(head), ...(withBody ? [content] : [])]) {
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  }
}

async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(8192);
  for (let drained = 0; drained < MAX_DRAINED_BYTES;) {
    const count = await conn.read(buffer);
    if (count === null) return;
    drained += count;
  }
}

function listen(where: ListenAddress): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: where.host, port: where.port });
  } catch (error) {
    const fail = (why: string, hint = "name an address of this machine, or none for 127.0.0.1") =>
      new OomkitError(`cannot listen on ${formatListen(where)}: ${why}`, hint);
    if (error instanceof Deno.errors.AddrInUse) {
      throw fail("the port is in use", "name another port, or stop the program that listens there");
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      const hint = "name a port from 1024 up, or run with CAP_NET_BIND_SERVICE";
      throw fail("permission denied", hint);
    }
    if (error instanceof Deno.errors.AddrNotAvailable) {
      throw fail("this machine does not have that address");
    }
    const text = errorText(error);
    throw fail(/lookup address|invalid host/.test(text) ? "the host is not known" : text);
  }
}
