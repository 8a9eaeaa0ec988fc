import assert from "node:assert/strict";
import fc from "fast-check";
import { parseCmdline } from "../../../core/parse/procfs.ts";
import { fixture, KERNELS } from "./fixture.ts";

Deno.test("empty arguments and arguments with blanks are kept", () => {
  for (const kernel of KERNELS) {
    const expected = ["sh", "holder", "two words", "", "last"];
    assert.deepEqual(parseCmdline(fixture(kernel, "proc/cmdline")), expected);
  }
});

Deno.test("a kernel thread has no arguments", () => assert.deepEqual(parseCmdline(""), []));

Deno.test("a title that a process has set is one argument without its padding", () => {
  assert.deepEqual(parseCmdline(`nginx: worker process${"\0".repeat(40)}`), [
    "nginx: worker process",
  ]);
  assert.deepEqual(parseCmdline("postgres: idle"), ["postgres: idle"]);
});

Deno.test("any arguments that do not end in an empty one read back", () => {
  const argument = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\0", ""));
  const last = argument.filter((text) => text !== "");
  fc.assert(fc.property(fc.array(argument), last, (first, last) => {
    assert.deepEqual(parseCmdline([...first, last].map((text) => `${text}\0`).join("")), [
      ...first,
      last,
    ]);
  }));
});
