import assert from "node:assert/strict";
import { capabilitiesOf, hasJobControl } from "../../../cli/terminal/capabilities.ts";
import type { TerminalGroups } from "../../../core/parse/procfs.ts";

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
    [{ TERM: "dumb", FORCE_COLOR: "1" }, "auto", 16],
    [{ CLICOLOR_FORCE: "1" }, "auto", 16],
    [{ CLICOLOR_FORCE: "0" }, "auto", 0],
    [{ TERM: "xterm", FORCE_COLOR: "0", CLICOLOR_FORCE: "1" }, "auto", 0],
    [{ TERM: "xterm", FORCE_COLOR: "1", NO_COLOR: "1" }, "auto", 0],
    [{ FORCE_COLOR: "1" }, "never", 0],
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

/** Parent, group and session of some processes; 9 is asked about. */
const has = (processes: Record<number, readonly [number, number, number]>) =>
  hasJobControl((pid): TerminalGroups | undefined => {
    const found = processes[pid === "self" ? 9 : pid];
    if (found === undefined) return undefined;
    const [parent, own, session] = found;
    return { parent, own, session, foreground: own };
  });

const shell = [2, 5, 5] as const;

Deno.test("a job of a shell can be resumed, also if a script started it", () => {
  assert.ok(has({ 5: shell, 9: [5, 9, 5] }));
  assert.ok(has({ 5: shell, 8: [5, 8, 5], 9: [8, 8, 5] }));
});

Deno.test("a session leader or an orphaned group could not be resumed", () => {
  assert.ok(!has({ 2: [1, 2, 2], 9: [2, 9, 9] }), "ssh -t host oomkit guard");
  assert.ok(!has({ 2: [1, 2, 2], 8: [2, 8, 8], 9: [8, 8, 8] }), "and in a script");
  assert.ok(!has({ 9: [0, 9, 9] }), "in a container");
  assert.ok(!has({}), "without /proc");
});
