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
  assert.deepEqual(listed(typing(first, "\\c/1")).length, 10);
  const kept = typing(first, "\\c/1\r");
  assert.equal(kept.typing, undefined);
  assert.equal(typing(kept, "\\2\x1b").filter, "c/1");
  assert.equal(typing(kept, "\\\x15" + "07\r").filter, "07");
  assert.equal(typing(first, "\\ab\x7f\x7f\x7f").typing, undefined);
  assert.equal(
    typing(first, "\\q? s\r").filter,
    "q? s",
    "keys have no other meaning while a filter is typed",
  );
  assert.equal(typing(kept, "\x1b").filter, "", "escape clears a filter");
});

Deno.test("a search selects the first match as it is typed, n the next one; escape goes back", () => {
  assert.equal(typing(first, "jj/1").selected, "/c/10");
  assert.equal(typing(first, "jj/12").selected, "/c/12");
  assert.equal(typing(first, "jj/12\x7f").selected, "/c/10", "a shorter text matches earlier");
  assert.equal(typing(first, "jj/1\rnn").selected, "/c/12");
  assert.equal(typing(first, "/c/29\rn").selected, "/c/29", "the only match");
  assert.equal(typing(first, "jj/2\x1b").selected, "/c/02");
  assert.equal(typing(first, "jj/none\r").selected, "/c/02");
  assert.equal(typing(first, "jn").selected, "/c/01", "nothing was searched for");
  assert.equal(listed(typing(first, "/2\r")).length, 30);
});

Deno.test("s cycles through the sort orders, and each frequent one has a key", () => {
  let shown = first;
  const seen = new Set<string>();
  for (let presses = 0; presses < 8; presses++) seen.add((shown = typing(shown, "s")).sort);
  assert.equal(seen.size, 8);
  assert.equal(shown.sort, first.sort);
  const sorts = ["M", "P", "T", "K", "N"].map((key) => typing(first, key).sort);
  assert.deepEqual(sorts, ["usage", "pressure", "time", "counts", "name"]);
});

Deno.test("r reverses the order, t shows a tree, and again the list", () => {
  assert.equal(typing(first, "r").rows[0]?.path, "/c/29");
  assert.equal(typing(first, "rr").rows[0]?.path, "/c/00");
  const nested = view([row("/b"), row("/a"), row("/a/x")], { sort: "usage", isReversed: true });
  assert.deepEqual(typing(nested, "t").rows.map(({ path }) => path), ["/b", "/a", "/a/x"]);
  assert.equal(typing(nested, "tt").isTree, false);
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

Deno.test("q and Ctrl-C quit, escape never does, Ctrl-Z suspends, Ctrl-L redraws", () => {
  assert.equal(command(first, "q"), "quit");
  for (const keys of ["", "\\x\r", "\x1b", "/x\r"]) {
    assert.equal(command(typing(first, keys), "\x1b"), undefined);
  }
  assert.equal(command(first, "\x03"), "quit");
  assert.equal(command(typing(first, "\\x"), "\x03"), "quit");
  assert.equal(command(first, "\x1a"), "suspend");
  assert.equal(command(first, "\x0c"), "redraw");
  assert.equal(command(typing(first, "/"), "q"), undefined);
  assert.equal(command(typing(first, "\r"), "q"), undefined, "q closes the details");
  assert.equal(typing(first, "\rq").details, undefined);
});

Deno.test("a guard asks before it ends: y ends it, any other key goes on", () => {
  const guard = { ...first, guard: { modes: [], policy: "policy noop", isDryRun: false } };
  assert.equal(command(guard, "q"), undefined);
  const asking = typing(guard, "q");
  assert.ok(asking.isAsking);
  assert.equal(command(asking, "y"), "quit");
  for (const key of ["n", "q", "\x1b", "\r", "j"]) {
    assert.equal(command(asking, key), undefined, key);
    assert.ok(!typing(asking, key).isAsking);
  }
  assert.equal(typing(asking, "j").selected, undefined, "the key does nothing else");
  assert.equal(command(asking, "\x03"), "quit");
});
