import assert from "node:assert/strict";
import { createBlock } from "../../../cli/terminal/block.ts";
import { foldLine, wrapBehind, wrapTo } from "../../../cli/terminal/wrap.ts";
import { widthOf } from "../../../cli/terminal/width.ts";
import { printable } from "../../../cli/output/output.ts";

/** The screen of a terminal without line wrap after a write. */
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

Deno.test("printed lines appear above the block", () => {
  const { print, draw, screen } = drawn();
  draw(["bar", "facts"]);
  print("one");
  draw(["bar 2", "facts 2"]);
  print("two");
  assert.deepEqual(screen(), ["one", "two", "bar 2", "facts 2"]);
});

Deno.test("clear erases the block, and the next output starts in its place", () => {
  const { print, draw, clear, screen } = drawn();
  print("one");
  draw(["bar", "facts"]);
  clear();
  assert.deepEqual(screen(), ["one", ""]);
  print("two");
  assert.deepEqual(screen(), ["one", "two", ""]);
});

Deno.test("an unchanged block is not written again, and no terminal mode is changed", () => {
  const { draw, written } = drawn();
  draw(["bar"]);
  const before = written();
  draw(["bar"]);
  assert.equal(written(), before);
  draw(["rab"]);
  assert.doesNotMatch(written(), /\[\?/);
});

Deno.test("a line is cut before the last column, and one wrapped by a narrower terminal is erased whole", () => {
  const { draw, written, resize } = drawn(20);
  draw(["x".repeat(30), "y"]);
  assert.equal(written(), `${"x".repeat(19)}\\x0ay`);
  resize(10);
  draw(["z"]);
  // 19 columns take two rows of ten, and the other line one.
  assert.ok(written().endsWith("\\x0d\\x1b[2A\\x1b[Jz"), written());
});

Deno.test("after a stop the block starts again below the shell's output", () => {
  const { draw, restart, written } = drawn();
  draw(["bar", "facts"]);
  restart();
  draw(["bar", "facts"]);
  assert.equal(written(), "bar\\x0afactsbar\\x0afacts");
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
