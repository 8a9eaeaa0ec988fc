import assert from "node:assert/strict";
import { writeAll } from "../../../cli/output/output.ts";

Deno.test("a write to a full non-blocking stream waits for room", () => {
  const written: number[] = [];
  let asked = 0;
  const writeSync = (bytes: Uint8Array) => {
    if (asked++ % 2 === 0) throw new Deno.errors.WouldBlock("Resource temporarily unavailable");
    const taken = bytes.subarray(0, 3);
    written.push(...taken);
    return taken.length;
  };
  writeAll({ writeSync }, "ten bytes.");
  assert.equal(new TextDecoder().decode(new Uint8Array(written)), "ten bytes.");
});
