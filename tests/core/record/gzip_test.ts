import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { gunzipped } from "../../../core/record/gzip.ts";

async function read(content: Uint8Array, chunkBytes: number) {
  async function* chunks() {
    for (let at = 0; at < content.length; at += chunkBytes) {
      yield content.subarray(at, at + chunkBytes);
    }
  }
  let isTruncated = false;
  const parts: Uint8Array[] = [];
  const problems = {
    fail: (why: string): never => {
      throw new Error(why);
    },
    truncated: () => void (isTruncated = true),
  };
  for await (const part of gunzipped(chunks(), problems)) parts.push(part);
  const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
  return { text: new TextDecoder().decode(bytes), isTruncated };
}

Deno.test("content reads the same compressed and not, in chunks of any size", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.integer({ min: 1, max: 9 }), async (text, chunkBytes) => {
      const plain = new TextEncoder().encode(`x${text}`);
      for (const content of [plain, gzipSync(plain)]) {
        assert.deepEqual(await read(content, chunkBytes), {
          text: new TextDecoder().decode(plain),
          isTruncated: false,
        });
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("empty content and a single byte are returned as they are", async () => {
  assert.equal((await read(new Uint8Array(), 1)).text, "");
  assert.equal((await read(Uint8Array.of(0x1f), 1)).text, "\x1f");
});

Deno.test("of a cut file what precedes the cut is returned, and the cut is reported", async () => {
  const text = Array.from({ length: 2000 }, (_, line) => `line ${line * 7919}\n`).join("");
  const whole = gzipSync(text);
  const { text: part, isTruncated } = await read(whole.subarray(0, whole.length / 2), 100);
  assert.ok(part.length > 0 && text.startsWith(part));
  assert.ok(isTruncated);
});

Deno.test("damaged content fails", async () => {
  const damaged = Uint8Array.from(gzipSync("text ".repeat(1000) + Math.random()));
  damaged[damaged.length - 6]! ^= 0xff;
  await assert.rejects(read(damaged, 100), /its compressed content is damaged/);
});
