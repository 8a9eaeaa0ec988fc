/** /metrics, /healthz and /readyz. */

import { OomkitError } from "../errors.ts";
import type { Health } from "./health.ts";
import { type Answer, converse, PLAIN } from "./http.ts";
import { formatListen, type ListenAddress } from "./listen.ts";
import { CONTENT_TYPE } from "./text.ts";

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
const MOST_CONNECTIONS = 32;
/**
 * An answer that does not fit into the socket's buffer waits for its reader, and Deno (2.7.11) cannot break a write off: to
 * close the connection does not end it. So who does not read costs a descriptor for as long as he lives.
 */
const MOST_SCRAPES = 8;
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
  const { most = MOST_CONNECTIONS, mostScrapes = MOST_SCRAPES } = options;
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
