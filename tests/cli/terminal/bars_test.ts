import assert from "node:assert/strict";
import { shortBytes, shortRate, shortTime } from "../../../cli/terminal/amounts.ts";
import { paletteOf } from "../../../cli/terminal/palette.ts";
import { sparkline } from "../../../cli/terminal/sparkline.ts";
import { fullnessOf, type Usage, usageBar } from "../../../cli/terminal/usage_bar.ts";
import { widthOf } from "../../../cli/terminal/width.ts";

const plain = paletteOf({ colours: 0, unicode: true });
const marks = [
  { name: "warn", bytes: 65 },
  { name: "critical", bytes: 90 },
  { name: "imminent", bytes: 98 },
];
const draw = (usage: Partial<Usage>, width = 20, unicode = true) =>
  usageBar({ usage: 50, limit: 100, marks: [], ...usage }, width, { unicode }, plain);

Deno.test("the bar tells working set, the rest that is in use, and what is free apart", () => {
  assert.equal(draw({ workingSet: 30 }), "██████▒▒▒▒░░░░░░░░░░");
  assert.equal(draw({ workingSet: 30 }, 20, false), "######====..........");
  assert.equal(draw({}), "██████████░░░░░░░░░░");
});

Deno.test("marks stand where their bytes are, the last of those that share a column", () => {
  assert.equal(draw({ workingSet: 30, marks }), "██████▒▒▒▒░░░┆░░░░┇┃");
  assert.equal(draw({ workingSet: 30, marks }, 20, false), "######====...:....!|");
  assert.equal(draw({ marks }, 5), "███┆┃");
});

Deno.test("what is there gets a column, what is not full does not look full", () => {
  assert.equal(draw({ usage: 1 }, 4), "█░░░");
  assert.equal(draw({ usage: 99 }, 4), "███░");
  assert.equal(draw({ usage: 100 }, 4), "████");
  assert.equal(draw({ usage: 300 }, 4), "████");
  assert.equal(draw({ usage: 0 }, 4), "░░░░");
});

Deno.test("without a limit, or without a figure, there is no bar", () => {
  assert.equal(draw({ limit: Infinity }, 4), "────");
  assert.equal(draw({ usage: undefined }, 4, false), "----");
});

Deno.test("a bar is as wide as it is to be, whatever the figures are", () => {
  for (const usage of [undefined, 0, 1, 50, 99.9, 1e18]) {
    for (const limit of [0, 1, 100, Infinity]) {
      for (let width = 0; width < 30; width++) {
        assert.equal(widthOf(draw({ usage, limit, workingSet: 20, marks }, width)), width);
      }
    }
  }
});

Deno.test("the highest mark that is reached gives the colour", () => {
  assert.equal(fullnessOf(10, 100, marks), "good");
  assert.equal(fullnessOf(91, 100, marks), "critical");
  assert.equal(fullnessOf(99, 100, marks), "imminent");
  assert.equal(fullnessOf(70, 100), "warn");
  assert.equal(fullnessOf(70, Infinity), "plain");
});

Deno.test("a sparkline keeps peaks, shows gaps, and has the newest at the right", () => {
  const drawn = (values: (number | undefined)[], width: number, most?: number) =>
    sparkline(values, width, { unicode: true, ...(most === undefined ? {} : { most }) });
  assert.equal(drawn([0, 25, 50, 100], 6, 100), "  ▁▃▅█");
  assert.equal(drawn([0, undefined, 100], 3, 100), "▁ █");
  assert.equal(drawn([100, 0, 0, 0], 2, 100), "█▁");
  assert.equal(drawn([1, 2, 4], 3), "▃▅█");
  assert.equal(drawn([0, 0], 2), "▁▁");
  assert.equal(drawn([], 3), "   ");
  assert.equal(sparkline([0, 50, 100], 3, { most: 100, unicode: false }), "_=#");
});

Deno.test("figures are short", () => {
  const of = (values: number[], format: (value: number) => string) => values.map(format).join(" ");
  assert.equal(
    of([0, 999, 1000, 20 * 1024 ** 2, 999.6 * 1024 ** 2, 1.5 * 1024 ** 3], shortBytes),
    "0B 999B 1.0K 20.0M 1.0G 1.5G",
  );
  assert.equal(of([0.2, 12 * 1024, -12 * 1024], shortRate), "0/s +12.0K/s -12.0K/s");
  assert.equal(of([0.42, 12, 80, 200, 7300, 1e6, Infinity], shortTime), "0.4s 12s 80s 3m 2h 12d –");
  assert.equal(shortBytes(undefined) + shortRate(undefined) + shortTime(undefined), "–––");
});
