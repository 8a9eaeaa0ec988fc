import assert from "node:assert/strict";
import fc from "fast-check";
import {
  diesWithGroup,
  groupOf,
  oomTotalBytesOf,
  rankVictims,
} from "../../../core/policy/victims.ts";
import { process } from "../../helpers/process.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const pidsOf = (...args: Parameters<typeof rankVictims>) =>
  rankVictims(...args).map((each) => each.process.pid);

Deno.test("the largest dies first, swap and page tables included", () => {
  const processes = [
    process(10, { rss: 5 * MIB }),
    process(11, { rss: 3 * MIB, swap: 3 * MIB }),
    process(12, { rss: 4 * MIB, pageTables: 3 * MIB }),
  ];
  assert.deepEqual(pidsOf(processes, 64 * MIB), [12, 11, 10]);
});

Deno.test("oom_score_adj weighs thousandths of the cgroup's limit, not of the machine's memory", () => {
  const big = process(10, { rss: 30 * MIB });
  const marked = process(11, { rss: 10 * MIB, oomScoreAdj: 100 });
  assert.deepEqual(pidsOf([big, marked], 64 * MIB), [10, 11]);
  assert.deepEqual(pidsOf([big, marked], 16 * GIB), [11, 10]);
});

Deno.test("spared are init, oom_score_adj -1000, zombies and kernel threads", () => {
  const zombie = process(13, { state: "Z" });
  delete (zombie as { rss?: number }).rss;
  const processes = [process(1), process(11, { oomScoreAdj: -1000 }), zombie, process(14)];
  assert.deepEqual(pidsOf(processes, 64 * MIB), [14]);
});

Deno.test("pid 1 of a pid namespace is no init of the machine", () => {
  const processes = [process(1, { rss: 2 * MIB }), process(2)];
  assert.deepEqual(pidsOf(processes, 64 * MIB, { pidOneIsInit: false }), [1, 2]);
});

Deno.test("oom_score_adj -999 makes unlikely, not safe", () => {
  assert.deepEqual(pidsOf([process(10, { oomScoreAdj: -999, rss: 60 * MIB })], 64 * MIB), [10]);
});

Deno.test("of equals the youngest dies, since the kernel comes to it last", () => {
  const processes = [
    process(10, { startTime: 7n }),
    process(11, { startTime: 9n }),
    process(12, { startTime: 8n }),
  ];
  assert.deepEqual(pidsOf(processes, 64 * MIB), [11, 12, 10]);
});

Deno.test("the order does not depend on the order of reading", () => {
  const some = fc.array(
    fc.record({ rss: fc.nat(100 * MIB), oomScoreAdj: fc.integer({ min: -1000, max: 1000 }) }),
    { maxLength: 12 },
  );
  fc.assert(fc.property(some, fc.nat(GIB), (fields, limit) => {
    const processes = fields.map((each, at) => process(at + 2, each));
    assert.deepEqual(pidsOf(processes, limit), pidsOf(processes.toReversed(), limit));
  }));
});

Deno.test("what a cgroup can hold is its limit and the swap that it may use", () => {
  assert.equal(oomTotalBytesOf({ max: 100 }, 0), 100);
  assert.equal(oomTotalBytesOf({ max: 100, swap: 50 }, 1000), 150);
  assert.equal(oomTotalBytesOf({ max: 100, swap: Infinity }, 1000), 1100);
  assert.equal(oomTotalBytesOf({ max: 100, memsw: 130 }, 1000), 130);
  assert.equal(oomTotalBytesOf({ max: 100, memsw: Infinity }, 1000), 1100);
  assert.equal(oomTotalBytesOf({ max: Infinity }, 0), Infinity);
  assert.equal(oomTotalBytesOf({}, 0), undefined);
  assert.equal(oomTotalBytesOf({ max: 100 }, undefined), undefined);
});

Deno.test("a group is the topmost marked cgroup from the victim's up to the limit's owner", () => {
  const marked = (...paths: string[]) => (path: string) => paths.includes(path);
  assert.equal(groupOf("/a/b/c", "/a", marked("/a/b", "/a/b/c")), "/a/b");
  assert.equal(groupOf("/a/b/c", "/a", marked("/a", "/a/b/c")), "/a");
  assert.equal(groupOf("/a/b/c", "/a/b", marked("/a")), undefined);
  assert.equal(groupOf("/a/b", "/a/b", marked("/a/b")), "/a/b");
  assert.equal(groupOf("/a/b", "/", marked("/a")), "/a");
  assert.equal(groupOf("/", "/", marked()), undefined);
  assert.equal(groupOf("/ab", "/ab", marked("/a")), undefined);
});

Deno.test("oom_score_adj -1000 outlives a group kill", () => {
  assert.equal(diesWithGroup(process(10, { oomScoreAdj: -1000 })), false);
  assert.equal(diesWithGroup(process(1)), false);
  assert.equal(diesWithGroup(process(1), { pidOneIsInit: false }), true);
  assert.equal(diesWithGroup(process(10, { oomScoreAdj: -999 })), true);
});
