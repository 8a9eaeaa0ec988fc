import assert from "node:assert/strict";
import { OomkitError } from "../../../../core/errors.ts";
import { formatListen, parseListen } from "../../../../core/receivers/prometheus/listen.ts";

Deno.test("the default host is loopback", () => {
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

Deno.test("an address is formatted as it is parsed", () => {
  for (const text of ["127.0.0.1:9101", "[::1]:0"]) {
    assert.equal(formatListen(parseListen(text)), text);
  }
});

Deno.test("an invalid address is refused in one line with a hint", () => {
  const cases: [string, RegExp][] = [
    ["", /it is empty; write \[HOST\]:PORT, such as :9101/],
    [":", /it has no port/],
    ["0.0.0.0", /it has no port/],
    ["localhost", /it has no port/],
    ["localhost:", /it has no port/],
    ["[::1]", /it is not an address/],
    [":99999", /"99999" is not a port; a port is a number from 0 to 65535/],
    [":65536", /is not a port/],
    [":-1", /"-1" is not a port/],
    [":http", /"http" is not a port/],
    ["::1", /an IPv6 address needs brackets; write it as \[::1\]:9101/],
    ["::1:9101", /needs brackets/],
    ["fe80::1:9101", /needs brackets/],
    ["[hello]:1", /"hello" is not an IPv6 address/],
    ["*:9101", /write 0\.0\.0\.0:9101/],
    ["http://127.0.0.1:9101", /it is a URL, not an address/],
    ["127.0.0.1:9101/metrics", /a path is not an address/],
    ["a b:1", /"a b" is not a host/],
    ["x:y:z", /it is not an address/],
    ["a\nb:1", /is not a host/],
    ["9".repeat(5000), /is not a port/],
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
