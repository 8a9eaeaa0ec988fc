import assert from "node:assert/strict";
import { makeEvent } from "../../../core/events/event.ts";
import { SIGNATURE_HEADER, Webhook, type WebhookOptions } from "../../../core/receivers/webhook.ts";
import { delay } from "../../../core/timing.ts";
import { certificates } from "../../helpers/certificates.ts";

type Answer = (request: Request, count: number) => Response | Promise<Response>;

interface Listener extends AsyncDisposable {
  readonly url: string;
  readonly bodies: readonly string[];
  readonly requests: readonly Pick<Request, "method" | "url" | "headers">[];
}

function listen(answer: Answer, where: Partial<Deno.ServeUnixOptions> = {}): Listener {
  const bodies: string[] = [];
  const requests: Pick<Request, "method" | "url" | "headers">[] = [];
  const handle = async (request: Request) => {
    // The headers cannot be read after the request has ended.
    const { method, url, headers } = request;
    requests.push({ method, url, headers: new Headers([...headers]) });
    bodies.push(await request.text());
    return answer(request, bodies.length);
  };
  const quiet = { onListen: () => {} };
  const server = where.path === undefined
    ? Deno.serve({ hostname: "127.0.0.1", port: 0, ...quiet }, handle)
    : Deno.serve({ path: where.path, ...quiet }, handle);
  const { addr } = server;
  return {
    url: "port" in addr ? `http://127.0.0.1:${addr.port}/message` : `unix:${where.path}:/message`,
    bodies,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const fine = () => new Response("thanks");
const eventOf = (cgroup: string) => makeEvent(0, cgroup, "none", { type: "cgroup_created" });

/** A webhook that sends the cgroup of the event, without pauses between attempts. */
function webhookTo(url: string, options: Partial<WebhookOptions> = {}) {
  const lines: string[] = [];
  const pauses: number[] = [];
  const webhook = new Webhook({
    url,
    write: ({ cgroup }) => ({ body: cgroup, type: "text/plain" }),
    warn: (line) => void lines.push(line),
    ...options,
    queue: {
      random: () => 0.5,
      sleep: (ms) => {
        pauses.push(ms);
        return Promise.resolve();
      },
      ...options.queue,
    },
  });
  return {
    webhook,
    lines,
    pauses,
    report: (cgroup: string) => webhook.report(eventOf(cgroup), ""),
  };
}

Deno.test("each event is POSTed, in order", async () => {
  await using server = listen(fine);
  const { webhook, lines, report } = webhookTo(server.url);
  const bodies = ["/a", "/ä\n", "/c"];
  bodies.forEach(report);
  await webhook.close();
  assert.deepEqual(server.bodies, bodies);
  for (const { method, url, headers } of server.requests) {
    assert.deepEqual([method, new URL(url).pathname], ["POST", "/message"]);
    assert.equal(headers.get("content-type"), "text/plain");
  }
  assert.deepEqual(lines, []);
  assert.deepEqual(webhook.counts(), { pending: 0, sent: 3, dropped: 0, failed: 0 });
});

Deno.test("a Unix socket is supported, with the HTTP path after the second colon", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-webhook-" });
  try {
    await using server = listen(fine, { path: `${directory}/s` });
    const { webhook, report, lines } = webhookTo(server.url);
    report("/a");
    await webhook.close();
    assert.deepEqual([server.bodies, lines], [["/a"], []]);
    assert.match(server.requests[0]!.url, /\/message$/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("an event for which write returns undefined is not sent", async () => {
  await using server = listen(fine);
  const { webhook, report } = webhookTo(server.url, { write: () => undefined });
  report("/a");
  await webhook.close();
  assert.deepEqual(server.bodies, []);
  assert.equal(webhook.counts().sent, 0);
});

Deno.test("headers are sent, and the signature is that of the body", async () => {
  await using server = listen(fine);
  const secret = new TextEncoder().encode("a secret");
  const { webhook, report } = webhookTo(server.url, {
    secret,
    headers: [["X-One", "1"], ["Authorization", "Bearer t"]],
  });
  report("/a");
  await webhook.close();
  const { headers } = server.requests[0]!;
  assert.equal(headers.get("x-one"), "1");
  assert.equal(headers.get("authorization"), "Bearer t");
  // printf /a | openssl dgst -sha256 -hmac 'a secret'
  const { createHmac } = await import("node:crypto");
  const expected = createHmac("sha256", "a secret").update("/a").digest("hex");
  assert.equal(headers.get(SIGNATURE_HEADER), `sha256=${expected}`);
});

Deno.test("an event is retried during an outage, and the outage is reported once", async () => {
  await using server = listen((_, count) => count < 4 ? new Response("", { status: 503 }) : fine());
  const { webhook, lines, report, pauses } = webhookTo(server.url);
  ["/a", "/b"].forEach(report);
  await webhook.close();
  assert.deepEqual(server.bodies, ["/a", "/a", "/a", "/a", "/b"]);
  const where = new URL(server.url).origin;
  assert.deepEqual(lines, [
    `cannot report to ${where}: it answered 503`,
    `can report to ${where} again, after 3 failed attempts`,
  ]);
  assert.equal(webhook.counts().dropped, 0);
  // Doubled each time, less a quarter: half of the jitter.
  assert.deepEqual(pauses, [750, 1500, 3000]);
});

Deno.test("Retry-After in seconds is respected", async () => {
  const busy = () => new Response("", { status: 429, headers: { "retry-after": "7" } });
  await using server = listen((_, count) => count === 1 ? busy() : fine());
  const { webhook, report, pauses } = webhookTo(server.url);
  report("/a");
  await webhook.close();
  assert.deepEqual(pauses, [7000]);
});

Deno.test("Retry-After as a date is respected, unless it has passed", async () => {
  const dates = [Date.now() + 20_000, Date.now() - 20_000];
  const busy = (count: number) =>
    new Response("", {
      status: 503,
      headers: { "retry-after": new Date(dates[count - 1]!).toUTCString() },
    });
  await using server = listen((_, count) => count <= dates.length ? busy(count) : fine());
  const { webhook, report, pauses } = webhookTo(server.url);
  report("/a");
  await webhook.close();
  assert.equal(pauses.length, 2);
  assert.ok(pauses[0]! > 10_000 && pauses[0]! <= 20_000, `${pauses[0]}`);
  assert.equal(pauses[1], 1500);
});

Deno.test("an event that the receiver will never accept is dropped, and the next one is sent", async () => {
  await using server = listen((_, count) =>
    count === 1 ? new Response("", { status: 422 }) : fine()
  );
  const { webhook, lines, report } = webhookTo(server.url);
  ["/a", "/b"].forEach(report);
  await webhook.close();
  assert.deepEqual(server.bodies, ["/a", "/b"]);
  assert.match(lines[0]!, /it answered 422$/);
  assert.deepEqual(webhook.counts(), { pending: 0, sent: 1, dropped: 1, failed: 1 });
});

/** After a few attempts it waits until the end of the program. */
const fewTries = (most: number) => {
  let tries = 0;
  return (_: number, ending: AbortSignal) =>
    ++tries < most ? Promise.resolve() : new Promise<void>((resolve) => {
      ending.addEventListener("abort", () => resolve());
    });
};

/** On which nothing listens. Not one such as 1, to which Deno 2.9 sends nothing (the Fetch standard's "bad ports"). */
function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("a refused connection is reported once, and so are the events dropped at the end", async () => {
  const origin = `http://127.0.0.1:${closedPort()}`;
  const { webhook, lines, report } = webhookTo(`${origin}/secret`, {
    closeWithin: 50,
    queue: { sleep: fewTries(3) },
  });
  ["/a", "/b"].forEach(report);
  await webhook.close();
  assert.equal(lines.length, 2, lines.join("\n"));
  assert.equal(lines[0], `cannot report to ${origin}: tcp connect error: Connection refused`);
  assert.equal(
    lines[1],
    `could not report to ${origin}: 2 reports were dropped (2 cgroup_created)`,
  );
  assert.equal(webhook.counts().dropped, 2);
});

Deno.test("a redirect is not followed", async () => {
  await using elsewhere = listen(fine);
  await using server = listen((_, count) =>
    count === 1 ? Response.redirect(elsewhere.url, 307) : fine()
  );
  const { webhook, lines, report } = webhookTo(server.url);
  report("/a");
  await webhook.close();
  assert.deepEqual(elsewhere.bodies, []);
  assert.match(lines[0]!, /it answered 307$/);
});

Deno.test("a full queue keeps the newest events and reports the number of dropped ones", async () => {
  const gate = Promise.withResolvers<void>();
  await using server = listen(async (_, count) => {
    if (count === 1) await gate.promise;
    return fine();
  });
  const { webhook, lines, report } = webhookTo(server.url, { queue: { maxQueued: 10 } });
  for (let n = 0; n < 100; n++) report(`/${n}`);
  assert.deepEqual(webhook.counts(), { pending: 11, sent: 0, dropped: 89, failed: 0 });
  gate.resolve();
  await webhook.close();
  assert.deepEqual(server.bodies, ["/0", ...Array.from({ length: 10 }, (_, n) => `/${n + 90}`)]);
  assert.deepEqual(lines, [
    `cannot report to ${
      new URL(server.url).origin
    }: 10 reports are waiting, and the oldest are dropped`,
    `could not report to ${
      new URL(server.url).origin
    } fast enough; 89 reports were dropped (89 cgroup_created)`,
  ]);
});

Deno.test("an endless answer is not read", async () => {
  const sent = { bytes: 0 };
  const endless = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          sent.bytes += 65536;
          controller.enqueue(new Uint8Array(65536));
        },
      }),
    );
  await using server = listen(endless);
  const { webhook, report } = webhookTo(server.url);
  report("/a");
  await webhook.close();
  assert.equal(webhook.counts().sent, 1);
  // What fits into the buffers of a connection.
  assert.ok(sent.bytes < 64 * 1024 ** 2, `${sent.bytes} bytes`);
});

Deno.test("an event is retried after a connection that breaks off", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let connections = 0;
  const serve = async () => {
    for await (const connection of listener) {
      connections += 1;
      await connection.read(new Uint8Array(1024));
      const answer = connections === 1 ? "HTTP/1.1 20" : "HTTP/1.1 204 No Content\r\n\r\n";
      await connection.write(new TextEncoder().encode(answer));
      connection.close();
    }
  };
  const served = serve();
  const { webhook, report } = webhookTo(`http://127.0.0.1:${listener.addr.port}/`);
  report("/a");
  await webhook.close();
  listener.close();
  await served;
  assert.equal(connections, 2);
  assert.equal(webhook.counts().sent, 1);
});

