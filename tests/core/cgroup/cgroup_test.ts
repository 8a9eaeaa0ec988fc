import assert from "node:assert/strict";
import {
  invalidReason,
  isThere,
  openCgroup,
  readLimit,
  readSummary,
  readUsage,
} from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { v1 } from "../../../core/cgroup/v1.ts";
import { v2 } from "../../../core/cgroup/v2.ts";
import { limitOf } from "../../../core/guard/targets.ts";
import { type Files, makeTree } from "../../helpers/trees.ts";
import { cgroupFixture, type Kernel } from "../parse/fixture.ts";

Deno.test("no file of a kernel is invalid", () => {
  const cases: [Kernel, typeof v1][] = [["6.1-v1", v1], ["6.18-v1", v1], ["6.1-v2", v2]];
  for (const [kernel, version] of cases) {
    for (const name of ["limited", "victim"]) {
      const read = cgroupFixture(kernel, name);
      version.snapshot((file) => {
        const text = read(file);
        if (text !== undefined) {
          assert.equal(invalidReason(file, text), undefined, `${kernel}/${name}/${file}`);
        }
        return text;
      });
    }
  }
});

Deno.test("empty, torn and other invalid files have different reasons", () => {
  assert.match(invalidReason("memory.current", "")!, /empty/);
  assert.match(invalidReason("memory.current", "2097")!, /cut off/);
  assert.match(invalidReason("memory.stat", "anon 5\nfile 1")!, /cut off/);
  assert.match(invalidReason("memory.max", "lots\n")!, /is not a size/);
  assert.match(invalidReason("memory.max", "-1\n")!, /is not a size/);
  assert.match(invalidReason("memory.stat", "lots\n")!, /no line/);
  assert.match(invalidReason("memory.pressure", "some lots\n")!, /no line/);
  assert.match(invalidReason("cgroup.procs", "12\n\u001b\n")!, /more than pids/);
});

Deno.test("a file that may be empty is valid when it is", () => {
  assert.equal(invalidReason("cgroup.procs", ""), undefined);
  assert.equal(invalidReason("memory.pressure", ""), undefined);
});

const TORN: Readonly<Record<1 | 2, Files>> = {
  1: {
    "memory.usage_in_bytes": "3145",
    "memory.limit_in_bytes": "6710886",
    "memory.soft_limit_in_bytes": "6710886",
  },
  2: { "memory.current": "3145", "memory.max": "6710886", "memory.high": "6710886" },
};

for (const version of [1, 2] as const) {
  Deno.test(`v${version}: a torn number is unknown, because a tenth of a limit is a limit that is exceeded`, () => {
    using tree = makeTree(version, { "/a": TORN[version] });
    const cgroup = openCgroup(discover(tree.dir), "/a")!;
    assert.equal(readUsage(cgroup), undefined);
    assert.equal(readLimit(cgroup), undefined);
    const { usage, limits } = readSummary(cgroup)!;
    assert.deepEqual({ usage, max: limits.max, soft: limits.soft, high: limits.high }, {
      usage: undefined,
      max: undefined,
      soft: undefined,
      high: undefined,
    });
    // Neither the hard nor the soft limit is guarded.
    assert.equal(limitOf(cgroup, false, true), undefined);
    assert.equal(limitOf(cgroup, true, true), undefined);
  });
}

Deno.test("a directory of another file system is no cgroup, and a cgroup that one covers is gone", () => {
  using tree = makeTree(2, { "/a": {} });
  const hierarchy = discover(tree.dir);
  const other = { ...hierarchy, device: hierarchy.device + 1 };
  assert.equal(openCgroup(hierarchy, "/a")?.path, "/a");
  assert.equal(openCgroup(other, "/a"), undefined);
  assert.equal(isThere({ ...openCgroup(hierarchy, "/a")!, hierarchy: other }), false);
});
