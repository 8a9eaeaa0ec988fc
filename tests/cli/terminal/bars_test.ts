import assert from "node:assert/strict";
import { paletteOf } from "../../../cli/terminal/palette.ts";
import {
  areaLines,
  fullnessOf,
  sparkline,
  type Usage,
  usageBar,
} from "../../../cli/terminal/bars.ts";
import { widthOf } from "../../../cli/terminal/width.ts";

const plain = paletteOf({ colours: 0, unicode: true });
const marks = [
  { name: "warn", bytes: 65 },
  { name: "critical", bytes: 90 },
  { name: "imminent", bytes: 98 },
];
const draw = (usage: Partial<Usage>, width = 20, unicode = true) =>
  usageBar({ usage: 50, limit: 100, marks: [], ...usage }, width, { unicode }, plain);

Deno.test("the bar distinguishes working set, the rest of usage, and free memory", () => {
  assert.equal(draw({ workingSet: 30 }), "██████▒▒▒▒░░░░░░░░░░");
  assert.equal(draw({ workingSet: 30 }, 20, false), "######====..........");
  assert.equal(draw({}), "██████████░░░░░░░░░░");
});

Deno.test("marks stand at their bytes, and the highest level wins a shared column", () => {
  assert.equal(draw({ workingSet: 30, marks }), "██████▒▒▒▒░░░┆░░░░┇┃");
  assert.equal(draw({ workingSet: 30, marks }, 20, false), "######====...:....!|");
  assert.equal(draw({ marks }, 5), "███┆┃");
});

Deno.test("any usage gets a column, and only a full limit looks full", () => {
  assert.equal(draw({ usage: 1 }, 4), "█░░░");
  assert.equal(draw({ usage: 99 }, 4), "███░");
  assert.equal(draw({ usage: 100 }, 4), "████");
  assert.equal(draw({ usage: 300 }, 4), "████");
  assert.equal(draw({ usage: 0 }, 4), "░░░░");
  assert.equal(draw({ usage: 99.9, workingSet: 0.1 }, 10), "█▒▒▒▒▒▒▒▒░");
  assert.equal(draw({ usage: 50, workingSet: 25 }, 8), "██▒▒░░░░");
});

Deno.test("without a limit or a usage the bar is a line of dashes", () => {
  assert.equal(draw({ limit: Infinity }, 4), "────");
  assert.equal(draw({ usage: undefined }, 4, false), "----");
});

Deno.test("a bar has the requested width for any values", () => {
  for (const usage of [undefined, 0, 1, 50, 99.9, 1e18]) {
    for (const limit of [0, 1, 100, Infinity]) {
      for (let width = 0; width < 30; width++) {
        assert.equal(widthOf(draw({ usage, limit, workingSet: 20, marks }, width)), width);
      }
    }
  }
});

Deno.test("the highest level reached gives the colour", () => {
  assert.equal(fullnessOf(10, 100, marks), "good");
  assert.equal(fullnessOf(91, 100, marks), "critical");
  assert.equal(fullnessOf(99, 100, marks), "imminent");
  assert.equal(fullnessOf(70, 100), "warn");
  assert.equal(fullnessOf(70, Infinity), "plain");
});

Deno.test("a sparkline keeps peaks, shows gaps, and has the newest value at the right", () => {
  const drawn = (values: (number | undefined)[], width: number, max?: number) =>
    sparkline(values, width, { unicode: true, ...(max === undefined ? {} : { max }) });
  assert.equal(drawn([0, 25, 50, 100], 6, 100), "  ▁▃▅█");
  assert.equal(drawn([0, undefined, 100], 3, 100), "▁ █");
  assert.equal(drawn([100, 0, 0, 0], 2, 100), "█▁");
  assert.equal(drawn([1, 2, 4], 3), "▃▅█");
  assert.equal(drawn([0, 0], 2), "▁▁");
  assert.equal(drawn([], 3), "   ");
  assert.equal(sparkline([0, 50, 100], 3, { max: 100, unicode: false }), "_=#");
});

Deno.test("an area has its top at the left, any usage in the lowest row, times below, and never more columns", () => {
  const lines = areaLines([undefined, 0, 1, 32, 64], {
    width: 6,
    height: 2,
    top: { value: 64, label: "64M" },
    times: ["10s ago", "now"],
    unicode: true,
  });
  assert.deepEqual(lines, [
    "64M ┤     █",
    "    │  ▁▁██",
    " 0B └──────",
    "     10s ago now",
  ]);
  const ascii = areaLines([64], {
    width: 1,
    height: 1,
    top: { value: 0, label: "0B" },
    times: ["", ""],
    unicode: false,
  });
  assert.equal(ascii[0], "0B ┤_", "without a top, as with a limit of 0");
});