Deno.test("a receiver that never answers delays the end once, not once per queued event", async () => {
  const never = Promise.withResolvers<Response>();
  const server = listen(() => never.promise);
  const { webhook, lines, report } = webhookTo(server.url, { closeWithin: 50 });
  ["/a", "/b", "/c"].forEach(report);
  await webhook.close();
  const where = new URL(server.url).origin;
  assert.deepEqual(lines, [
    `could not report to ${where}: 3 reports were dropped (3 cgroup_created)`,
  ]);
  never.resolve(fine());
  await server[Symbol.asyncDispose]();
});

Deno.test("messages show only the origin of a URL, which may contain a secret", async () => {
  const shown = {
    "http://me:secret@127.0.0.1:1/a(secret)/b?token=secret#secret": "http://127.0.0.1:1",
    "https://127.0.0.1:1/services/secret": "https://127.0.0.1:1",
    "unix:/nonexistent/s:/secret": "unix:/nonexistent/s",
  };
  for (const [url, origin] of Object.entries(shown)) {
    const { webhook, lines, report } = webhookTo(url, {
      closeWithin: 50,
      queue: { sleep: delay },
    });
    report("/a");
    await webhook.close();
    assert.ok(lines[0]!.startsWith(`cannot report to ${origin}: `), lines[0]);
    assert.doesNotMatch(lines.join("\n"), /secret|\bme\b/);
  }
});

