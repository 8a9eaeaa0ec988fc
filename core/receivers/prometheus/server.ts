/** Whether it works, and why not: what /healthz and /readyz answer. Pure. */

import { OomkitError } from "../../errors.ts";
import { formatListen, type ListenAddress } from "./listen.ts";
import { CONTENT_TYPE } from "./text.ts";

export type Health = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The sentry turns once a second at least; a machine that swaps may let it stand for a few (milliseconds). */
const LONGEST_SILENCE_MS = 10_000;

/** @param silence milliseconds since the sentry was last seen to turn. */
export function heartbeatHealth(heartbeatAge: number): Health {
  if (heartbeatAge <= LONGEST_SILENCE_MS) return { ok: true };
  return { ok: false, why: `the sentry has not turned for ${Math.round(heartbeatAge / 1000)} s` };
}

/*
 * As much of HTTP/1.1 as a scraper and a kubelet's probe need: one GET or HEAD a connection, which is closed then.
 *
 * `Deno.serve` (2.7.11) bounds neither connections nor the time in which a request must be there: 400 clients that hang hold
 * 400 descriptors for ever, and the descriptors are the guard's own.
 */

export interface Answer {
  readonly status: 200 | 404 | 500 | 503;
  readonly type: string;
  readonly body: string;
}

const REASONS = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

type Status = keyof typeof REASONS;

/** A scraper's has some 300 bytes. */
const LONGEST_HEAD = 8192;
/** What a client may go on sending after its answer; to close while something is unread would take the answer back. */
const MAX_DRAINED = 65536;

export const PLAIN = "text/plain; charset=utf-8";

/**
 * Reads one request, answers it and ends the connection. It is the caller who bounds the time: by closing the connection.
 *
 * @param answer called when the request is complete.
 */
export async function converse(
  conn: Deno.Conn,
  answer: (path: string) => Promise<Answer>,
): Promise<void> {
  const head = await readHead(conn);
  if (head === undefined) return;
  const [method, path] = head === "too long" ? [] : parseRequest(head);
  if (head === "too long") await write(conn, 431, PLAIN, "the request is too long\n");
  else if (path === undefined) await write(conn, 400, PLAIN, "this is no HTTP/1 request\n");
  else if (method !== "GET" && method !== "HEAD") {
    await write(conn, 405, PLAIN, "only GET and HEAD\n", { extra: "Allow: GET, HEAD\r\n" });
  } else {
    const { status, type, body } = await answer(path);
    await write(conn, status, type, body, { bare: method === "HEAD" });
  }
  await conn.closeWrite();
  await drain(conn);
}

/** Up to the empty line; `undefined` when the client ends before. */
async function readHead(conn: Deno.Conn): Promise<string | "too long" | undefined> {
  const buffer = new Uint8Array(LONGEST_HEAD);
  const decoder = new TextDecoder();
  for (let length = 0; length < buffer.length;) {
    const count = await conn.read(buffer.subarray(length));
    if (count === null) return undefined;
    length += count;
    const text = decoder.decode(buffer.subarray(0, length));
    if (/\r?\n\r?\n/.test(text)) return text;
  }
  return "too long";
}

/** Method and path without the query; empty for what is no request. */
function parseRequest(head: string): string[] {
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r?\n/.exec(head) ?? [];
  if (method === undefined || target === undefined) return [];
  const path = target.replace(/^https?:\/\/[^/]*/i, "").split("?")[0]!;
  return [method, path];
}

