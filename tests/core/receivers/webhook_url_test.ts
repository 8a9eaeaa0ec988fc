/** Which URLs and certificates a webhook accepts, and what messages show of the URL. */

import assert from "node:assert/strict";
import { makeEvent } from "../../../core/events/event.ts";
import { Webhook, type WebhookOptions } from "../../../core/receivers/webhook.ts";

const webhookTo = (url: string, options: Partial<WebhookOptions> = {}) =>
  new Webhook({
    url,
    write: ({ cgroup }) => ({ body: cgroup, type: "text/plain" }),
    warn: assert.fail,
    closeWithin: 50,
    ...options,
  });

Deno.test("messages show only the origin of a URL, which may contain a secret", async () => {
  const shown = {
    "http://me:secret@127.0.0.1:1/a(secret)/b?token=secret#secret": "http://127.0.0.1:1",
    "https://127.0.0.1:1/services/secret": "https://127.0.0.1:1",
    "unix:/nonexistent/s:/secret": "unix:/nonexistent/s",
  };
  for (const [url, origin] of Object.entries(shown)) {
    const lines: string[] = [];
    const webhook = webhookTo(url, { warn: (line) => void lines.push(line) });
    webhook.report(makeEvent(0, "/a", "none", { type: "cgroup_created" }), "");
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
