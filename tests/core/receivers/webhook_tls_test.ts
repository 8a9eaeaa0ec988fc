/** A webhook over TLS, with an authority of one's own. */

import assert from "node:assert/strict";
import { makeEvent } from "../../../core/events/event.ts";
import { openWebhook } from "../../../core/receivers/webhook.ts";
import { certificates } from "../../helpers/certificates.ts";

/** What it was told, and what became of one event. */
async function reportTo(authority: string, trusted: readonly string[] | undefined) {
  const { cert, key } = await certificates(authority);
  const bodies: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    async (request) => {
      bodies.push(await request.text());
      return new Response();
    },
  );
  const lines: string[] = [];
  const webhook = openWebhook({
    url: `https://127.0.0.1:${server.addr.port}/`,
    write: ({ cgroup }) => ({ body: cgroup, type: "text/plain" }),
    warn: (line) => void lines.push(line),
    closeWithin: 500,
    ...(trusted ? { caCerts: trusted } : {}),
  });
  webhook.report(makeEvent(0, "/a", "none", { type: "cgroup_created" }), "");
  await webhook.close();
  await server.shutdown();
  return { bodies, lines };
}

Deno.test("a receiver with a certificate of one's own authority is reported to", async () => {
  const { ca } = await certificates("webhook CA");
  assert.deepEqual(await reportTo("webhook CA", [ca]), { bodies: ["/a"], lines: [] });
});

Deno.test("one whose certificate nobody vouches for gets nothing, and that is told", async () => {
  const { ca } = await certificates("another CA");
  for (const trusted of [undefined, [ca]]) {
    const { bodies, lines } = await reportTo("webhook CA", trusted);
    assert.deepEqual(bodies, []);
    assert.match(
      lines[0]!,
      /^cannot report to https:\S+: .*(invalid peer certificate|UnknownIssuer)/,
    );
    assert.match(lines.at(-1)!, /1 report was dropped$/);
  }
});
