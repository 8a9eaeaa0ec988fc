import assert from "node:assert/strict";
import fc from "fast-check";
import {
  effectiveHigh,
  effectiveLimit,
  headroom,
  machineMemory,
  reclaimable,
  workingSet,
} from "../../../core/policy/limits.ts";

const MIB = 1024 ** 2;

Deno.test("the tightest limit in the ancestry counts, with the cgroup that owns it", () => {
  const chain = [
    { path: "/pod/c", limit: Infinity, usage: 10 },
    { path: "/pod", limit: 64 * MIB, usage: 20 },
    { path: "/", limit: 128 * MIB, usage: 30 },
  ];
  assert.deepEqual(effectiveLimit(chain), {
    bytes: 64 * MIB,
    scope: "cgroup",
    owner: "/pod",
  });
});

Deno.test("of equal limits the one with more in use owns the OOM, and the nearest if usage is equal", () => {
  const chain = (container: number, pod: number) => [
    { path: "/pod/c", limit: 100, usage: container },
    { path: "/pod", limit: 100, usage: pod },
  ];
  assert.equal(effectiveLimit(chain(50, 60)).owner, "/pod");
  assert.equal(effectiveLimit(chain(50, 50)).owner, "/pod/c");
});

Deno.test("no limit anywhere is Infinity and has no owner", () => {
  assert.deepEqual(effectiveLimit([{ path: "/a", limit: Infinity }, { path: "/" }]), {
    bytes: Infinity,
    scope: "system",
  });
  assert.equal(headroom([{ path: "/a", limit: Infinity, usage: 5 }]), undefined);
});

Deno.test("a tighter limit of an invisible ancestor has no owner", () => {
  const chain = [{ path: "/", limit: 100 * MIB, usage: 10 * MIB }];
  const hidden = { bytes: 64 * MIB, scope: "hidden_ancestor" };
  assert.deepEqual(effectiveLimit(chain, { hierarchical: 64 * MIB }), hidden);
  const own = { bytes: 100 * MIB, scope: "cgroup", owner: "/" };
  assert.deepEqual(effectiveLimit(chain, { hierarchical: 100 * MIB }), own);
  const left = headroom(chain, "usage", { hierarchical: 64 * MIB });
  assert.deepEqual(left, {
    bytes: 54 * MIB,
    percent: 100 * 54 / 64,
    limit: 64 * MIB,
    scope: "hidden_ancestor",
  });
});

Deno.test("headroom is that of the limit that is hit first, which may not be the tightest", () => {
  const chain = [
    { path: "/pod/c", limit: 64, usage: 10 },
    { path: "/pod", limit: 100, usage: 99 },
  ];
  assert.equal(effectiveLimit(chain).owner, "/pod/c");
  assert.deepEqual(headroom(chain), {
    bytes: 1,
    percent: 1,
    limit: 100,
    scope: "cgroup",
    owner: "/pod",
  });
});

Deno.test("of a limit and the machine's memory the one with less left is hit first", () => {
  const machine = { memory: 1000, total: 1200, left: 300 };
  const wide = [{ path: "/a", limit: 5000, usage: 10 }];
  assert.deepEqual(effectiveLimit(wide, { machine }), { bytes: 1000, scope: "system" });
  const ofMachine = { bytes: 300, percent: 25, limit: 1200, scope: "system" };
  assert.deepEqual(headroom(wide, "usage", { machine }), ofMachine);
  // Tighter than the machine's memory, but the machine has less left.
  const tight = [{ path: "/a", limit: 900, usage: 10 }];
  assert.equal(effectiveLimit(tight, { machine }).owner, "/a");
  assert.deepEqual(headroom(tight, "usage", { machine }), ofMachine);
  const full = [{ path: "/a", limit: 900, usage: 800 }];
  assert.equal(headroom(full, "usage", { machine })?.owner, "/a");
  assert.deepEqual(headroom([{ path: "/a", limit: Infinity }], "usage", { machine }), ofMachine);
});

Deno.test("headroom is unknown when the usage of a cgroup with a limit is", () => {
  const machine = { memory: 1000, total: 1000, left: 300 };
  const chain = [{ path: "/a/b", limit: 64 }, { path: "/a", limit: 100, usage: 10 }];
  assert.equal(headroom(chain, "usage", { machine }), undefined);
});

