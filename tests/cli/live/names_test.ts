import assert from "node:assert/strict";
import { commonParent, nameIn } from "../../../cli/live/names.ts";

Deno.test("what all paths have in common is left out of the names", () => {
  const cases: [string[], string][] = [
    [["/a/b/c", "/a/b/d"], "/a/b"],
    [["/a/b", "/a/b/c", "/a/b/d/e"], "/a/b"],
    [["/a/bc", "/a/bd"], "/a"],
    [["/a/b", "/c"], "/"],
    [["/", "/a"], "/"],
    [["/a/b"], "/a"],
    [["/a"], "/"],
    [[], "/"],
  ];
  for (const [paths, parent] of cases) assert.equal(commonParent(paths), parent, String(paths));
  assert.equal(nameIn("/a/b", "/a/b/c/d"), "c/d");
  assert.equal(nameIn("/a/b", "/a/b"), ".");
  assert.equal(nameIn("/a/b", "/a/bc"), "/a/bc", "another cgroup, as in an event");
  assert.equal(nameIn("/", "/a"), "/a");
});
