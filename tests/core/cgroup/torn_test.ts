import assert from "node:assert/strict";
import { openCgroup, readLimit, readSummary, readUsage } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { limitOf } from "../../../core/guard/targets.ts";
import { type Files, makeTree } from "../../helpers/trees.ts";

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
