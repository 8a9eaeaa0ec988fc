import assert from "node:assert/strict";
import {
  type AncestorLimits,
  readAncestry,
  readEffectiveLimit,
} from "../../../core/cgroup/ancestry.ts";
import { openCgroup, walkCharged } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const open = (tree: Tree, path: string) => openCgroup(discover(tree.dir), path)!;

Deno.test("an ancestor's limit counts, and the ancestor is named", () => {
  using tree = makeTree(2, {
    "/pod": { "memory.max": 1000, "memory.current": 700, "memory.stat": "inactive_file 200\n" },
    "/pod/c": { "memory.current": 400 },
  });
  const { limit, headroom, workingSetHeadroom, certain, chain } = readAncestry(
    open(tree, "/pod/c"),
  );
  assert.deepEqual(limit, { bytes: 1000, scope: "cgroup", owner: "/pod" });
  assert.deepEqual(headroom, {
    bytes: 300,
    percent: 30,
    limit: 1000,
    scope: "cgroup",
    owner: "/pod",
  });
  assert.equal(workingSetHeadroom?.bytes, 500);
  assert.equal(certain, true);
  assert.deepEqual(chain.map(({ path }) => path), ["/pod/c", "/pod", "/"]);
});

Deno.test("no limit anywhere is certain when all ancestors are visible", () => {
  using tree = makeTree(1, { "/a": {} });
  const { limit, headroom, certain } = readAncestry(open(tree, "/a"));
  assert.deepEqual([limit, headroom, certain], [
    { bytes: Infinity, scope: "system" },
    undefined,
    true,
  ]);
});

Deno.test("a v1 limit does not apply to children that are not charged to the cgroup", () => {
  const limited = { "memory.limit_in_bytes": 1000, "memory.usage_in_bytes": 100 };
  const separate = { ...limited, "memory.use_hierarchy": 0 };
  using tree = makeTree(1, {
    "/": { "memory.use_hierarchy": 0 },
    "/a": separate,
    "/a/b": { ...limited, "memory.limit_in_bytes": 5000, "memory.use_hierarchy": 1 },
    "/a/b/c": { "memory.use_hierarchy": 1 },
  });
  const { limit, chain } = readAncestry(open(tree, "/a/b/c"));
  assert.deepEqual(limit, { bytes: 5000, scope: "cgroup", owner: "/a/b" });
  assert.deepEqual(chain.map(({ path }) => path), ["/a/b/c", "/a/b", "/"]);
  assert.deepEqual(readEffectiveLimit(open(tree, "/a/b/c")), {
    bytes: 5000,
    scope: "cgroup",
    owner: "/a/b",
  });
  assert.deepEqual(readEffectiveLimit(open(tree, "/a")), {
    bytes: 1000,
    scope: "cgroup",
    owner: "/a",
  });
  const paths = (path: string) => [...walkCharged(open(tree, path))].map((each) => each.path);
  assert.deepEqual(paths("/a"), ["/a"]);
  assert.deepEqual(paths("/a/b"), ["/a/b", "/a/b/c"]);
  assert.deepEqual(paths("/"), ["/", "/a", "/a/b", "/a/b/c"]);
});

Deno.test("v1 reveals the limit of a hidden ancestor, v2 does not", () => {
  const stat = "total_inactive_file 0\nhierarchical_memory_limit 67108864\n";
  using one = makeTree(1, { "/c": { "memory.stat": stat, "memory.usage_in_bytes": 67000000 } });
  const hidden = { ...discover(one.dir), hidden: true };
  const known = readAncestry(openCgroup(hidden, "/c")!);
  assert.deepEqual(known.limit, { bytes: 67108864, scope: "hidden_ancestor" });
  assert.equal(known.headroom?.bytes, 108864);
  assert.equal(known.headroom?.owner, undefined);
  assert.equal(known.certain, true);

  using two = makeTree(2, { "/c": { "memory.max": 1000 } });
  const unknown = readAncestry(openCgroup({ ...discover(two.dir), hidden: true }, "/c")!);
  assert.deepEqual(unknown.limit, { bytes: 1000, scope: "cgroup", owner: "/c" });
  assert.equal(unknown.certain, false);
});

Deno.test("a torn limit of an ancestor makes the limit uncertain, and does not count as a number", () => {
  using tree = makeTree(2, { "/a": { "memory.max": "104" }, "/a/b": { "memory.max": 5000 } });
  const { limit, certain, unreadable } = readAncestry(open(tree, "/a/b"));
  assert.deepEqual(limit, { bytes: 5000, scope: "cgroup", owner: "/a/b" });
  assert.equal(certain, false);
  assert.deepEqual(unreadable, ["/a"]);
});

Deno.test("a v2 root has no limit file, and its lack of a limit is certain", () => {
  using tree = makeTree(2);
  const { limit, certain } = readAncestry(open(tree, "/"));
  assert.deepEqual([limit, certain], [{ bytes: Infinity, scope: "system" }, true]);
});

Deno.test("readEffectiveLimit agrees with readAncestry, and reads common ancestors once per pass", () => {
  using tree = makeTree(2, {
    "/pod": { "memory.max": 1000 },
    "/pod/a": { "memory.max": 500 },
    "/pod/b": {},
    "/free": {},
  });
  const known: AncestorLimits = new Map();
  for (const path of ["/", "/pod", "/pod/a", "/pod/b", "/free"]) {
    const cgroup = open(tree, path);
    assert.deepEqual(readEffectiveLimit(cgroup, known), readAncestry(cgroup).limit, path);
  }
  tree.write("/pod", "memory.max", 700);
  assert.equal(readEffectiveLimit(open(tree, "/pod/b"), known).bytes, 1000);
  assert.equal(readEffectiveLimit(open(tree, "/pod/b")).bytes, 700);
});

Deno.test("in one pass over many cgroups the limit of / counts for those below it", () => {
  using tree = makeTree(2, { "/": { "memory.max": 500 }, "/a": { "memory.max": 1000 } });
  const known: AncestorLimits = new Map();
  for (const path of ["/", "/a"]) {
    assert.deepEqual(readEffectiveLimit(open(tree, path), known), {
      bytes: 500,
      scope: "cgroup",
      owner: "/",
    });
  }
});

Deno.test("in a copy a missing limit file makes the limit uncertain, unless its controller is not enabled", () => {
  using tree = makeTree(2, {
    "/a": { "memory.max": undefined, "cgroup.controllers": undefined },
    "/b": { "memory.max": undefined, "cgroup.controllers": "cpu\n" },
  });
  assert.deepEqual(readAncestry(open(tree, "/a")).unreadable, ["/a"]);
  assert.deepEqual(readAncestry(open(tree, "/b")).unreadable, []);
});
