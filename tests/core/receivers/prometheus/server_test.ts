import assert from "node:assert/strict";
import { OomkitError } from "../../../../core/errors.ts";
import {
  type Health,
  MetricsServer,
  type ServedValues,
} from "../../../../core/receivers/prometheus/server.ts";
import { CONTENT_TYPE } from "../../../../core/receivers/prometheus/text.ts";

const HERE = { host: "127.0.0.1", port: 0 };
const FINE: ServedValues = {
  metrics: () => Promise.resolve("oomkit_build_info 1\n"),
  alive: () => ({ ok: true }),
  ready: () => ({ ok: true }),
};

function serve(
  answers: Partial<ServedValues> = {},
  limits: ConstructorParameters<typeof MetricsServer>[2] = {},
) {
  const server = new MetricsServer(HERE, { ...FINE, ...answers }, limits);
  const { port } = server.address;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

async function get(url: string, init?: RequestInit): Promise<[number, string]> {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
}

const connect = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });
const send = (conn: Deno.Conn, text: string) => conn.write(new TextEncoder().encode(text));

/** Everything until the other side closes or resets. */
async function rest(conn: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(65536);
  try {
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      text += new TextDecoder().decode(buffer.subarray(0, n));
    }
  } catch {
    // Reset.
  }
  return text;
}

Deno.test("/metrics has Prometheus' content type, and unknown paths are 404", async () => {
  await using server = serve();
  const response = await fetch(`${server.url}/metrics?x=1`);
  assert.equal(response.headers.get("content-type"), CONTENT_TYPE);
  assert.equal(await response.text(), "oomkit_build_info 1\n");
  assert.equal((await get(`${server.url}/`))[0], 404);
  assert.equal((await get(`${server.url}/metrics/x`))[0], 404);
});

Deno.test("a long body is compressed for a client that accepts gzip", async () => {
  const text = "oomkit_build_info 1\n".repeat(1000);
  await using server = serve({ metrics: () => Promise.resolve(text) });
  const answerTo = async (header: string) => {
    using conn = await connect(server.port);
    await send(conn, `GET /metrics HTTP/1.1\r\nHost: x\r\n${header}\r\n`);
    return await rest(conn);
  };
  const accepting = { headers: { "accept-encoding": "gzip" } };
  assert.deepEqual(await get(`${server.url}/metrics`, accepting), [200, text]);
  for (const header of ["Accept-Encoding: gzip\r\n", "accept-encoding: br, gzip;q=0.5\r\n"]) {
    const zipped = await answerTo(header);
    assert.match(zipped, /\r\nContent-Encoding: gzip\r\n/);
    assert.ok(zipped.length < text.length / 10, String(zipped.length));
  }
  for (const header of ["", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: br\r\n"]) {
    assert.ok((await answerTo(header)).endsWith(`\r\n\r\n${text}`), header);
  }
});

Deno.test("health is evaluated for each request, and a failure states the reason", async () => {
  let alive: Health = { ok: true };
  let ready: Health = { ok: false, reason: "nothing is armed yet" };
  await using server = serve({ alive: () => alive, ready: () => ready });
  assert.deepEqual(await get(`${server.url}/healthz`), [200, "ok\n"]);
  assert.deepEqual(await get(`${server.url}/readyz`), [503, "nothing is armed yet\n"]);
  alive = { ok: false, reason: "the monitor thread has not responded for 12 s" };
  ready = { ok: true };
  assert.deepEqual(await get(`${server.url}/healthz`), [
    503,
    "the monitor thread has not responded for 12 s\n",
  ]);
  assert.deepEqual(await get(`${server.url}/readyz`), [200, "ok\n"]);
});

Deno.test("HEAD is answered without a body, and other methods are refused", async () => {
  await using server = serve();
  const head = await fetch(`${server.url}/metrics`, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  assert.equal(head.headers.get("content-length"), "20");
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const body = method === "POST" ? "x".repeat(10_000) : null;
    const answer = await fetch(`${server.url}/metrics`, { method, body });
    assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "GET, HEAD"]);
    await answer.body?.cancel();
  }
});

Deno.test("an exception is answered as 500, and the next request works", async () => {
  let works = false;
  const metrics = () => works ? FINE.metrics() : Promise.reject(new Error("the tree is gone"));
  await using server = serve({ metrics });
  assert.deepEqual(await get(`${server.url}/metrics`), [500, "the tree is gone\n"]);
  works = true;
  assert.equal((await get(`${server.url}/metrics`))[0], 200);
});