Deno.test("the machine's memory is unknown when a part of it is", () => {
  const meminfo = { total: 10, available: 7, swapTotal: 5, swapFree: 1 };
  assert.deepEqual(machineMemory(meminfo), { memory: 10, total: 15, left: 8 });
  for (const part of Object.keys(meminfo)) {
    assert.equal(machineMemory({ ...meminfo, [part]: undefined }), undefined, part);
  }
});

Deno.test("headroom by the working set counts all usage of a cgroup without one", () => {
  const chain = [
    { path: "/a/b", limit: 100, usage: 90, workingSet: 40 },
    { path: "/a", limit: 100, usage: 95 },
  ];
  assert.equal(headroom(chain, "workingSet")?.bytes, 5);
  assert.equal(headroom(chain.slice(0, 1), "workingSet")?.bytes, 60);
});

Deno.test("usage above a lowered limit leaves no headroom, and a limit of 0 does not divide by zero", () => {
  assert.equal(headroom([{ path: "/a", limit: 10, usage: 20 }])?.bytes, 0);
  assert.deepEqual(headroom([{ path: "/a", limit: 0, usage: 0 }]), {
    bytes: 0,
    percent: 0,
    limit: 0,
    scope: "cgroup",
    owner: "/a",
  });
});

Deno.test("the tightest memory.high below the limit throttles, and of equals the nearest", () => {
  const chain = [{ path: "/a/b", high: 50 }, { path: "/a", high: 30 }, { path: "/", high: 30 }];
  assert.deepEqual(effectiveHigh(chain, 100), { bytes: 30, owner: "/a" });
  assert.deepEqual(effectiveHigh(chain, Infinity), { bytes: 30, owner: "/a" });
  assert.deepEqual(effectiveHigh(chain.slice(0, 1), 51), { bytes: 50, owner: "/a/b" });
});

Deno.test("a memory.high that is absent, not set, or not below the limit does not throttle", () => {
  assert.equal(effectiveHigh([{ path: "/a" }, { path: "/", high: Infinity }], Infinity), undefined);
  assert.equal(effectiveHigh([{ path: "/a", high: 50 }], 50), undefined);
});

const link = fc.record({
  path: fc.constantFrom("/a/b/c", "/a/b", "/a", "/"),
  limit: fc.option(fc.oneof(fc.nat(), fc.constant(Infinity)), { nil: undefined }),
  usage: fc.option(fc.nat(), { nil: undefined }),
});

Deno.test("no limit in the ancestry is tighter than the effective one, and no headroom smaller than the least", () => {
  const hierarchical = fc.option(fc.nat(), { nil: undefined });
  const machine = fc.option(
    fc.tuple(fc.nat(), fc.nat(), fc.nat()).map(([left, used, swap]) => ({
      memory: left + used,
      total: left + used + swap,
      left: left + swap,
    })),
    { nil: undefined },
  );
  fc.assert(
    fc.property(fc.array(link), fc.record({ hierarchical, machine }), (chain, bounds) => {
      const { bytes } = effectiveLimit(chain, bounds);
      const left = headroom(chain, "usage", bounds);
      for (const { limit, usage } of chain) {
        assert.ok(limit === undefined || bytes <= limit);
        if (limit === undefined || limit === Infinity) continue;
        if (usage === undefined) assert.equal(left, undefined);
        else if (left) assert.ok(left.bytes <= Math.max(0, limit - usage));
      }
      if (left && bounds.machine) assert.ok(left.bytes <= bounds.machine.left);
      if (left) assert.ok(left.bytes >= 0 && left.percent >= 0 && left.percent <= 100);
    }),
  );
});

const snapshot = { limits: {}, local: {}, subtree: {} };

Deno.test("the working set is usage without inactive page cache, and unknown when a part is", () => {
  assert.equal(workingSet({ ...snapshot, usage: 100, stats: { inactiveFile: 30 } }), 70);
  assert.equal(workingSet({ ...snapshot, usage: 10, stats: { inactiveFile: 30 } }), 0);
  assert.equal(workingSet({ ...snapshot, usage: 100, stats: {} }), undefined);
  assert.equal(workingSet({ ...snapshot, stats: { inactiveFile: 30 } }), undefined);
});

Deno.test("tmpfs counts as page cache but is not reclaimable", () => {
  const stats = { file: 100, shmem: 60, inactiveFile: 30, activeFile: 10 };
  assert.equal(reclaimable({ ...snapshot, stats }), 40);
  assert.equal(reclaimable({ ...snapshot, stats: { file: 100 } }), undefined);
});
