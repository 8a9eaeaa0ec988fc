import assert from "node:assert/strict";
import type { Colours, Size } from "../../../cli/terminal/capabilities.ts";
import { screenLines, scrollOf } from "../../../cli/live/screen.ts";
import type { View } from "../../../cli/live/view.ts";
import { widthOf } from "../../../cli/terminal/width.ts";
import { row, view } from "./rows.ts";
import { log, rows, sizes } from "./scene.ts";

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

for (const [columns, lines, unicode] of sizes) {
  const name = `${columns}x${lines}${unicode ? "" : "-ascii"}`;
  Deno.test(`the screen of ${name} matches screens/`, () => {
    const shown = draw(view(rows, { log }), columns, lines, { colours: 0, unicode });
    const expected = Deno.readTextFileSync(new URL(`${name}.txt`, directory));
    assert.equal(shown.join("\n") + "\n", expected);
  });
}

Deno.test("colours change only the colour, and each line resets its own", () => {
  const shown = draw(view(rows, { log }), 160, 20);
  for (const colours of [16, 256, 16777216] as Colours[]) {
    const coloured = draw(view(rows, { log }), 160, 20, { colours, unicode: true });
    assert.deepEqual(coloured.map((line) => uncoloured(line).trimEnd()), shown);
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
    { previousFilter: "", filter: "日本語 \x1b[2J" },
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
    const shown = draw(view(many, { selected, sort: "name" }));
    const marked = shown.filter((line) => line.startsWith("▸"));
    assert.equal(marked.length, 1);
    assert.ok(marked[0]!.includes(selected === "/gone" ? "/many/0000" : selected), marked[0]);
    assert.equal(shown.filter((line) => line.includes("/many/")).length, 14);
  }
});

Deno.test("the title line has filter, pause and counts, and an empty list says why", () => {
  const [head, , first] = draw(view(rows, { filter: "none", isPaused: true }), 100);
  assert.equal(
    head,
    'oomkit watch · 0 of 5 cgroups · PAUSED · filter "none" · by time to limit'.padEnd(
      92,
    ) +
      "10:02:19",
  );
  assert.equal(first, '  no cgroup matches "none"');
  assert.equal(draw(view([]))[2], "  no cgroup yet");
});

Deno.test("a filter is typed in the last line, which shows its end if it is too long", () => {
  const last = (filter: string, columns: number) =>
    draw(view(rows, { previousFilter: "", filter }), columns, 10).at(-1);
  assert.equal(last("kube", 80), "/kube_");
  assert.equal(last("0123456789".repeat(5), 40), `/${"0123456789".repeat(5).slice(-37)}_`);
  assert.equal(last(`${"日本語".repeat(9)}xyz`, 40), `/${"日本語".repeat(9).slice(-17)}xyz_`);
});

Deno.test("the help scrolls to its end and no further", () => {
  const size: Size = { columns: 100, rows: 10 };
  const help = (scroll: number) => screenLines(view(rows, { isHelp: true, scroll }), size, plain);
  assert.match(help(0)[1]!, /^↑ ↓ {2}j k/);
  assert.match(help(1000)[8]!, /^HIT\/OOM\/KILL\/ACT/);
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

Deno.test("a cut line ends in a mark", () => {
  const message = "word ".repeat(20).trim();
  const last = (can: Parameters<typeof screenLines>[2]) =>
    draw(view(rows, { log: [{ message }] }), 40, 20, can).findLast((line) => line.includes("word"));
  assert.match(last(plain)!, /^(word )+w?o?r?d?…$/);
  assert.match(last({ ...plain, unicode: false })!, /^(word )+w?o?r?d?~$/);
});

Deno.test("the title says how many processes the guard and the kernel have killed, once there are any", () => {
  const titleOf = (command: string, kills: number, actions: number) =>
    draw(view(rows, { command, totals: { hits: 1, ooms: 1, kills, actions } }), 160)[0]!;
  assert.match(titleOf("guard", 0, 2), /5 cgroups · guard killed 2 · kernel killed 0 · by time/);
  assert.match(titleOf("watch", 1, 0), /5 cgroups · kernel killed 1 · by time/);
  for (const command of ["watch", "guard"]) {
    assert.match(titleOf(command, 0, 0), /cgroups · by time/);
  }
});
