import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeName, encodeName, visibleBytes } from "../../core/names.ts";

Deno.test("any bytes convert to a name and back", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
    assert.deepEqual([...encodeName(decodeName(Uint8Array.from(bytes)))], [...bytes]);
  }));
});

Deno.test("a name that is UTF-8 is that text, and no other name is", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.equal(decodeName(new TextEncoder().encode(text)), text);
    assert.ok(text.isWellFormed());
  }));
  // One that is cut off, one that is too long for what it says, half of a surrogate pair, and a mark of the byte order.
  assert.equal(decodeName(Uint8Array.of(0x61, 0xc3)), "a\udcc3");
  assert.equal(decodeName(Uint8Array.of(0xc0, 0xaf)), "\udcc0\udcaf");
  assert.equal(decodeName(Uint8Array.of(0xed, 0xb3, 0xbf)), "\udced\udcb3\udcbf");
  assert.equal(decodeName(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), "\ufeffa");
});

Deno.test("bytes that are not UTF-8 are shown as escapes", () => {
  assert.equal(
    visibleBytes(decodeName(Uint8Array.of(0xff, 0x61, 0x80, 0xc3, 0xa9))),
    "\\xffa\\x80é",
  );
});
