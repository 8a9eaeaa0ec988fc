import assert from "node:assert/strict";
import fc from "fast-check";
import {
  effectiveHigh,
  effectiveLimit,
  headroom,
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
  assert.deepEqual(effectiveLimit(chain), { bytes: 64 * MIB, owner: "/pod" });
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
  });
  assert.equal(headroom([{ path: "/a", limit: Infinity, usage: 5 }]), undefined);
});

Deno.test("a tighter limit of an invisible ancestor has no owner", () => {
  const chain = [{ path: "/", limit: 100 * MIB, usage: 10 * MIB }];
  assert.deepEqual(effectiveLimit(chain, 64 * MIB), { bytes: 64 * MIB });
  assert.deepEqual(effectiveLimit(chain, 100 * MIB), { bytes: 100 * MIB, owner: "/" });
  const left = headroom(chain, "usage", 64 * MIB);
  assert.deepEqual(left, { bytes: 54 * MIB, percent: 100 * 54 / 64, limit: 64 * MIB });
});

Deno.test("headroom is that of the limit that is hit first, which may not be the tightest", () => {
  const chain = [
    { path: "/pod/c", limit: 64, usage: 10 },
    { path: "/pod", limit: 100, usage: 99 },
  ];
  assert.equal(effectiveLimit(chain).owner, "/pod/c");
  assert.deepEqual(headroom(chain), { bytes: 1, percent: 1, limit: 100, owner: "/pod" });
});

Deno.test("headroom by the working set skips cgroups without one", () => {
  const chain = [
    { path: "/a/b", limit: 100, usage: 90, workingSet: 40 },
    { path: "/a", limit: 100, usage: 95 },
  ];
  assert.equal(headroom(chain, "workingSet")?.bytes, 60);
});

Deno.test("usage above a lowered limit leaves no headroom, and a limit of 0 does not divide by zero", () => {
  assert.equal(headroom([{ path: "/a", limit: 10, usage: 20 }])?.bytes, 0);
  assert.deepEqual(headroom([{ path: "/a", limit: 0, usage: 0 }]), {
    bytes: 0,
    percent: 0,
    limit: 0,
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
  fc.assert(
    fc.property(fc.array(link), fc.option(fc.nat(), { nil: undefined }), (chain, hidden) => {
      const { bytes } = effectiveLimit(chain, hidden);
      const left = headroom(chain, "usage", hidden);
      for (const { limit, usage } of chain) {
        assert.ok(limit === undefined || bytes <= limit);
        if (limit === undefined || limit === Infinity || usage === undefined) continue;
        assert.ok(left!.bytes <= Math.max(0, limit - usage));
      }
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
