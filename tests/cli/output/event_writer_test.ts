import assert from "node:assert/strict";
import { openEventWriter } from "../../../cli/output/event_writer.ts";
import { OutputClosed } from "../../../cli/output/output.ts";
import { OomkitError } from "../../../core/errors.ts";

/** A reader that takes up to `bytes` at a time, once it is let. */
function makeReader(bytes = Infinity) {
  const gate = Promise.withResolvers<void>();
  let text = "";
  const complaints: string[] = [];
  return {
    complaints,
    get text() {
      return text;
    },
    goOn: () => gate.resolve(),
    goAway: (error: Error) => gate.reject(error),
    warn: (line: string) => void complaints.push(line),
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

Deno.test("lines come whole and in order, however little is taken at a time", async () => {
  const reader = makeReader(3);
  const writer = openEventWriter(reader);
  for (const line of ["first", "the second", "3"]) writer.write(line);
  reader.goOn();
  await writer.close();
  assert.deepEqual([reader.text, reader.complaints], ["first\nthe second\n3\n", []]);
});

Deno.test("what does not fit is dropped, and told once when the reader goes on", async () => {
  const reader = makeReader();
  const writer = openEventWriter({ ...reader, most: 4 });
  for (let n = 0; n < 10; n++) writer.write(String(n));
  assert.deepEqual(reader.complaints, []);
  reader.goOn();
  await writer.close();
  assert.equal(reader.text, "0\n1\n2\n3\n");
  assert.deepEqual(reader.complaints, ["6 lines were dropped: nobody read stdout in time"]);
});

Deno.test("a reader that does not read keeps nobody waiting, and what it missed is told", async () => {
  const reader = makeReader();
  const writer = openEventWriter({ ...reader, most: 4, timeout: SOON });
  for (let n = 0; n < 5; n++) writer.write(String(n));
  await writer.close();
  assert.deepEqual(reader.complaints, ["5 lines were dropped: nobody read stdout in time"]);
  writer.write("too late");
  reader.goOn();
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(reader.text, "0\n");
});

Deno.test("a reader that goes away is an ordinary end, anything else is told", async () => {
  const gone = makeReader();
  const first = openEventWriter(gone);
  first.write("x");
  gone.goAway(new Deno.errors.BrokenPipe("Broken pipe (os error 32)"));
  await assert.rejects(first.broken, OutputClosed);
  first.write("y");
  await first.close();
  assert.deepEqual(gone.complaints, []);

  const full = makeReader();
  const second = openEventWriter(full);
  second.write("x");
  full.goAway(new Error("No space left on device (os error 28)"));
  await assert.rejects(second.broken, (error) =>
    error instanceof OomkitError &&
    error.message === "cannot write to stdout: No space left on device");
  await second.close();
});

Deno.test("a stream that was made one that does not block is tried again", async () => {
  const reader = makeReader();
  let tries = 0;
  const write = (bytes: Uint8Array) =>
    ++tries < 3
      ? Promise.reject(new Deno.errors.WouldBlock("Resource temporarily unavailable"))
      : reader.stream.write(bytes);
  const writer = openEventWriter({ stream: { write }, warn: reader.warn });
  reader.goOn();
  writer.write("x");
  await writer.close();
  assert.deepEqual([reader.text, tries], ["x\n", 3]);
});
