import assert from "node:assert/strict";
import type { Colours, Size } from "../../../cli/terminal/capabilities.ts";
import { screenLines, scrollOf } from "../../../cli/live/screen.ts";
import type { View } from "../../../cli/live/view.ts";
import { widthOf } from "../../../cli/terminal/width.ts";
import { kill, row, view } from "./rows.ts";
import { guarded, log, rows, screens, watched } from "./scene.ts";

const before = { filter: "", search: "", selected: undefined, top: 0 };
const directory = new URL("screens/", import.meta.url);
const plain = { colours: 0, unicode: true } as const;
const draw = (
  shown: View,
  columns = 80,
  rows = 24,
  can: Parameters<typeof screenLines>[2] = plain,
) => screenLines(shown, { columns, rows }, can);
// deno-lint-ignore no-control-regex
const uncoloured = (line: string) => line.replace(/\x1b\[[0-9;]*m/g, "");

for (
  const [name, { shown, columns, rows, unicode = true, colours = 0 }] of Object.entries(screens)
) {
  Deno.test(`the screen of ${name} matches screens/`, () => {
    const lines = draw(shown, columns, rows, { colours, unicode });
    const expected = Deno.readTextFileSync(new URL(`${name}.txt`, directory));
    // Without colours only the characters are compared.
    const text = colours === 0 ? lines.map((line) => uncoloured(line).trimEnd()) : lines;
    assert.equal(text.join("\n") + "\n", expected);
  });
}

Deno.test("colours change only the colour, and each line resets its own", () => {
  const shown = draw(view(rows, { log }), 160, 20);
  for (const colours of [16, 256, 16777216] as Colours[]) {
    const coloured = draw(view(rows, { log }), 160, 20, { colours, unicode: true });
    const text = (lines: readonly string[]) => lines.map((line) => uncoloured(line).trimEnd());
    assert.deepEqual(text(coloured), text(shown));
    assert.ok(coloured.some((line) => line.includes("\x1b[")), String(colours));
    for (const line of coloured) {
      // deno-lint-ignore no-control-regex
      const last = [...line.matchAll(/\x1b\[([0-9;]*)m/g)].at(-1);
      assert.ok(last === undefined || last[1] === "0", JSON.stringify(line));
    }
  }
});

Deno.test("any size gets as many lines as rows, none too wide, none with control characters", () => {
  const states: Partial<View>[] = [
    {},
    { isHelp: true, scroll: 1000 },
    { typing: { field: "filter", before }, filter: "日本語 \x1b[2J" },
    { typing: { field: "search", before }, search: "日本語 \x1b[2J" },
    { isTree: true, isAsking: true },
    { filter: "none" },
    { details: { path: "/user.slice" }, scroll: 3 },
    { selected: "/user.slice", isPaused: true },
  ];
  const extremes = [-1, 0, 1, 2, 3, 5, 19, 20, 39, 40, 41, 79, 121, 300, NaN];
  for (const state of states) {
    for (const columns of extremes) {
      for (const lines of [...extremes, 100]) {
        for (const unicode of [true, false]) {
          const can = { colours: 256, unicode } as const;
          const shown = screenLines(
            view(rows, { log, ...state }),
            { columns, rows: lines },
            can,
          );
          assert.equal(shown.length, columns >= 1 && lines >= 1 ? lines : 0);
          for (const line of shown) {
            assert.ok(widthOf(line) <= columns, `${columns} × ${lines}: ${JSON.stringify(line)}`);
            // deno-lint-ignore no-control-regex
            assert.doesNotMatch(uncoloured(line), /[\x00-\x1f\x7f-\x9f\u202e\u200d]/);
            // deno-lint-ignore no-control-regex
            if (!unicode) assert.doesNotMatch(line, /[^\x00-\x7f]/);
          }
        }
      }
    }
  }
});

Deno.test("the selected row is always on the screen, and only rows on the screen are drawn", () => {
  const many = Array.from({ length: 1000 }, (_, at) => row(`/many/${String(at).padStart(4, "0")}`));
  for (const selected of ["/many/0000", "/many/0500", "/many/0999", "/gone"]) {
    const shown = draw(view(many, { selected, sort: "name" })).map(uncoloured);
    const marked = shown.filter((line) => line.startsWith("▸"));
    assert.equal(marked.length, 1);
    const name = selected === "/gone" ? "0000" : selected.slice(-4);
    assert.ok(marked[0]!.startsWith(`▸ ${name} `), marked[0]);
    assert.equal(shown.filter((line) => /^. \d{4} /.test(line)).length, 13);
  }
});

Deno.test("the selected row is reversed as a whole, also without colours", () => {
  for (const colours of [0, 16, 256] as Colours[]) {
    const line = draw(guarded, 80, 24, { colours, unicode: true }).find((line) =>
      line.includes("▸")
    )!;
    // deno-lint-ignore no-control-regex
    assert.match(line, /^\x1b\[7m▸ cache [^\x1b]* ok +\x1b\[0m$/);
    assert.equal(widthOf(line), 80);
  }
});

Deno.test("the title line has filter, pause, order and counts, and an empty list says why", () => {
  const titleOf = (rest: Partial<View>, columns = 100) =>
    uncoloured(draw(view(rows, rest), columns)[0]!);
  const lines = draw(view(rows, { filter: "none", isPaused: true }), 100).map(uncoloured);
  assert.equal(
    lines[0],
    'oomkit watch · PAUSED · filter "none" · 0 of 5 cgroups · by time to limit'.padEnd(92) +
      "10:02:19",
  );
  assert.equal(lines[4], '  no cgroup matches "none"');
  assert.equal(draw(view([]))[4], "  no cgroup yet");
  assert.match(titleOf({ isReversed: true, isTree: true }), /by time to limit, reversed, tree /);
  assert.match(titleOf({ sort: "usage" }), /by usage /);
});

Deno.test("the title of a guard has mode, policy and a dry run in a colour of its own", () => {
  const [title] = draw(guarded, 120, 24, { colours: 16, unicode: true });
  assert.match(
    uncoloured(title!),
    /^oomkit guard · DRY RUN · policy process · notify · 4 cgroups in \/kubepods\/burstable · by/,
  );
  assert.ok(title!.includes("\x1b[1;7;35mDRY RUN\x1b[0m"), title);
});

Deno.test("a filter or a search is typed in the last line, which shows its end if it is too long", () => {
  const last = (field: "filter" | "search", text: string, columns: number) =>
    uncoloured(
      draw(view(rows, { typing: { field, before }, [field]: text }), columns, 10).at(-1)!,
    );
  assert.equal(last("filter", "kube", 80), "\\kube_");
  assert.equal(last("search", "kube", 80), "/kube_");
  assert.equal(last("search", "none", 80), "/none_  not found");
  assert.equal(
    last("filter", "0123456789".repeat(5), 40),
    `\\${"0123456789".repeat(5).slice(-37)}_`,
  );
  assert.equal(
    last("filter", `${"日本語".repeat(9)}xyz`, 40),
    `\\${"日本語".repeat(9).slice(-17)}xyz_`,
  );
});

Deno.test("a guard that is to end is asked about in the last line", () => {
  const last = draw({ ...guarded, isAsking: true }).at(-1)!;
  assert.match(uncoloured(last), /^End the guard\? y: end it, any other key: go on\./);
});

Deno.test("the help scrolls to its end and no further", () => {
  const size: Size = { columns: 100, rows: 10 };
  const help = (scroll: number) => screenLines(view(rows, { isHelp: true, scroll }), size, plain);
  assert.match(help(0)[1]!, /^↑ ↓ {2}j k/);
  assert.match(help(1000)[8]!, /^KERNEL {2}GUARD/);
  const scroll = scrollOf(view(rows, { isHelp: true, scroll: Infinity }), size, plain);
  assert.deepEqual(help(scroll), help(1000));
  assert.notDeepEqual(help(scroll - 1), help(1000), "the first step back is visible");
});

Deno.test("a narrow screen cuts off nothing of the help and the details", () => {
  const words = (columns: number) =>
    draw(view(rows, { isHelp: true }), columns, 100).slice(1, -1).join(" ").split(/\s+/);
  assert.deepEqual(words(40), words(100));
  const details = { path: "/user.slice", error: "x ".repeat(100) };
  const shown = draw(view(rows, { details }), 40, 100).join(" ");
  assert.equal(shown.split("x ").length, 101);
  assert.match(shown, /guard kills 0/);
});

Deno.test("a message that is cut ends in a mark, and so does a sentence that does not fit on two lines", () => {
  const message = "word ".repeat(20).trim();
  const last = (can: Parameters<typeof screenLines>[2]) =>
    draw(view(rows, { log: [{ message }] }), 40, 20, can).findLast((line) => line.includes("word"));
  assert.match(last(plain)!, /^(word )+w?o?r?d?…$/);
  assert.match(last({ ...plain, unicode: false })!, /^(word )+w?o?r?d?~$/);
  const lines = draw(view([row("/a")], { log: [{ event: kill("/a", 4242) }] }), 44, 20);
  const at = lines.findIndex((line) => line.includes("oom_kill"));
  assert.match(lines[at]!, /^10:02:19 oom_kill {3}\/a pid 4242/);
  assert.match(lines[at + 1]!, /^ {23}\S.*…$/);
});

Deno.test("the lines about the machine say what was killed since when, and what memory is left", () => {
  const [, kills, memory] = draw(guarded).map(uncoloured);
  assert.equal(
    kills,
    "kills since 09:58:00: guard 1, kernel 1 · since boot: kernel 9, whole machine",
  );
  assert.equal(
    memory,
    "memory available 9.8G of 15.6G · PSI 10s: some tasks stalled 1.2 %, all 0.4 %",
  );
  assert.match(draw(watched)[1]!, /kills since 09:58:00: kernel 1 · since boot/);
  const { machine: _, ...unknown } = watched;
  assert.equal(uncoloured(draw(unknown)[1]!), "kills since 09:58:00: kernel 1");
});

Deno.test("the details have the victim order first, then the cgroup's own events, then the usage with axes", () => {
  const details = { path: "/kubepods/burstable/cache", victims: [" 1  pid 77 (redis)"] };
  const shown = draw({ ...guarded, details }, 80, 40).map(uncoloured).join("\n");
  const parts = ["VICTIM ORDER", "pid 77 (redis)", "EVENTS", "pid 4242 (tail) killed", "USAGE"];
  const places = parts.map((part) => shown.indexOf(part));
  assert.ok(places.every((place, at) => place > (places[at - 1] ?? 0)), shown);
  assert.ok(!shown.includes("armed"), "that is an event of another cgroup");
  assert.match(shown, /64\.0M limit ┤/);
  assert.match(shown, /0B └─+\n +3 min ago +now/);
});

Deno.test("names of events that have no room do not widen the column, and a size stays on one line", () => {
  const long = { event: kill("/a-long-name-that-is-out-of-sight", 1) };
  const log = [long, ...Array<typeof long>(30).fill({ event: kill("/b", 2) })];
  const shown = draw(view([row("/a"), row("/b")], { log })).map(uncoloured);
  assert.match(shown.find((line) => line.includes("oom_kill"))!, /oom_kill {3}\/b pid 2 /);
  for (let columns = 60; columns < 100; columns++) {
    const text = draw(view([row("/b")], { log }), columns).join("\n");
    assert.doesNotMatch(text, /\d\n +MiB/, String(columns));
  }
});
