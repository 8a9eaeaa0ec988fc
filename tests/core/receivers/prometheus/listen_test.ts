import assert from "node:assert/strict";
import { OomkitError } from "../../../../core/errors.ts";
import { formatListen, parseListen } from "../../../../core/receivers/prometheus/listen.ts";

Deno.test("without a host it is loopback; with one it is that", () => {
  const cases: [string, string, number][] = [
    [":9101", "127.0.0.1", 9101],
    ["9101", "127.0.0.1", 9101],
    [" :0 ", "127.0.0.1", 0],
    ["0.0.0.0:9101", "0.0.0.0", 9101],
    ["node-1.example:65535", "node-1.example", 65535],
    ["localhost:80", "localhost", 80],
    ["[::]:9101", "::", 9101],
    ["[::1]:9101", "::1", 9101],
    ["[fe80::1%eth0]:1", "fe80::1%eth0", 1],
    ["[::ffff:10.0.0.1]:1", "::ffff:10.0.0.1", 1],
  ];
  for (const [text, host, port] of cases) assert.deepEqual(parseListen(text), { host, port }, text);
});

Deno.test("an address is written as it is read", () => {
  for (const text of ["127.0.0.1:9101", "[::1]:0"]) {
    assert.equal(formatListen(parseListen(text)), text);
  }
});

Deno.test("what is no address is refused in one line, with what would be right", () => {
  const cases: [string, RegExp][] = [
    ["", /it is empty; write \[HOST\]:PORT, such as :9101/],
    [":", /it has no port/],
    ["0.0.0.0", /it has no port/],
    ["localhost", /it has no port/],
    ["localhost:", /it has no port/],
    ["[::1]", /it is no address/],
    [":99999", /"99999" is no port; a port is a number from 0 to 65535/],
    [":65536", /is no port/],
    [":-1", /"-1" is no port/],
    [":http", /"http" is no port/],
    ["::1", /an IPv6 address needs brackets; write it as \[::1\]:9101/],
    ["::1:9101", /needs brackets/],
    ["fe80::1:9101", /needs brackets/],
    ["[hello]:1", /"hello" is no IPv6 address/],
    ["*:9101", /write 0\.0\.0\.0:9101/],
    ["http://127.0.0.1:9101", /it is a URL, not an address/],
    ["127.0.0.1:9101/metrics", /a path is no address/],
    ["a b:1", /"a b" is no host/],
    ["x:y:z", /it is no address/],
    ["a\nb:1", /no host/],
    ["9".repeat(5000), /is no port/],
  ];
  for (const [text, expected] of cases) {
    assert.throws(() => parseListen(text), (error: unknown) => {
      assert.ok(error instanceof OomkitError, text);
      assert.match(error.message, expected, text);
      assert.ok(error.message.startsWith("cannot listen on "), error.message);
      assert.ok(!error.message.includes("\n") && error.message.length < 600, error.message);
      return true;
    });
  }
});
