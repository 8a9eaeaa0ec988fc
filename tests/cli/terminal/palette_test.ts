import assert from "node:assert/strict";
import { capabilitiesOf, paletteOf } from "../../../cli/terminal/palette.ts";

const of = (variables: Record<string, string>, color: "auto" | "always" | "never" = "auto") =>
  capabilitiesOf({ color }, (name) => variables[name]);

Deno.test("the option and the variables decide on the colours", () => {
  const cases: [Record<string, string>, "auto" | "always" | "never", number][] = [
    [{ TERM: "xterm" }, "auto", 16],
    [{ TERM: "xterm-256color" }, "auto", 256],
    [{ TERM: "xterm-256color", COLORTERM: "truecolor" }, "auto", 16777216],
    [{ TERM: "xterm-direct" }, "auto", 16777216],
    [{ TERM: "vt100" }, "auto", 0],
    [{ TERM: "dumb", COLORTERM: "truecolor" }, "auto", 0],
    [{}, "auto", 0],
    [{ TERM: "xterm-256color", NO_COLOR: "1" }, "auto", 0],
    [{ TERM: "xterm-256color", NO_COLOR: "" }, "auto", 256],
    [{ TERM: "xterm-256color", NO_COLOR: "1" }, "always", 256],
    [{ TERM: "dumb" }, "always", 16],
    [{ TERM: "xterm-256color" }, "never", 0],
  ];
  for (const [variables, color, colours] of cases) {
    assert.equal(of(variables, color).colours, colours, JSON.stringify([variables, color]));
  }
});

Deno.test("the locale decides on Unicode, in the order of locale(7)", () => {
  const cases: [Record<string, string>, boolean][] = [
    [{}, false],
    [{ LANG: "C" }, false],
    [{ LANG: "de_DE.UTF-8" }, true],
    [{ LANG: "C.utf8" }, true],
    [{ LC_ALL: "C", LANG: "de_DE.UTF-8" }, false],
    [{ LC_ALL: "", LC_CTYPE: "C.UTF-8", LANG: "C" }, true],
    [{ LC_CTYPE: "en_US.ISO-8859-1", LANG: "C.UTF-8" }, false],
  ];
  for (const [variables, unicode] of cases) {
    assert.equal(of(variables).unicode, unicode, JSON.stringify(variables));
  }
  const isAscii = capabilitiesOf({ color: "auto", ascii: true }, () => "C.UTF-8");
  assert.equal(isAscii.unicode, false);
});

Deno.test("without colours nothing is added to the text; with them each part resets its own", () => {
  const palette = (colours: 0 | 16 | 256 | 16777216) =>
    paletteOf({ colours, unicode: true })("warn", "x");
  assert.equal(palette(0), "x");
  assert.equal(palette(16), "\x1b[33mx\x1b[0m");
  assert.equal(palette(256), "\x1b[38;5;178mx\x1b[0m");
  assert.equal(palette(16777216), "\x1b[38;2;215;175;0mx\x1b[0m");
});
