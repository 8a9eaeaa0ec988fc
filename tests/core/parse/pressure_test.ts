import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePressure } from "../../../core/parse/cgroupfs.ts";
import { fixture } from "./fixture.ts";

Deno.test("a cgroup's pressure reads as the kernel wrote it", () => {
  const line = { avg10: 4.86, avg60: 2.13, avg300: 0.51, total: 1391836n };
  assert.deepEqual(parsePressure(fixture("6.1-v2", "limited/memory.pressure")), {
    some: line,
    full: line,
  });
});

Deno.test("the machine's pressure keeps some and full apart", () => {
  assert.deepEqual(parsePressure(fixture("6.1-v2", "proc/pressure/memory")), {
    some: { avg10: 4.43, avg60: 1.94, avg300: 0.46, total: 1467955n },
    full: { avg10: 3.11, avg60: 1.36, avg300: 0.32, total: 1027942n },
  });
  assert.equal(parsePressure(fixture("6.18-v1", "proc/pressure/memory"))?.full?.total, 5952n);
});

Deno.test("an empty file, as without psi=1, and garbage have no pressure", () => {
  for (
    const text of ["", "\n", "some\n", "some avg10=x avg60=0.00 avg300=0.00 total=1\n", "low 0\n"]
  ) {
    assert.equal(parsePressure(text), undefined);
  }
});

Deno.test("a torn line is skipped and the one before it is kept", () => {
  const text = fixture("6.1-v2", "proc/pressure/memory");
  for (let end = text.indexOf("\n") + 1; end < text.length; end++) {
    const pressure = parsePressure(text.slice(0, end));
    assert.equal(pressure?.some?.total, 1467955n);
    assert.equal(pressure?.full, undefined);
  }
});

Deno.test("arbitrary text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parsePressure(text)));
});

Deno.test("anything that the kernel can write reads back, totals exactly", () => {
  const average = fc.integer({ min: 0, max: 10000 }).map((hundredths) => hundredths / 100);
  const line = fc.record({
    avg10: average,
    avg60: average,
    avg300: average,
    total: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.record({ some: line, full: line }, { noNullPrototype: true }), (pressure) => {
      const text = Object.entries(pressure).map(([kind, { avg10, avg60, avg300, total }]) =>
        `${kind} avg10=${avg10.toFixed(2)} avg60=${avg60.toFixed(2)} avg300=${
          avg300.toFixed(2)
        } total=${total}\n`
      ).join("");
      assert.deepEqual(parsePressure(text), pressure);
    }),
  );
});
