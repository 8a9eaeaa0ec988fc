import assert from "node:assert/strict";
import {
  ancestryOf,
  layout,
  marksOf,
  type Node,
  ownOf,
} from "../../../core/picture/page/icicle.js";
import { treePage, treeStill, treeVerdict } from "../../../core/picture/tree.ts";

const node = (
  path: string,
  depth: number,
  usage: number | null,
  rest: Partial<Node> = {},
): Node => ({
  name: path.split("/").at(-1) || "/",
  path,
  depth,
  usage,
  working: null,
  limit: null,
  kills: null,
  leftOut: 0,
  ...rest,
});

const nodes = [
  node("/", 0, 1000),
  node("/a", 1, 600, { limit: 640 }),
  node("/a/x", 2, 500),
  node("/a/y", 2, 1),
  node("/b", 1, 300, { kills: 2 }),
];

Deno.test("the height of a cell is its usage, and the rest of the parent is its own memory", () => {
  const cells = layout(nodes, 0, 900, 1000).map((
    { node, kind, x, y, height, bytes },
  ) => [nodes[node]!.path, kind, x, y, height, bytes]);
  assert.deepEqual(cells, [
    ["/", "cgroup", 0, 0, 1000, 1000],
    ["/a", "cgroup", 300, 0, 600, 600],
    ["/a/x", "cgroup", 600, 0, 500, 500],
    ["/a", "rest", 600, 500, 1, 1],
    ["/a", "own", 600, 501, 99, 99],
    ["/b", "cgroup", 300, 600, 300, 300],
    ["/", "own", 300, 900, 100, 100],
  ]);
});

Deno.test("children that add up to more than their parent still fit beside it", () => {
  const racy = [node("/", 0, 100), node("/a", 1, 90), node("/b", 1, 60)];
  const beside = layout(racy, 0, 500, 300).filter(({ x }) => x > 0);
  assert.equal(Math.round(beside.reduce((sum, { height }) => sum + height, 0)), 300);
});

Deno.test("a cgroup can be the root, and has a path back", () => {
  const [first] = layout(nodes, 1, 900, 1000);
  assert.deepEqual([first!.node, first!.height], [1, 1000]);
  assert.deepEqual(ancestryOf(nodes, 2).map((at) => nodes[at]!.path), ["/", "/a", "/a/x"]);
  assert.equal(ownOf(nodes, 1), 99);
});

Deno.test("a cell has name, usage and kills if there is room", () => {
  const words = marksOf(nodes, layout(nodes, 0, 900, 1000)).map(({ text }) => text);
  assert.ok(words.includes("600 B, 93.8 % of 640 B"), String(words));
  assert.ok(words.includes("300 B ✕2"), String(words));
});

Deno.test("the verdict has total usage and the largest part", () => {
  assert.deepEqual(treeVerdict(nodes), {
    total: "1000 B in use in /",
    largest: "The largest part, 50 %, is in /a/x.",
  });
  assert.deepEqual(treeVerdict([node("/", 0, null)]), { total: "Memory usage is unknown." });
});

Deno.test("hostile names in a tree stay text, in the page and in the still picture", async () => {
  const evil = `</script><img src=x onerror=alert(1)>"'&`;
  const hostile = { about: evil, nodes: [node(`/${evil}`, 0, 10 ** 9, { name: evil })] };
  for (const text of [await treePage(hostile), treeStill(hostile)]) {
    assert.ok(!text.includes("<img"), "a name has become an element");
  }
});
