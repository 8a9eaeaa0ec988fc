import {
  ascii,
  beginning,
  cutTo,
  ending,
  filled,
  shortName,
  visible,
  widthOf,
} from "../../../cli/terminal/width.ts";
import assert from "node:assert/strict";

Deno.test("wide characters take two columns, combining marks and styles none", () => {
  const cases: [string, number][] = [
    ["", 0],
    ["abc", 3],
    ["日本", 4],
    ["한글", 4],
    ["ｆｕｌｌ", 8],
    ["🚀x", 3],
    ["e\u0301e", 2],
    ["é…─█", 4],
    ["\x1b[1;31mabc\x1b[0m", 3],
    ["\x1b[38;2;1;2;3m日\x1b[0m", 2],
  ];
  for (const [text, width] of cases) assert.equal(widthOf(text), width, JSON.stringify(text));
});

Deno.test("control characters and characters of unreliable width are shown as escapes", () => {
  assert.equal(visible("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  assert.equal(visible("a\u202eb"), "a\\u202eb");
  assert.equal(visible("\u{1f469}\u200d\u{1f680}"), "\u{1f469}\\u200d\u{1f680}");
  assert.equal(visible("\u2764\ufe0f"), "\u2764\\ufe0f");
  assert.equal(visible("\u{1f1e9}"), "\\u{1f1e9}");
  assert.equal(visible("\u0301a"), "\\u0301a");
  assert.equal(visible("a" + "\u0301".repeat(5)), "a\u0301\u0301\u0301\\u0301\\u0301");
});

Deno.test("ASCII output contains only ASCII, and styles stay", () => {
  assert.equal(visible("日…", false), "\\u65e5~");
  assert.equal(ascii("\x1b[1m█▒░ – a → b\x1b[0m"), "\x1b[1m#=. - a > b\x1b[0m");
});

Deno.test("a cut never halves a wide character, and keeps styles", () => {
  assert.equal(beginning("日本語", 5), "日本");
  assert.equal(ending("日本語", 5), "本語");
  assert.equal(ending("ae\u0301", 1), "e\u0301");
  assert.equal(beginning("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
  assert.equal(beginning("a\x1b[31m日\x1b[0mb", 2), "a\x1b[31m\x1b[0m");
  assert.equal(cutTo("abcdef", 4), "abc…");
  assert.equal(cutTo("日本語", 4), "日…");
  assert.equal(cutTo("abc", 0), "");
});

Deno.test("a filled text has exactly the requested columns for any content", () => {
  for (const text of ["", "abc", "日本語", "a日b本c語", "e\u0301\u0301x", "🚀🚀🚀"]) {
    for (let width = 0; width < 10; width++) {
      assert.equal(widthOf(filled(text, width)), width, `${text} in ${width}`);
      assert.equal(widthOf(filled(text, width, "right")), width, `${text} in ${width}`);
    }
  }
});

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
