import assert from "node:assert/strict";
import fc from "fast-check";
import { ItemSplitter } from "../../../../core/receivers/kubernetes/json.ts";

function split(pieces: readonly string[], most = 1_000_000) {
  const items: unknown[] = [];
  const splitter = new ItemSplitter(most, (item) => void items.push(JSON.parse(item)));
  for (const piece of pieces) splitter.push(piece);
  return { items, around: JSON.parse(splitter.end()) };
}

Deno.test("any list is split into its items, however it is cut and formatted", () => {
  fc.assert(fc.property(
    fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
    fc.dictionary(fc.string().filter((key) => key !== "items"), fc.jsonValue()),
    fc.array(fc.nat(200)),
    fc.constantFrom(0, 2),
    (items, metadata, cuts, indent) => {
      const list = { kind: 'Pod"List[', metadata, items, tail: [{ "items": [1] }] };
      const text = JSON.stringify(list, null, indent);
      const pieces: string[] = [];
      let rest = text;
      for (const cut of cuts) {
        pieces.push(rest.slice(0, cut));
        rest = rest.slice(cut);
      }
      const found = split([...pieces, rest]);
      const requested = JSON.parse(text);
      assert.deepEqual(found.items, requested.items);
      assert.deepEqual(found.around, { ...requested, items: [] });
    },
  ));
});

Deno.test("an item that is too long is an error", () => {
  assert.throws(() => split(['{"items":[{"a":"', "x".repeat(100), "x".repeat(100)], 150), /longer/);
});

Deno.test("the number of items is not limited", () => {
  const items = Array.from({ length: 1000 }, (_, at) => ({ at }));
  assert.equal(split([JSON.stringify({ items })], 100).items.length, 1000);
});

Deno.test("an empty list may be null or empty", () => {
  assert.deepEqual(split(['{"kind":"PodList","items":null}']).items, []);
  assert.deepEqual(split(['{"kind":"PodList","items":[]}']).items, []);
});
