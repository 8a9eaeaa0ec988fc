/** A webhook over TLS with a private authority. */

import assert from "node:assert/strict";
import { makeEvent } from "../../../core/events/event.ts";
import { Webhook } from "../../../core/receivers/webhook.ts";
import { certificates } from "../../helpers/certificates.ts";

/** Reports one event; returns what the receiver got and what was warned about. */
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
  const webhook = new Webhook({
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

Deno.test("a certificate of a configured authority is trusted", async () => {
  const { ca } = await certificates("webhook CA");
  assert.deepEqual(await reportTo("webhook CA", [ca]), { bodies: ["/a"], lines: [] });
});

Deno.test("a receiver with an untrusted certificate gets nothing, and that is reported", async () => {
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
