import assert from "node:assert/strict";
import { withMemory } from "../../../core/cgroup/files.ts";

Deno.test("a call that finds no memory is repeated, any other failure is not", () => {
  let calls = 0;
  const failing = (message: string, times: number) => () => {
    if (++calls <= times) throw new Error(message);
    return "text";
  };
  const noMemory = "Cannot allocate memory (os error 12): open '/a'";
  assert.equal(withMemory(failing(noMemory, 3)), "text");
  assert.equal(calls, 4);
  calls = 0;
  assert.throws(() => withMemory(failing(noMemory, Infinity)), /os error 12/);
  assert.equal(calls, 20);
  calls = 0;
  assert.throws(() => withMemory(failing("Permission denied (os error 13)", 1)), /os error 13/);
  assert.equal(calls, 1);
});
