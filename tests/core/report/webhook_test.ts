import assert from "node:assert/strict";
import { openWebhook } from "../../../core/report/webhook.ts";

type Answer = (request: Request) => Response | Promise<Response>;

interface Listener extends AsyncDisposable {
  readonly url: string;
  readonly bodies: readonly string[];
}

function listen(answer: Answer): Listener {
  const bodies: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      bodies.push(await request.text());
      return answer(request);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/message`,
    bodies,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const fine = () => new Response("thanks");

function complaints(): { lines: string[]; complain: (line: string) => void } {
  const lines: string[] = [];
  return { lines, complain: (line) => void lines.push(line) };
}

Deno.test("each event is POSTed as JSON, in the order in which they came", async () => {
  const requests: [string, string, string | null][] = [];
  await using server = listen((request) => {
    const { method, url, headers } = request;
    requests.push([method, new URL(url).pathname, headers.get("content-type")]);
    return fine();
  });
  const { lines, complain } = complaints();
  const webhook = openWebhook(server.url, complain);
  const bodies = ['{"a":1}', '{"a":"ä\\n"}', '{"a":3}'];
  for (const body of bodies) webhook.send(body);
  await webhook.close();
  assert.deepEqual(server.bodies, bodies);
  assert.deepEqual(requests, bodies.map(() => ["POST", "/message", "application/json"]));
  assert.deepEqual(lines, []);
});

Deno.test("what comes after a pause is sent as well", async () => {
  await using server = listen(fine);
  const webhook = openWebhook(server.url, assert.fail);
  for (const body of ["1", "2"]) {
    webhook.send(body);
    await webhook.close();
  }
  assert.deepEqual(server.bodies, ["1", "2"]);
});

Deno.test("an answer that is none is told once, and the next event is sent all the same", async () => {
  await using server = listen(() => new Response("no", { status: 503 }));
  const { lines, complain } = complaints();
  const webhook = openWebhook(server.url, complain);
  for (const body of ["1", "2", "3"]) webhook.send(body);
  await webhook.close();
  assert.deepEqual(server.bodies, ["1", "2", "3"]);
  assert.deepEqual(lines, [`cannot report to ${server.url}: it answered 503`]);
});

Deno.test("where nobody listens that is told once, and nothing is thrown", async () => {
  const server = listen(fine);
  const { url } = server;
  await server[Symbol.asyncDispose]();
  const { lines, complain } = complaints();
  const webhook = openWebhook(url, complain);
  webhook.send("1");
  webhook.send("2");
  await webhook.close();
  assert.equal(lines.length, 1);
  assert.ok(lines[0]!.startsWith(`cannot report to ${url}: `), lines[0]);
});

Deno.test("events do not go where the URL redirects to", async () => {
  await using other = listen(fine);
  await using server = listen(() => Response.redirect(other.url, 307));
  const { lines, complain } = complaints();
  const webhook = openWebhook(server.url, complain);
  webhook.send("1");
  await webhook.close();
  assert.equal(lines.length, 1);
  assert.deepEqual([server.bodies, other.bodies], [["1"], []]);
});

Deno.test("of a flood a hundred are kept, and that others are dropped is told once", async () => {
  await using server = listen(fine);
  const { lines, complain } = complaints();
  const webhook = openWebhook(server.url, complain);
  // The first is on its way before the second is queued.
  for (let at = 0; at < 150; at++) webhook.send(String(at));
  assert.deepEqual(lines, [`cannot report to ${server.url}: 100 are waiting already`]);
  await webhook.close();
  assert.deepEqual(server.bodies, Array.from({ length: 101 }, (_, at) => String(at)));
});

Deno.test("the end waits for what is on its way", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  await using server = listen(async () => {
    asked.resolve();
    await answer.promise;
    return fine();
  });
  const webhook = openWebhook(server.url, assert.fail);
  webhook.send("1");
  await asked.promise;
  let over = false;
  const closed = webhook.close().then(() => over = true);
  await Promise.resolve();
  assert.equal(over, false);
  answer.resolve();
  await closed;
});

Deno.test("one who never answers keeps the end waiting once, not for each that is left", async () => {
  const never = Promise.withResolvers<void>();
  const server = listen(async () => {
    await never.promise;
    return fine();
  });
  const { lines, complain } = complaints();
  const webhook = openWebhook(server.url, complain, 200);
  for (const body of ["1", "2", "3", "4"]) webhook.send(body);
  await webhook.close();
  never.resolve();
  await server[Symbol.asyncDispose]();
  assert.ok(server.bodies.length <= 2, String(server.bodies));
  assert.ok(lines.some((line) => / were waiting still$/.test(line)), lines.join());
});
