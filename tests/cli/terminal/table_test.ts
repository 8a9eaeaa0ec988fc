import assert from "node:assert/strict";
import fc from "fast-check";
import { cut, cutMiddle, tabulate } from "../../../cli/terminal/table.ts";
import { flow, wrap } from "../../../cli/terminal/wrap.ts";

Deno.test("columns are aligned and the last one is cut", () => {
  const columns = [{ title: "SIZE", align: "right" }, { title: "NAME", align: "left" }] as const;
  assert.deepEqual(tabulate(columns, [["1 B", "short"], ["100 B", "a very long name"]], 16), [
    " SIZE  NAME",
    "  1 B  short",
    "100 B  a very l…",
  ]);
});

Deno.test("a cut text fits its width, and a cut path keeps both ends", () => {
  assert.equal(cut("abcdef", 4), "abc…");
  assert.equal(cutMiddle("/kubepods/burstable/pod1/abcdef", 16), "/kube…od1/abcdef");
  fc.assert(fc.property(fc.string(), fc.integer({ min: 1, max: 50 }), (text, width) => {
    assert.ok(cut(text, width).length <= width);
    assert.ok(cutMiddle(text, width).length <= width);
  }));
});

Deno.test("wrapping loses no word and breaks none", () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 });
  fc.assert(fc.property(words, fc.integer({ min: 5, max: 30 }), (list, width) => {
    const lines = wrap(list.join(" "), width);
    assert.equal(lines.join(" "), list.join(" "));
    for (const line of lines) assert.ok(line.length <= width || !line.includes(" "));
    const flowed = flow(list, width);
    assert.equal(flowed.join(" · "), list.join(" · "));
  }));
});
