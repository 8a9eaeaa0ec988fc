import assert from "node:assert/strict";
import { keysOf } from "../../../cli/terminal/keys.ts";

const names = (text: string, isComplete = false) =>
  keysOf(text, isComplete).keys.map((key) => key.name === "text" ? key.text : key.name).join(" ");

Deno.test("keys are recognised by their sequences, in both modes of the arrow keys", () => {
  assert.equal(names("\x1b[A\x1bOB\x1b[C\x1bOD"), "up down right left");
  assert.equal(names("\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1bOF"), "page-up page-down home end end");
  assert.equal(
    names("\x03\x1a\x0c\r\n\x7f\x15"),
    "interrupt suspend redraw enter enter backspace clear",
  );
  assert.equal(names("jk/日🚀 q"), "j k / 日 🚀   q");
});

Deno.test("modifiers are ignored, and unknown sequences are skipped", () => {
  assert.equal(names("\x1b[1;5A\x1b[5;2~\x1b[1;2F"), "up page-up end");
  assert.equal(names("\x1b[24~\x1b[?1;2c\x1b[200~x\x07"), "x");
  assert.equal(names("\x1bx"), "x");
});

Deno.test("a sequence in pieces is one key, and a lone escape is a key", () => {
  for (const rest of ["\x1b", "\x1b[", "\x1bO", "\x1b[1;5"]) {
    assert.deepEqual(keysOf(`j${rest}`), { keys: [{ name: "text", text: "j" }], rest });
  }
  assert.equal(names("\x1b", true), "escape");
  assert.equal(names("\x1b\x1b[A"), "escape up");
  assert.deepEqual(keysOf("\x1b[", true).rest, "");
});

Deno.test("any bytes are parsed completely and without an exception", () => {
  for (let at = 0; at < 2000; at++) {
    const text = String.fromCharCode(at % 256, 27, 91, (at * 7) % 256, (at * 31) % 256, 27);
    assert.equal(keysOf(text, true).rest, "");
  }
});
