import assert from "node:assert/strict";
import fc from "fast-check";
import { parseCount, parseLimit, parseSize } from "../../../core/parse/cgroupfs.ts";
import { fixture } from "./fixture.ts";

Deno.test("limits and usages read as the kernel wrote them", () => {
  assert.equal(parseLimit(fixture("6.1-v2", "limited/memory.max")), 20971520);
  assert.equal(parseLimit(fixture("6.1-v2", "limited/memory.current")), 4562944);
  assert.equal(parseLimit(fixture("6.1-v2", "limited/memory.swap.max")), 0);
  assert.equal(parseLimit(fixture("6.18-v1", "limited/memory.limit_in_bytes")), 20971520);
  assert.equal(parseLimit(fixture("6.18-v1", "limited/memory.usage_in_bytes")), 4837376);
  assert.equal(parseCount(fixture("6.18-v1", "limited/memory.failcnt")), 508n);
});

Deno.test("no limit is Infinity on v1 and v2, whatever the page size and age of the kernel", () => {
  assert.equal(parseLimit(fixture("6.1-v2", "victim/memory.max")), Infinity);
  assert.equal(parseLimit(fixture("6.18-v1", "victim/memory.limit_in_bytes")), Infinity);
  for (const text of ["9223372036854710272", "9223372036854775807", "18446744073709551615"]) {
    assert.equal(parseLimit(text), Infinity);
  }
});

Deno.test("a size between 2^53 and no limit is rounded, not unlimited", () => {
  assert.equal(parseLimit("9007199254740993"), 9007199254740992);
  assert.equal(parseLimit("4611686018427387903"), Infinity, "2^62 - 1 rounds to 2^62");
  assert.equal(parseLimit("4611686018427387000"), 4611686018427387000);
});

Deno.test("text that is not a size is unknown, never zero", () => {
  const nonsense = [
    "",
    "\n",
    " ",
    "-1\n",
    "+1",
    "1.5",
    "0x10",
    "1 2",
    "1\n2\n",
    "MAX",
    "maximum",
    "1e9",
    "∞",
    "٣",
  ];
  for (const text of [...nonsense, "9".repeat(21), undefined]) {
    assert.equal(parseLimit(text), undefined, text);
    assert.equal(parseCount(text), undefined, text);
  }
  assert.equal(parseCount("max\n"), undefined);
});

Deno.test("a count stays exact up to 2^64 - 1", () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (count) => {
    assert.equal(parseCount(`${count}\n`), count);
  }));
});

Deno.test("a size up to 2^53 stays exact", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.equal(parseLimit(`${bytes}\n`), bytes)));
});

Deno.test("arbitrary text yields a size that is not negative, or none", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const bytes = parseLimit(text);
    assert.ok(bytes === undefined || bytes >= 0);
    const count = parseCount(text);
    assert.ok(count === undefined || count >= 0n);
  }));
});

Deno.test("a size in use from 2^62 on is unknown: a counter that fell below zero", () => {
  for (const text of ["18446744073709543424", "4611686018427387904", "max", "-4096"]) {
    assert.equal(parseSize(`${text}\n`), undefined, text);
  }
  assert.equal(parseSize("4611686018427387000\n"), 4611686018427387000);
});
