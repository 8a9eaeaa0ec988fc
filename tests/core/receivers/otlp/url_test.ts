import assert from "node:assert/strict";
import { otlpUrl, shownOtlpUrl } from "../../../../core/receivers/otlp/url.ts";

Deno.test("metrics are posted to /v1/metrics behind the path of the receiver", () => {
  const expected = {
    "http://localhost:4318": "http://localhost:4318/v1/metrics",
    "http://localhost:4318/": "http://localhost:4318/v1/metrics",
    "https://prometheus/api/v1/otlp/": "https://prometheus/api/v1/otlp/v1/metrics",
    "https://host/v1/metrics": "https://host/v1/metrics",
    "https://host/in?key=1": "https://host/in/v1/metrics?key=1",
  };
  for (const [text, url] of Object.entries(expected)) assert.equal(otlpUrl(text), url);
});

Deno.test("what is no http or https URL is refused, and its secret is not repeated", () => {
  for (const text of ["", "localhost", "localhost:4318", "grpc://secret@host", "unix:/secret"]) {
    assert.throws(() => otlpUrl(text), (error: Error) => {
      assert.match(error.message, /^it is not a URL|^its scheme is not http or https/);
      assert.ok(!error.message.includes("secret"));
      return true;
    });
  }
});

Deno.test("only the origin of the URL is shown", () => {
  assert.equal(shownOtlpUrl("https://user:secret@host:1/secret?secret"), "https://host:1");
});