async function write(
  conn: Deno.Conn,
  status: Status,
  type: string,
  body: string,
  { extra = "", bare = false } = {},
): Promise<void> {
  const encoder = new TextEncoder();
  const content = encoder.encode(body);
  const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: ${type}\r\n` +
    `Content-Length: ${content.length}\r\nCache-Control: no-store\r\n` +
    `X-Content-Type-Options: nosniff\r\n${extra}Connection: close\r\n\r\n`;
  await writeAll(conn, encoder.encode(head));
  if (!bare) await writeAll(conn, content);
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(8192);
  for (let taken = 0; taken < MAX_DRAINED;) {
    const count = await conn.read(buffer);
    if (count === null) return;
    taken += count;
  }
}

/* /metrics, /healthz and /readyz. */

export interface Answers {
  metrics(): Promise<string>;
  alive(): Health;
  ready(): Health;
}

export interface MetricsServer {
  /** With the port that it really is. */
  readonly address: ListenAddress;
  /** Ends everything, also those who hang; what is being answered has a moment left. */
  close(): Promise<void>;
}

export interface ServeOptions {
  /** Connections at once. */
  readonly most?: number;
  /** Of these, such as are to get all metrics. */
  readonly mostScrapes?: number;
  /** Milliseconds for a connection as a whole. */
  readonly patience?: number;
  /** Milliseconds for answers that are under way in the end. */
  readonly closeWithin?: number;
}

/** Some scrapers and probes; each costs a descriptor. */
const MAX_CONNECTIONS = 32;
/**
 * An answer that does not fit into the socket's buffer waits for its reader, and Deno (2.7.11) cannot break a write off: to
 * close the connection does not end it. So who does not read costs a descriptor for as long as he lives.
 */
const MAX_SCRAPES = 8;
/** Prometheus' own default: scrape_timeout. */
const PATIENCE_MS = 10_000;
const CLOSE_WITHIN_MS = 500;
/** Where descriptors run short, accept(2) fails at once and again. */
const ACCEPT_PAUSE_MS = 200;

/** Listens from now on. Throws {@link OomkitError} when that cannot be had. */
export function serveMetrics(
  where: ListenAddress,
  answers: Answers,
  options: ServeOptions = {},
): MetricsServer {
  const { most = MAX_CONNECTIONS, mostScrapes = MAX_SCRAPES } = options;
  const { patience = PATIENCE_MS, closeWithin = CLOSE_WITHIN_MS } = options;
  const listener = listen(where);
  const address = { host: where.host, port: listener.addr.port };
  /** In the order in which they came; `asked` once the request is complete. */
  const open = new Map<Deno.Conn, { asked: boolean; done: Promise<void> }>();
  let scrapes = 0;
  let closing = false;

  const hangUp = (conn: Deno.Conn) => {
    open.delete(conn);
    try {
      conn.close();
    } catch {
      // It was closed before.
    }
  };

  const serve = async (conn: Deno.Conn) => {
    const late = setTimeout(() => hangUp(conn), patience);
    let scraping = 0;
    try {
      await converse(conn, (path) => {
        const state = open.get(conn);
        if (state) state.asked = true;
        if (path === "/metrics" && scrapes >= mostScrapes) return Promise.resolve(TOO_MANY);
        scraping = path === "/metrics" ? 1 : 0;
        scrapes += scraping;
        return answerFor(path, answers);
      });
    } catch {
      // The client has gone, or was hung up on.
    }
    scrapes -= scraping;
    clearTimeout(late);
    hangUp(conn);
  };

  const takeIn = (conn: Deno.Conn) => {
    if (open.size >= most) {
      // Who hangs must not keep a probe away: who has asked for nothing for longest makes room, else the oldest.
      const [oldest] = [...open].find(([, { asked }]) => !asked) ?? [...open][0]!;
      hangUp(oldest);
    }
    const state = { asked: false, done: Promise.resolve() };
    open.set(conn, state);
    state.done = serve(conn);
  };

  const accept = async () => {
    while (!closing) {
      try {
        takeIn(await listener.accept());
      } catch {
        if (!closing) await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  };
  const accepting = accept();

  return {
    address,
    async close() {
      closing = true;
      listener.close();
      for (const [conn, { asked }] of open) if (!asked) hangUp(conn);
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, closeWithin);
      await Promise.race([Promise.all([...open.values()].map(({ done }) => done)), late]);
      clearTimeout(timer);
      for (const conn of [...open.keys()]) hangUp(conn);
      await accepting;
    },
  };
}

const TOO_MANY: Answer = {
  status: 503,
  type: PLAIN,
  body: "too many scrapes at once; try again later\n",
};

async function answerFor(path: string, { metrics, alive, ready }: Answers): Promise<Answer> {
  try {
    switch (path) {
      case "/metrics":
        return { status: 200, type: CONTENT_TYPE, body: await metrics() };
      case "/healthz":
        return healthAnswer(alive());
      case "/readyz":
        return healthAnswer(ready());
      default:
        return { status: 404, type: PLAIN, body: "there are /metrics, /healthz and /readyz\n" };
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { status: 500, type: PLAIN, body: `${why}\n` };
  }
}

function healthAnswer(health: Health): Answer {
  return health.ok
    ? { status: 200, type: PLAIN, body: "ok\n" }
    : { status: 503, type: PLAIN, body: `${health.why}\n` };
}

function listen(where: ListenAddress): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: where.host, port: where.port });
  } catch (error) {
    throw new OomkitError(
      `cannot listen on ${formatListen(where)}: ${reasonOf(error)}`,
      right(error),
    );
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "the port is in use";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.AddrNotAvailable) return "this machine has no such address";
  const message = error instanceof Error ? error.message : String(error);
  if (isUnknownHost(message)) return "the host is not known";
  return message.split(" (os error")[0]!;
}

function right(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "name another port, or end who listens there";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "name a port from 1024 up, or run with CAP_NET_BIND_SERVICE";
  }
  return "name an address of this machine, or none for 127.0.0.1";
}

const isUnknownHost = (message: string) => /lookup address|invalid host/.test(message);
