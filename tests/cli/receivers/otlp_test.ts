/** `--otlp` against a receiver that speaks OTLP/HTTP, and against ones that do not. */

import assert from "node:assert/strict";
import config from "../../../deno.json" with { type: "json" };
import { startEventStream } from "../../helpers/event_stream.ts";
import { until } from "../../helpers/guarded.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

interface Exported {
  readonly path: string;
  readonly headers: Headers;
  readonly attributes: Readonly<Record<string, string>>;
  readonly names: readonly string[];
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue: string };
}

/** @param answer to the request of this number; by default that of a receiver that takes all. */
function startReceiver(
  answer: (at: number) => Response | Promise<Response> = () => Response.json({}),
) {
  const exports: Exported[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { resourceMetrics: [{ resource, scopeMetrics }] } = await request.json();
    exports.push({
      path: new URL(request.url).pathname,
      headers: request.headers,
      attributes: Object.fromEntries(
        resource.attributes.map(({ key, value }: Attribute) => [key, value.stringValue]),
      ),
      names: scopeMetrics[0].metrics.map(({ name }: { name: string }) => name),
    });
    return await answer(exports.length);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    exports,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const everyMs = (ms: number) => ({ OTEL_METRIC_EXPORT_INTERVAL: String(ms) });

for (const command of ["watch", "guard"]) {
  Deno.test(`${command} exports its metrics a last time when it ends, with the names of the service and the node`, async () => {
    using tree = makeTree(2, { "/a": { "memory.current": 7, "memory.max": 209715200 } });
    await using receiver = startReceiver();
    const { code, stderr } = await runOomkit(
      [command, "--root", tree.dir, "--for", "1ms", "--otlp", receiver.url, "/a"],
      {
        env: {
          NODE_NAME: "node-1",
          OOMKIT_STATE_DIR: tree.dir,
          OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20token",
          OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
        },
      },
    );
    assert.equal(code, 0, stderr);
    const [exported, ...others] = receiver.exports;
    assert.deepEqual(others, []);
    const { path, headers, attributes, names } = exported!;
    assert.equal(path, "/v1/metrics");
    assert.equal(headers.get("content-type"), "application/json");
    assert.equal(headers.get("authorization"), "Bearer token");
    assert.match(headers.get("user-agent")!, new RegExp(`^oomkit/${config.version}$`));
    assert.deepEqual(attributes, {
      "service.name": "oomkit",
      "service.version": config.version,
      "service.instance.id": `node-1/${command}`,
      "host.name": Deno.hostname(),
      "k8s.node.name": "node-1",
      "deployment.environment": "test",
    });
    assert.ok(
      names.includes("oomkit_build_info") && names.includes("oomkit_events_total"),
      `${names}`,
    );
  });
}

Deno.test("metrics are exported at each interval, and the start and the end of an outage are reported", async () => {
  using tree = makeTree(2, { "/a": {} });
  await using receiver = startReceiver((at) =>
    at < 3 ? new Response("secret", { status: 400 }) : Response.json({})
  );
  await using watch = await startEventStream(
    ["watch", "--json", "--root", tree.dir, "--otlp", `${receiver.url}/secret`, "/a"],
    { armed: /watching/, env: everyMs(50) },
  );
  await until("the end of the outage is reported", () => watch.stderr.includes("again"));
  await watch.stop();
  const reports = watch.stderr.split("\n").filter((line) => line.includes("export"));
  assert.deepEqual(reports, [
    `cannot export metrics to ${receiver.url}: it answered 400`,
    `can export metrics to ${receiver.url} again, after 2 failed exports`,
  ]);
  assert.ok(receiver.exports.every(({ path }) => path === "/secret/v1/metrics"));
});

Deno.test("a receiver that does not answer holds up neither the events nor, for long, the end", async () => {
  using tree = makeTree(2, { "/a": {} });
  const { promise, resolve } = Promise.withResolvers<void>();
  await using receiver = startReceiver(() => promise.then(() => Response.json({})));
  await using watch = await startEventStream(
    ["watch", "--json", "-r", "--root", tree.dir, "--otlp", receiver.url, "/a"],
    { armed: /watching/, env: everyMs(10) },
  );
  await until("a request waits for its answer", () => receiver.exports.length > 0);
  tree.add("/a/b", {});
  await watch.next(({ type }) => type === "cgroup_created");
  const events = await watch.stop();
  assert.equal(events.at(-1).type, "summary");
  resolve();
});

Deno.test("metrics that the receiver rejects are reported once", async () => {
  using tree = makeTree(2, { "/a": {} });
  await using receiver = startReceiver(() =>
    Response.json({ partialSuccess: { rejectedDataPoints: 3, errorMessage: "too old" } })
  );
  await using watch = await startEventStream(
    ["watch", "--json", "--root", tree.dir, "--otlp", receiver.url, "/a"],
    { armed: /watching/, env: everyMs(50) },
  );
  await until("metrics are exported again", () => receiver.exports.length > 2);
  await watch.stop();
  assert.equal(
    watch.stderr.match(/ has rejected 3 data points: too old$/gm)?.length,
    1,
    watch.stderr,
  );
});

Deno.test("a receiver that cannot be reached stops nothing, and its reason is reported", async () => {
  using tree = makeTree(2, { "/a": {} });
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closed = `http://127.0.0.1:${listener.addr.port}`;
  listener.close();
  for (
    const [url, why] of [
      [closed, "tcp connect error: Connection refused"],
      ["http://receiver.invalid", "dns error: failed to lookup address information"],
    ]
  ) {
    await using watch = await startEventStream(
      ["watch", "--json", "-r", "--root", tree.dir, "--otlp", url!, "/a"],
      { armed: /watching/, env: everyMs(20) },
    );
    await until("the failure is reported", () => watch.stderr.includes("cannot export"));
    const name = `/a/b${url!.length}`;
    tree.add(name, {});
    await watch.next(({ type, cgroup }) => type === "cgroup_created" && cgroup === name);
    await watch.stop();
    assert.ok(watch.stderr.includes(`cannot export metrics to ${url}: ${why}`), watch.stderr);
  }
});

Deno.test("certificates and headers that cannot be used are refused at the start, without their values", async () => {
  using tree = makeTree(2, { "/a": {} });
  const watch = ["watch", "--root", tree.dir, "--otlp", "http://localhost:1", "--for", "1ms", "/a"];
  for (
    const [name, value, message] of [
      ["HEADERS", "x-key=secret%0Ax", /^oomkit: cannot send the header x-key of OTEL_/],
      [
        "CERTIFICATE",
        "/nonexistent",
        /^oomkit: cannot use the certificates in \/nonexistent: No such/,
      ],
    ] as const
  ) {
    const { code, stderr } = await runOomkit(watch, {
      env: { [`OTEL_EXPORTER_OTLP_${name}`]: value },
    });
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
    assert.ok(!stderr.includes("secret"), stderr);
  }
});

Deno.test("an interval that is no number is reported, and the default is taken", async () => {
  using tree = makeTree(2, { "/a": {} });
  await using receiver = startReceiver();
  const { code, stderr } = await runOomkit(
    ["watch", "--root", tree.dir, "--for", "1ms", "--otlp", receiver.url, "/a"],
    { env: { OTEL_METRIC_EXPORT_INTERVAL: "1m" } },
  );
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /^OTEL_METRIC_EXPORT_INTERVAL is ignored: it is not a number of milliseconds$/m,
  );
  assert.equal(receiver.exports.length, 1);
});
