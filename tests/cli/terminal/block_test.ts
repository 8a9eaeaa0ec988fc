import assert from "node:assert/strict";
import { Block } from "../../../cli/terminal/block.ts";
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
  const block = new Block((text) => void (written += text), () => width);
  return {
    print: block.print,
    draw: (lines: readonly string[]) => block.draw(lines),
    clear: () => block.clear(),
    restart: () => block.restart(),
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
