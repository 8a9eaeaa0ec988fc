import assert from "node:assert/strict";
import { shortName } from "../../../cli/terminal/name.ts";
import { widthOf } from "../../../cli/terminal/width.ts";

const id = "0123456789ab".padEnd(64, "cdef");
const path = `/kubepods/burstable/pod0a1b2c3d/${id}`;

Deno.test("a name is cut in the middle first, and its ends last", () => {
  assert.equal(shortName(path, 80), "/kubepods/burstable/pod0a1b2c3d/0123456789ab");
  assert.equal(shortName(path, 40), "/kubepods/…/pod0a1b2c3d/0123456789ab");
  assert.equal(shortName(path, 30), "…/pod0a1b2c3d/0123456789ab");
  assert.equal(shortName(path, 20), "…/0123456789ab");
  assert.equal(shortName(path, 13), "0123456789ab");
  assert.equal(shortName(path, 9), "0123…89ab");
  assert.equal(shortName(path, 9, false), "0123~89ab");
});

Deno.test("any name fits any width", () => {
  const names = [
    path,
    "/",
    "",
    "/a",
    "/日本語/データベース",
    "/a\x1b[31mb/\u202ec",
    "/" + "e\u0301".repeat(40),
  ];
  for (const name of names) {
    for (let width = 0; width < 50; width++) {
      for (const unicode of [true, false]) {
        const short = shortName(name, width, unicode);
        assert.ok(widthOf(short) <= width, `${JSON.stringify(short)} in ${width}`);
        // deno-lint-ignore no-control-regex
        assert.doesNotMatch(short, unicode ? /[\x00-\x1f\u202e]/ : /[^\x20-\x7e]/);
      }
    }
  }
});
