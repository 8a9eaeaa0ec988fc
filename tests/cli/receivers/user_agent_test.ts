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
