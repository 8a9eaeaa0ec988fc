import assert from "node:assert/strict";
import { createBlock } from "../../../cli/terminal/block.ts";
import { foldLine, wrapBehind, wrapTo } from "../../../cli/terminal/wrap.ts";
import { widthOf } from "../../../cli/terminal/width.ts";
import { printable } from "../../../cli/output/output.ts";

/** What a terminal that wraps nothing shows after what was written to it. */
function screenOf(written: string): string[] {
  const rows = [""];
  let row = 0;
  // deno-lint-ignore no-control-regex
  for (const part of written.split(/(\n|\r|\x1b\[\d*[AJ])/)) {
    if (part === "\n") rows[++row] ??= "";
    else if (part === "\x1b[J") rows.splice(row, Infinity, "");
    else if (part.endsWith("A") && part.startsWith("\x1b")) row -= Number(part.slice(2, -1));
    else if (part !== "\r") rows[row] += part;
  }
  return rows;
}

function drawn(columns = 20) {
  let written = "";
  let width = columns;
  const block = createBlock((text) => void (written += text), () => width);
  return {
    ...block,
    screen: () => screenOf(written),
    written: () => printable(written),
    resize: (to: number) => void (width = to),
  };
}

Deno.test("what is printed passes above the block, which stays the last", () => {
  const { print, draw, screen } = drawn();
  draw(["bar", "facts"]);
  print("one");
  draw(["bar 2", "facts 2"]);
  print("two");
  assert.deepEqual(screen(), ["one", "two", "bar 2", "facts 2"]);
});

Deno.test("nothing of it is left when it is cleared, and what follows begins where it began", () => {
  const { print, draw, clear, screen } = drawn();
  print("one");
  draw(["bar", "facts"]);
  clear();
  assert.deepEqual(screen(), ["one", ""]);
  print("two");
  assert.deepEqual(screen(), ["one", "two", ""]);
});

Deno.test("what has not changed is not written again, and no mode of the terminal is touched", () => {
  const { draw, written } = drawn();
  draw(["bar"]);
  const before = written();
  draw(["bar"]);
  assert.equal(written(), before);
  draw(["rab"]);
  assert.doesNotMatch(written(), /\[\?/);
});

Deno.test("a line is cut before the last column, and one broken by a narrower terminal is taken back whole", () => {
  const { draw, written, resize } = drawn(20);
  draw(["x".repeat(30), "y"]);
  assert.equal(written(), `${"x".repeat(19)}\\x0ay`);
  resize(10);
  draw(["z"]);
  // 19 columns take two rows of ten, and the other line one.
  assert.ok(written().endsWith("\\x0d\\x1b[2A\\x1b[Jz"), written());
});

Deno.test("after a stop it begins anew beneath what a shell has said, not above it", () => {
  const { draw, restart, written } = drawn();
  draw(["bar", "facts"]);
  restart();
  draw(["bar", "facts"]);
  assert.equal(written(), "bar\\x0afactsbar\\x0afacts");
});

Deno.test("text breaks between words, and within one that no line can hold", () => {
  assert.deepEqual(wrapTo("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrapTo("/a/very/long/path it", 8), ["/a/very/", "long/pat", "h it"]);
  assert.deepEqual(wrapBehind("who ", "one two three", 11), ["who one two", "    three"]);
  assert.deepEqual(wrapTo("", 8), [""]);
  for (const line of wrapTo("漢字".repeat(9), 5)) assert.ok(widthOf(line) <= 5, line);
});

Deno.test("a line that is too wide is folded further in, nothing of it is lost, and its styles stay", () => {
  assert.deepEqual(foldLine("one two", 7), ["one two"]);
  assert.deepEqual(foldLine("  one two three", 11), ["  one two", "  three"]);
  const red = (text: string) => `\x1b[31m${text}\x1b[0m`;
  assert.deepEqual(foldLine(`who ${red("one two")} ${red("/a/long/path")}`, 8), [
    "who",
    `  ${red("one")}`,
    `  ${red("two")}`,
    `  ${red("/a/lon")}`,
    `  ${red("g/path")}`,
  ]);
  for (const part of foldLine("漢字".repeat(9), 5)) assert.ok(widthOf(part) <= 5, part);
});
