import assert from "node:assert/strict";
import fc from "fast-check";
import {
  cut,
  cutMiddle,
  flow,
  foldLine,
  tabulate,
  wrap,
  wrapBehind,
  wrapCommand,
  wrapTo,
} from "../../../cli/terminal/layout.ts";
import { widthOf } from "../../../cli/terminal/width.ts";

Deno.test("columns are aligned and the last one is cut", () => {
  const columns = [{ title: "SIZE", align: "right" }, { title: "NAME", align: "left" }] as const;
  assert.deepEqual(tabulate(columns, [["1 B", "short"], ["100 B", "a very long name"]], 16), [
    " SIZE  NAME",
    "  1 B  short",
    "100 B  a very l…",
  ]);
});

Deno.test("a table is aligned with wide characters, and may have any number of rows", () => {
  const columns = [{ title: "NAME", align: "left" }, { title: "SIZE", align: "right" }, {
    title: "CGROUP",
    align: "left",
  }] as const;
  assert.deepEqual(tabulate(columns, [["宽字", "1 B", "/a"], ["ab", "10 B", "/宽字符宽字"]], 21), [
    "NAME  SIZE  CGROUP",
    "宽字   1 B  /a",
    "ab    10 B  /宽字符…",
  ]);
  const many = Array.from({ length: 300_000 }, () => ["a", "b", "c"]);
  assert.equal(tabulate(columns, many, 80).length, 300_001);
});

Deno.test("a cut text fits its width, and a cut path keeps both ends", () => {
  assert.equal(cut("abcdef", 4), "abc…");
  assert.equal(cutMiddle("/kubepods/burstable/pod1/abcdef", 16), "/kube…od1/abcdef");
  fc.assert(fc.property(fc.string(), fc.integer({ min: 1, max: 50 }), (text, width) => {
    assert.ok(cut(text, width).length <= width);
    assert.ok(cutMiddle(text, width).length <= width);
  }));
  for (let width = 1; width < 20; width++) {
    assert.ok(widthOf(cut("宽字符宽字符宽", width)) <= width);
    assert.ok(widthOf(cutMiddle("/宽字符宽字/符宽", width)) <= width);
  }
});

Deno.test("wrapping loses no word and breaks none", () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 });
  fc.assert(fc.property(words, fc.integer({ min: 5, max: 30 }), (list, width) => {
    const lines = wrap(list.join(" "), width);
    assert.equal(lines.join(" "), list.join(" "));
    for (const line of lines) assert.ok(line.length <= width || !line.includes(" "));
    const flowed = flow(list, width);
    assert.equal(flowed.join(" · "), list.join(" · "));
  }));
});

Deno.test("text breaks between words, and within a word wider than a line", () => {
  assert.deepEqual(wrapTo("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrapTo("/a/very/long/path it", 8), ["/a/very/", "long/pat", "h it"]);
  assert.deepEqual(wrapBehind("key ", "one two three", 11), ["key one two", "    three"]);
  assert.deepEqual(wrapTo("", 8), [""]);
  for (const line of wrapTo("漢字".repeat(9), 5)) assert.ok(widthOf(line) <= 5, line);
});

Deno.test("a line that is too wide is folded with an indent, nothing is lost, and its styles stay", () => {
  assert.deepEqual(foldLine("one two", 7), ["one two"]);
  assert.deepEqual(foldLine("  one two three", 11), ["  one two", "  three"]);
  const red = (text: string) => `\x1b[31m${text}\x1b[0m`;
  assert.deepEqual(foldLine(`key ${red("one two")} ${red("/a/long/path")}`, 8), [
    "key",
    `  ${red("one")}`,
    `  ${red("two")}`,
    `  ${red("/a/lon")}`,
    `  ${red("g/path")}`,
  ]);
  for (const part of foldLine("漢字".repeat(9), 5)) assert.ok(widthOf(part) <= 5, part);
});

Deno.test("a command breaks only between the words of the shell, with a backslash", () => {
  assert.deepEqual(wrapCommand("oomkit guard 'a b' --dry-run", "  ", 80), [
    "  oomkit guard 'a b' --dry-run",
  ]);
  assert.deepEqual(wrapCommand("oomkit guard 'a long word' --dry-run", "  ", 20), [
    "  oomkit guard \\",
    "    'a long word' \\",
    "    --dry-run",
  ]);
  assert.deepEqual(wrapCommand("oomkit inspect /a/long/path", " ", 17), [
    " oomkit inspect \\",
    "   /a/long/path",
  ]);
});
