import assert from "node:assert/strict";
import fc from "fast-check";
import { paletteOf } from "../../../cli/terminal/palette.ts";
import { columnHeights, type Plot, plotLines } from "../../../cli/terminal/plot.ts";
import { gapOf, ticksOf, timeLabel } from "../../../cli/terminal/plot.ts";
import { widthOf } from "../../../cli/terminal/width.ts";

const plain = paletteOf({ colours: 0, unicode: true });
const limit = { value: 100, label: "100 B", role: "bold", isLimit: true } as const;
const warn = { value: 50, label: "50%", role: "warn", isLimit: false } as const;

const plot = (parts: Partial<Plot>): string[] =>
  plotLines({
    points: [{ at: 0, value: 0 }, { at: 40, value: 100 }],
    levels: [warn, limit],
    marks: [],
    span: 50,
    width: 37,
    height: 4,
    unicode: true,
    palette: plain,
    fullness: () => "good",
    ...parts,
  });

Deno.test("the area rises to the limit in front of the thresholds, above a time axis", () => {
  const marks = [
    { at: 20, label: "warn", role: "warn" },
    { at: 22, label: "hit", role: "warn" },
    { at: 40, label: "killed", role: "bad", isEnd: true },
  ] as const;
  assert.deepEqual(plot({ marks }), [
    "100 B ┤━━━━━━━━━━━━━━━━━━━━━━━✕━━━━━━",
    "      ┤                  ▁▂▄▅▇█",
    "  50% ┤╌╌╌╌╌╌╌╌╌╌╌╌▁▂▃▅▆███████╌╌╌╌╌╌",
    "      ┤       ▂▃▅▆▇████████████",
    "      ┤ ▁▃▄▆▇██████████████████",
    "    0 ┼────────────┬──────────┬──────",
    "       0         20 ms      40 ms",
    "                   ▲ warn",
    "                    ▲ hit",
    "                       killed ▲",
  ]);
});

Deno.test("a kill is named even if many marks fall on one moment", () => {
  const labels = ["65% fired", "90% fired", "limit hit", "out of memory"];
  const marks = [
    ...labels.map((label, at) => ({ at: 30 + at, label, role: "warn" }) as const),
    { at: 35, label: "killed", role: "bad", isEnd: true },
  ] as const;
  const lines = plot({ marks }).slice(-3).map((line) => line.trim());
  assert.deepEqual(lines, ["▲ killed", "▲ 65% fired", "▲ 90% fired"]);
});

Deno.test("ASCII draws the same plot", () => {
  assert.deepEqual(
    plot({ unicode: false, marks: [{ at: 40, label: "x", role: "bad", isEnd: true }] }),
    [
      "100 B |=======================X======",
      "      |                  ....##",
      "  50% |------------.....#::::::------",
      "      |       ....#::::::::::::",
      "      | ....##:::::::::::::::::",
      "    0 +------------+----------+------",
      "       0         20 ms      40 ms",
      "                              ^ x",
    ],
  );
});

Deno.test("nothing is drawn without measurements, and a short peak is drawn", () => {
  const points = [{ at: 10, value: 1 }, { at: 11, value: 9 }, { at: 12, value: 2 }];
  assert.deepEqual(columnHeights(points, 100, 11), [
    undefined,
    9,
    ...Array.from({ length: 9 }, () => undefined),
  ]);
});

Deno.test("usage rises evenly and drops vertically", () => {
  const rise = [{ at: 0, value: 0 }, { at: 4, value: 8 }];
  assert.deepEqual(columnHeights(rise, 4, 5), [0, 2, 4, 6, 8]);
  assert.deepEqual(columnHeights([{ at: 0, value: 8 }, { at: 4, value: 0 }], 4, 5), [
    8,
    8,
    8,
    8,
    0,
  ]);
});

Deno.test("without points, room or a size there is no plot", () => {
  assert.deepEqual(plot({ points: [] }), []);
  assert.deepEqual(plot({ width: 12 }), []);
  assert.deepEqual(plot({ points: [{ at: 0, value: 0 }], levels: [] }), []);
  assert.equal(plot({ points: [{ at: 0, value: 5 }], span: 0 }).length > 4, true);
});

Deno.test("no line is wider than the plot, for any content", () => {
  const point = fc.record({ at: fc.nat(1000), value: fc.nat(1000) });
  const mark = fc.record({
    at: fc.nat(1000),
    label: fc.constantFrom("a", "out of memory", "x".repeat(60)),
    role: fc.constant("bad" as const),
  });
  fc.assert(fc.property(
    fc.array(point, { minLength: 1, maxLength: 200 }),
    fc.array(mark, { maxLength: 9 }),
    fc.integer({ min: 0, max: 300 }),
    fc.boolean(),
    fc.integer({ min: 0, max: 90_000_000 }),
    (points, marks, width, unicode, span) => {
      points.sort((one, other) => one.at - other.at);
      const colours = paletteOf({ colours: 256, unicode: true });
      const lines = plot({ points, marks, width, unicode, span, palette: colours });
      for (const line of lines) assert.ok(widthOf(line) <= width, line);
      // deno-lint-ignore no-control-regex
      if (!unicode) assert.match(lines.join(""), /^[\x00-\x7f]*$/);
    },
  ));
});

Deno.test("times are as round and as precise as their distance requires", () => {
  const labels = (span: number, columns: number) => {
    const gap = gapOf(span, columns);
    return ticksOf(span, gap).map((at) => timeLabel(at, gap));
  };
  assert.deepEqual(labels(31.6, 70), ["0", "10 ms", "20 ms", "30 ms"]);
  assert.deepEqual(labels(1.1, 40), ["0", "0.5 ms", "1.0 ms"]);
  assert.deepEqual(labels(2100, 60), ["0", "500 ms", "1.0 s", "1.5 s", "2.0 s"]);
  assert.deepEqual(labels(11_000, 60), ["0", "5 s", "10 s"]);
  assert.deepEqual(labels(150_000, 80), [
    "0",
    "30 s",
    "1:00 min",
    "1:30 min",
    "2:00 min",
    "2:30 min",
  ]);
  assert.deepEqual(labels(8_000_000, 60), ["0", "30:00 min", "1:00 h", "1:30 h", "2:00 h"]);
});
