import assert from "node:assert/strict";
import config from "../../../deno.json" with { type: "json" };
import { runOomkit } from "../../helpers/run_oomkit.ts";
import { makeTree } from "../../helpers/trees.ts";

Deno.test("a webhook's User-Agent is oomkit and its version, unless a header replaces it", async () => {
  using tree = makeTree(2, { "/a": {} });
  const agents: (string | null)[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    agents.push(request.headers.get("user-agent"));
    return new Response("");
  });
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const watch = ["watch", "--root", tree.dir, "/a", "--for", "1ms"];
  const webhook = ["--webhook-url", url, "--event-types", "all"];
  for (const more of [[], ["--webhook-header", "User-Agent: mine"]]) {
    const { code, stderr } = await runOomkit([...watch, ...webhook, ...more]);
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(agents, [`oomkit/${config.version}`, "mine"]);
});

Deno.test("NODE_NAME is the source of a webhook's events and their node, else the host's name is the source", async () => {
  using tree = makeTree(2, { "/a": {} });
  const events: { source: string; data: { node?: string } }[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      events.push(await request.json());
      return new Response("");
    },
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const watch = ["watch", "--root", tree.dir, "/a", "--for", "1ms", "--webhook-url", url];
  for (const name of ["node-1", ""]) {
    const env = { NODE_NAME: name };
    const { code, stderr } = await runOomkit([...watch, "--event-types", "all"], { env });
    assert.equal(code, 0, stderr);
  }
  const [inCluster, outside] = events;
  assert.deepEqual([inCluster!.source, inCluster!.data.node], ["/oomkit/node-1", "node-1"]);
  const source = `/oomkit/${encodeURIComponent(Deno.hostname())}`;
  assert.deepEqual([outside!.source, outside!.data.node], [source, undefined]);
});
