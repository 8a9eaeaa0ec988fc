import assert from "node:assert/strict";
import { type Key, keysOf } from "../../../cli/terminal/keys.ts";
import { indexOfSelected, listed, updateView, type View } from "../../../cli/live/view.ts";
import { row, view } from "./rows.ts";

const size = { columns: 80, rows: 13 };
const many = Array.from({ length: 30 }, (_, at) => row(`/c/${String(at).padStart(2, "0")}`));
const first = view(many, { sort: "name" });

const typing = (from: View, text: string) =>
  keysOf(text, true).keys.reduce((at: View, key: Key) => updateView(at, key, size).view, from);
const at = (shown: View) => indexOfSelected(shown, listed(shown));
const command = (from: View, text: string) =>
  updateView(from, keysOf(text, true).keys[0]!, size).command;

Deno.test("arrows, j and k, pages and ends move the selection, and stop at the ends", () => {
  const cases: [string, number][] = [
    ["jj\x1b[B", 3],
    ["jjk\x1b[A\x1b[A", 0],
    ["\x1b[6~", 7],
    ["\x1b[6~\x1b[6~\x1b[5~", 7],
    ["G", 29],
    ["Gj", 29],
    ["Gg", 0],
    ["\x1b[F\x1b[H", 0],
  ];
  for (const [keys, index] of cases) assert.equal(at(typing(first, keys)), index, keys);
});

Deno.test("the first row selects whichever cgroup comes first, any other row its cgroup", () => {
  assert.equal(typing(first, "jk").selected, undefined);
  assert.equal(typing(first, "jj").selected, "/c/02");
  const fewer = { ...typing(first, "jj"), rows: many.slice(2) };
  assert.equal(at(fewer), 0);
});

Deno.test("a filter is applied as it is typed; enter keeps it, escape restores the previous one", () => {
  assert.deepEqual(listed(typing(first, "/c/1")).length, 10);
  assert.equal(typing(first, "/c/1\r").previousFilter, undefined);
  const kept = typing(first, "/c/1\r");
  assert.equal(typing(kept, "/2\x1b").filter, "c/1");
  assert.equal(typing(kept, "/\x15" + "07\r").filter, "07");
  assert.equal(typing(first, "/ab\x7f\x7f\x7f").previousFilter, undefined);
  assert.equal(
    typing(first, "/q? s\r").filter,
    "q? s",
    "keys have no other meaning while a filter is typed",
  );
  assert.equal(typing(kept, "\x1b").filter, "", "escape clears a filter before it quits");
});

Deno.test("s cycles through the sort orders", () => {
  let shown = first;
  const seen = new Set<string>();
  for (let presses = 0; presses < 7; presses++) seen.add((shown = typing(shown, "s")).sort);
  assert.equal(seen.size, 7);
  assert.equal(shown.sort, first.sort);
});

Deno.test("enter opens the details of the selected row, escape closes them, and they scroll", () => {
  const open = typing(first, "jj\r");
  assert.equal(open.details?.path, "/c/02");
  assert.equal(typing(open, "jjk").scroll, 1);
  assert.equal(typing(open, "fjb").scroll, 1);
  assert.deepEqual(typing(open, "G").scroll, Infinity);
  assert.deepEqual(typing(open, "Gg").scroll, 0);
  assert.equal(typing(open, "j\x1b").details, undefined);
  assert.equal(at(typing(open, "\x1b")), 2);
  assert.equal(typing(view([]), "\r").details, undefined);
});

Deno.test("space pauses and continues on every screen; help opens over every screen", () => {
  assert.equal(typing(first, " ").isPaused, true);
  assert.equal(typing(first, "  ").isPaused, false);
  assert.equal(typing(first, "\r ").isPaused, true);
  const help = typing(first, "j\r?");
  assert.ok(help.isHelp && help.details);
  assert.ok(!typing(help, "q").isHelp, "q closes the help first");
  assert.ok(typing(help, "\x1b").details);
});

Deno.test("q, escape and Ctrl-C quit, Ctrl-Z suspends, Ctrl-L redraws", () => {
  assert.equal(command(first, "q"), "quit");
  assert.equal(command(first, "\x1b"), "quit");
  assert.equal(command(first, "\x03"), "quit");
  assert.equal(command(typing(first, "/x"), "\x03"), "quit");
  assert.equal(command(first, "\x1a"), "suspend");
  assert.equal(command(first, "\x0c"), "redraw");
  assert.equal(command(typing(first, "/"), "q"), undefined);
});
