import assert from "node:assert/strict";
import { paletteOf } from "../../../cli/terminal/palette.ts";

Deno.test("without colours nothing is added to the text; with them each part resets its own", () => {
  const palette = (colours: 0 | 16 | 256 | 16777216) =>
    paletteOf({ colours, unicode: true })("warn", "x");
  assert.equal(palette(0), "x");
  assert.equal(palette(16), "\x1b[33mx\x1b[0m");
  assert.equal(palette(256), "\x1b[38;5;178mx\x1b[0m");
  assert.equal(palette(16777216), "\x1b[38;2;215;175;0mx\x1b[0m");
});
