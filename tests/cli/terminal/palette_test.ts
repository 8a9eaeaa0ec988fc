import assert from "node:assert/strict";
import { paletteOf, type Role, screenPaletteOf } from "../../../cli/terminal/palette.ts";

Deno.test("without colours nothing is added to the text; with them each part resets its own", () => {
  const palette = (colours: 0 | 16 | 256 | 16777216) =>
    paletteOf({ colours, unicode: true })("warn", "x");
  assert.equal(palette(0), "x");
  assert.equal(palette(16), "\x1b[33mx\x1b[0m");
  assert.equal(palette(256), "\x1b[38;5;136mx\x1b[0m");
  assert.equal(palette(16777216), "\x1b[38;2;175;135;0mx\x1b[0m");
});

Deno.test("a screen without colours keeps bold, underline and reverse video", () => {
  const palette = screenPaletteOf({ colours: 0 });
  assert.equal(palette("selected", "x"), "\x1b[7mx\x1b[0m");
  assert.equal(palette("alert", "x"), "\x1b[1;7mx\x1b[0m");
  for (const role of ["plain", "good", "warn", "bad", "dim"] as Role[]) {
    assert.equal(palette(role, "x"), "x");
  }
});

/** Of two colours: WCAG 2.2, "relative luminance" and "contrast ratio". */
function contrast(one: readonly number[], other: readonly number[]): number {
  const luminance = (colour: readonly number[]) => {
    const [red, green, blue] = colour.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
  };
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light! + 0.05) / (dark! + 0.05);
}

Deno.test("each colour of a text can be read on black and on white", () => {
  const palette = paletteOf({ colours: 16777216, unicode: true });
  const roles: Role[] = ["good", "warn", "critical", "imminent", "bad", "cold", "hot"];
  for (const role of roles) {
    const [, ...colour] = /38;2;(\d+);(\d+);(\d+)m/.exec(palette(role, "x"))!;
    for (const background of [[0, 0, 0], [255, 255, 255]]) {
      assert.ok(contrast(colour.map(Number), background) >= 3, `${role} on ${background}`);
    }
  }
});