Deno.test("invalid HTTP is refused, and an endless request is cut off", async () => {
  await using server = serve();
  const cases: [string, RegExp][] = [
    ["hello\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["GET /metrics HTTP/2\r\n\r\n", /^HTTP\/1\.1 400 /],
    [`GET /${"x".repeat(20_000)}`, /^HTTP\/1\.1 431 /],
    ["GET http://node:9101/healthz HTTP/1.1\r\nHost: node\r\n\r\n", /^HTTP\/1\.1 200 OK\r\n/],
    ["GET /healthz HTTP/1.0\n\n", /^HTTP\/1\.1 200 OK\r\n/],
  ];
  for (const [request, expected] of cases) {
    using conn = await connect(server.port);
    await send(conn, request);
    await conn.closeWrite();
    assert.match(await rest(conn), expected);
  }
});

Deno.test("a request that arrives byte by byte is answered", async () => {
  await using server = serve();
  using conn = await connect(server.port);
  for (const character of "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") await send(conn, character);
  assert.match(await rest(conn), /\r\n\r\nok\n$/);
});

Deno.test("hanging clients are closed for a new one, and descriptors are bounded", async () => {
  await using server = serve({}, { maxConnections: 4 });
  const hanging: Deno.Conn[] = [];
  for (let at = 0; at < 20; at++) {
    const conn = await connect(server.port);
    hanging.push(conn);
    await send(conn, "GET /metr");
  }
  assert.deepEqual(await get(`${server.url}/healthz`), [200, "ok\n"]);
  // Closed in the order of their arrival.
  for (const conn of hanging.slice(0, 16)) assert.equal(await rest(conn), "");
  for (const conn of hanging) conn.close();
});

Deno.test("a client that takes too long is closed", async () => {
  await using server = serve({}, { connectionMs: 50 });
  using conn = await connect(server.port);
  await send(conn, "GET /healthz HTTP/1.1\r\n");
  assert.equal(await rest(conn), "");
});

Deno.test("close waits neither for hanging clients nor for clients that do not read", async () => {
  const asked = Promise.withResolvers<void>();
  const metrics = () => {
    asked.resolve();
    return Promise.resolve("x".repeat(64 * 1024 ** 2));
  };
  const server = serve({ metrics }, { closeMs: 50 });
  using silent = await connect(server.port);
  using slow = await connect(server.port);
  using deaf = await connect(server.port);
  await send(slow, "GET /");
  await send(deaf, "GET /metrics HTTP/1.1\r\n\r\n");
  await asked.promise;
  const begun = performance.now();
  await server.close();
  assert.ok(performance.now() - begun < 2000);
  assert.deepEqual([await rest(silent), await rest(slow)], ["", ""]);
});

Deno.test("clients that do not read their answer are bounded, and do not block health checks", async () => {
  let asked = 0;
  const metrics = () => {
    asked += 1;
    return Promise.resolve("x".repeat(64 * 1024 ** 2));
  };
  await using server = serve({ metrics }, { maxScrapes: 2 });
  const deaf = [await connect(server.port), await connect(server.port)];
  for (const conn of deaf) {
    await send(conn, "GET /metrics HTTP/1.1\r\n\r\n");
    // The answer has begun.
    await conn.read(new Uint8Array(1));
  }
  const refused = "too many scrapes at the same time; try again later\n";
  assert.deepEqual(await get(`${server.url}/metrics`), [503, refused]);
  assert.deepEqual(await get(`${server.url}/healthz`), [200, "ok\n"]);
  assert.equal(asked, 2);
  for (const conn of deaf) conn.close();
  let status = 503;
  while (status === 503) {
    const answer = await fetch(`${server.url}/metrics`);
    status = answer.status;
    await answer.body?.cancel();
  }
  assert.deepEqual([status, asked], [200, 3]);
});

Deno.test("an answer in progress is finished on close", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<string>();
  const metrics = () => {
    asked.resolve();
    return answer.promise;
  };
  const server = serve({ metrics });
  const got = get(`${server.url}/metrics`);
  await asked.promise;
  const closed = server.close();
  answer.resolve("late\n");
  assert.deepEqual(await got, [200, "late\n"]);
  await closed;
});

Deno.test("a failed listen is one line with a hint", async () => {
  await using server = serve();
  const cases: [string, number, string][] = [
    [
      "127.0.0.1",
      server.port,
      `cannot listen on 127.0.0.1:${server.port}: the port is in use; name another port, or stop the program that listens there`,
    ],
    [
      "203.0.113.7",
      9101,
      "cannot listen on 203.0.113.7:9101: this machine does not have that address; name an address of this machine, or none for 127.0.0.1",
    ],
    [
      "nowhere.invalid",
      9101,
      "cannot listen on nowhere.invalid:9101: the host is not known; name an address of this machine, or none for 127.0.0.1",
    ],
    [
      "fe80::1",
      9101,
      "cannot listen on [fe80::1]:9101: Invalid argument; name an address of this machine, or none for 127.0.0.1",
    ],
  ];
  for (const [host, port, message] of cases) {
    assert.throws(
      () => new MetricsServer({ host, port }, FINE),
      (error: unknown) => error instanceof OomkitError && error.message === message,
      message,
    );
  }
});

Deno.test("the port is free after close", async () => {
  const server = serve();
  await server.close();
  const again = new MetricsServer({ host: "127.0.0.1", port: server.port }, FINE);
  assert.equal(again.address.port, server.port);
  await again.close();
});
