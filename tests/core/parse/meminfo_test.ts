import assert from "node:assert/strict";
import fc from "fast-check";
import { parseMeminfo } from "../../../core/parse/procfs.ts";
import { fixture } from "./fixture.ts";

Deno.test("the machine's memory reads in bytes", () => {
  const meminfo = parseMeminfo(fixture("6.18-v1", "proc/meminfo"));
  assert.equal(meminfo.total, 25276514304);
  assert.equal(meminfo.free, 24249984 * 1024);
  assert.equal(meminfo.available, 24304584 * 1024);
  assert.equal(meminfo.buffers, 1380 * 1024);
  assert.equal(meminfo.cached, 240656 * 1024);
  assert.equal(meminfo.swapTotal, 0);
});

Deno.test("Active is not read as Active(file)", () => {
  const text = fixture("6.1-v2", "proc/meminfo");
  const meminfo = parseMeminfo(text);
  assert.equal(`${meminfo.activeFile! / 1024}`, /^Active\(file\): +(\d+) kB$/m.exec(text)?.[1]);
  assert.equal(`${meminfo.inactiveFile! / 1024}`, /^Inactive\(file\): +(\d+) kB$/m.exec(text)?.[1]);
});

Deno.test("missing lines are absent, and counts of pages are not sizes", () => {
  assert.deepEqual(parseMeminfo(""), {});
  assert.deepEqual(
    parseMeminfo("HugePages_Total:       0\nMemTotal: 12\nMemFree:\nSwapFree: 4 kB\n"),
    {
      swapFree: 4096,
    },
  );
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseMeminfo(text)));
});

Deno.test("anything that the kernel can write reads back", () => {
  fc.assert(fc.property(fc.nat().map((n) => n + 1), fc.nat(), (total, slab) => {
    const text = `MemTotal: ${`${total}`.padStart(15)} kB\nSReclaimable: ${
      `${slab}`.padStart(11)
    } kB\n`;
    assert.deepEqual(parseMeminfo(text), { total: total * 1024, slabReclaimable: slab * 1024 });
  }));
});

Deno.test("a whole that is less than a part of it is unknown, and so are its parts", () => {
  const meminfo = (rows: Readonly<Record<string, number>>) =>
    parseMeminfo(Object.entries(rows).map(([key, kB]) => `${key}: ${kB} kB\n`).join(""));
  const swap = { SwapTotal: 8, SwapFree: 8 };
  const known = { swapTotal: 8192, swapFree: 8192 };
  assert.deepEqual(meminfo({ MemTotal: 4, MemFree: 1, MemAvailable: 5, ...swap }), known);
  assert.deepEqual(meminfo({ MemTotal: 4, MemFree: 5, MemAvailable: 3, ...swap }), known);
  assert.deepEqual(meminfo({ MemTotal: 0, MemAvailable: 0, ...swap }), known);
  assert.deepEqual(meminfo({ MemTotal: 4, MemAvailable: 4, SwapTotal: 0, SwapFree: 8 }), {
    total: 4096,
    available: 4096,
  });
});
