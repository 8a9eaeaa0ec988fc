import assert from "node:assert/strict";
import fc from "fast-check";
import {
  memoryLine,
  parseProgress,
  progressLine,
} from "../../../core/simulate/allocator_protocol.ts";

const whole = fc.nat(Number.MAX_SAFE_INTEGER);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("a memory line is parsed as it was written, whatever the numbers", () => {
  const words = fc.constantFrom("used" as const, "allocator_started" as const);
  fc.assert(fc.property(words, whole, whole, whole, (type, at, allocated, usage) => {
    const line = text(memoryLine(type, at, allocated, usage));
    assert.ok(line.endsWith("\n"));
    assert.deepEqual(parseProgress(line.trimEnd()), { type, at, allocated, usage });
  }));
});

Deno.test("an unknown usage stays unknown", () => {
  const line = text(memoryLine("used", 1, 4096, undefined)).trimEnd();
  assert.deepEqual(parseProgress(line), { type: "used", at: 1, allocated: 4096 });
});

Deno.test("every other line is parsed as it was written", () => {
  const read = (line: string) => parseProgress(line.trimEnd());
  assert.deepEqual(read(progressLine("ready", 7)), { type: "ready", at: 7 });
  assert.deepEqual(read(progressLine("done", 7, "stop_at")), {
    type: "done",
    at: 7,
    reason: "stop_at",
  });
  assert.deepEqual(read(progressLine("signal", 7, "SIGUSR1")), {
    type: "signal",
    at: 7,
    signal: "SIGUSR1",
  });
});

Deno.test("a line that no allocator writes is ignored", () => {
  const lines = [
    "",
    "used",
    "used 1 2",
    "used 1 2 3 4",
    "used x 1 2",
    "signal 1 SIGKILL",
    "done 1 no",
  ];
  for (const line of lines) assert.equal(parseProgress(line), undefined, line);
});
