import assert from "node:assert/strict";
import { QueuedWriter } from "../../../cli/output/queued_output.ts";
import { OutputClosed } from "../../../cli/output/output.ts";
import { OomkitError } from "../../../core/errors.ts";

/** A reader that takes up to `bytes` at a time, once `goOn` was called. */
function makeReader(bytes = Infinity) {
  const gate = Promise.withResolvers<void>();
  let text = "";
  const warnings: string[] = [];
  return {
    warnings,
    get text() {
      return text;
    },
    goOn: () => gate.resolve(),
    goAway: (error: Error) => gate.reject(error),
    warn: (line: string) => void warnings.push(line),
    stream: {
      async write(chunk: Uint8Array) {
        await gate.promise;
        const taken = chunk.subarray(0, bytes);
        text += new TextDecoder().decode(taken);
        return taken.length;
      },
    },
  };
}

const SOON = 20;

Deno.test("lines are written whole and in order, even a few bytes at a time", async () => {
  const reader = makeReader(3);
  const writer = new QueuedWriter(reader);
  for (const line of ["first", "the second", "3"]) writer.write(line);
  reader.goOn();
  await writer.close();
  assert.deepEqual([reader.text, reader.warnings], ["first\nthe second\n3\n", []]);
});

Deno.test("lines that do not fit are dropped, and reported once when the reader continues", async () => {
  const reader = makeReader();
  const writer = new QueuedWriter({ ...reader, maxLines: 4 });
  for (let n = 0; n < 10; n++) writer.write(String(n));
  assert.deepEqual(reader.warnings, []);
  reader.goOn();
  await writer.close();
  assert.equal(reader.text, "0\n1\n2\n3\n");
  assert.deepEqual(reader.warnings, ["6 lines were dropped: the reader of stdout was too slow"]);
});

Deno.test("a reader that does not read does not delay the end, and the dropped lines are reported", async () => {
  const reader = makeReader();
  const writer = new QueuedWriter({ ...reader, maxLines: 4, closeWithin: SOON });
  for (let n = 0; n < 5; n++) writer.write(String(n));
  await writer.close();
  assert.deepEqual(reader.warnings, ["5 lines were dropped: the reader of stdout was too slow"]);
  writer.write("too late");
  reader.goOn();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(reader.text, "0\n");
});

Deno.test("a reader that goes away is OutputClosed, any other failure an error for the user", async () => {
  const gone = makeReader();
  const first = new QueuedWriter(gone);
  first.write("x");
  gone.goAway(new Deno.errors.BrokenPipe("Broken pipe (os error 32)"));
  await assert.rejects(first.broken, OutputClosed);
  first.write("y");
  await first.close();
  assert.deepEqual(gone.warnings, []);

  const full = makeReader();
  const second = new QueuedWriter(full);
  second.write("x");
  full.goAway(new Error("No space left on device (os error 28)"));
  await assert.rejects(second.broken, (error) =>
    error instanceof OomkitError &&
    error.message === "cannot write to stdout: No space left on device");
  await second.close();
});

Deno.test("a write to a non-blocking stream is repeated", async () => {
  const reader = makeReader();
  let tries = 0;
  const write = (bytes: Uint8Array) =>
    ++tries < 3
      ? Promise.reject(new Deno.errors.WouldBlock("Resource temporarily unavailable"))
      : reader.stream.write(bytes);
  const writer = new QueuedWriter({ stream: { write }, warn: reader.warn });
  reader.goOn();
  writer.write("x");
  await writer.close();
  assert.deepEqual([reader.text, tries], ["x\n", 3]);
});

Deno.test("lines of kills are kept in their place when those of other events do not fit", async () => {
  const reader = makeReader();
  const writer = new QueuedWriter({ ...reader, maxLines: 2 });
  for (let n = 0; n < 5; n++) writer.write(String(n), n % 2 === 0 ? "threshold" : "max");
  writer.write("kill", "oom_kill");
  writer.write("5", "threshold");
  reader.goOn();
  await writer.close();
  assert.equal(reader.text, "0\n1\nkill\n");
  assert.deepEqual(reader.warnings, [
    "4 lines were dropped (3 threshold, 1 max): the reader of stdout was too slow",
  ]);
});