Deno.test("an invalid URL is refused with an example of a valid one", () => {
  const reasons = {
    "localhost": "it is not a URL",
    "": "it is not a URL",
    "file:///x": "its scheme is not http, https or unix",
    "unix:x": "the path of the socket is not absolute",
    "unix:": "the path of the socket is not absolute",
  };
  for (const [url, why] of Object.entries(reasons)) {
    const message = `cannot report to "${url}": ${why}; use one such as`;
    assert.throws(() => webhookTo(url), (error: Error) => error.message.startsWith(message), url);
  }
});

Deno.test("invalid certificates are refused", () => {
  const caCerts = ["-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"];
  assert.throws(() => webhookTo("https://localhost/", { caCerts }), /cannot use the certificates/);
});

/** Reports one event over TLS; returns what the receiver got and what was warned about. */
async function reportOverTls(authority: string, trusted: readonly string[] | undefined) {
  const { cert, key } = await certificates(authority);
  const bodies: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    async (request) => {
      bodies.push(await request.text());
      return new Response();
    },
  );
  const { webhook, lines, report } = webhookTo(`https://127.0.0.1:${server.addr.port}/`, {
    closeWithin: 500,
    queue: { sleep: delay },
    ...(trusted ? { caCerts: trusted } : {}),
  });
  report("/a");
  await webhook.close();
  await server.shutdown();
  return { bodies, lines };
}

Deno.test("a certificate of a configured authority is trusted", async () => {
  const { ca } = await certificates("webhook CA");
  assert.deepEqual(await reportOverTls("webhook CA", [ca]), { bodies: ["/a"], lines: [] });
});

Deno.test("a receiver with an untrusted certificate gets nothing, and that is reported", async () => {
  const { ca } = await certificates("another CA");
  for (const trusted of [undefined, [ca]]) {
    const { bodies, lines } = await reportOverTls("webhook CA", trusted);
    assert.deepEqual(bodies, []);
    assert.match(
      lines[0]!,
      /^cannot report to https:\S+: .*(invalid peer certificate|UnknownIssuer)/,
    );
    assert.match(lines.at(-1)!, /1 report was dropped \(1 cgroup_created\)$/);
  }
});
