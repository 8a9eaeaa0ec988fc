import assert from "node:assert/strict";
import fc from "fast-check";
import { openCgroup, readSummary } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { pidsOf } from "../../../core/cgroup/processes.ts";
import type { FakeState } from "../../../core/simulate/fake_tree.ts";
import { createFakeTree, FAKE_CGROUP, type FakeTree } from "../../../core/simulate/fake_tree.ts";

const idle: FakeState = {
  usage: 0,
  peak: 0,
  limit: 20 * 1024 ** 2,
  max: 0n,
  oom: 0n,
  oomKill: 0n,
  pids: [],
  stalled: 0n,
};

const states: fc.Arbitrary<FakeState> = fc.record({
  usage: fc.nat(2 ** 40),
  peak: fc.nat(2 ** 40),
  limit: fc.oneof(fc.integer({ min: 1, max: 2 ** 40 }), fc.constant(Infinity)),
  max: fc.bigInt({ min: 0n, max: 2n ** 60n }),
  oom: fc.bigInt({ min: 0n, max: 2n ** 60n }),
  oomKill: fc.bigInt({ min: 0n, max: 2n ** 60n }),
  pids: fc.uniqueArray(fc.integer({ min: 1, max: 4194304 }), { maxLength: 5 }),
  stalled: fc.bigInt({ min: 0n, max: 2n ** 60n }),
}, { noNullPrototype: true });

function tree(version: 1 | 2): FakeTree & Disposable {
  const made = createFakeTree(version, idle);
  return { ...made, [Symbol.dispose]: made.remove };
}

const exists = (path: string) => {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
};

for (const version of [1, 2] as const) {
  Deno.test(`what a fake v${version} tree is told is what a reader finds, whatever it was before`, () => {
    using made = tree(version);
    const hierarchy = discover(made.dir);
    assert.equal(hierarchy.version.number, version);
    const cgroup = openCgroup(hierarchy, FAKE_CGROUP)!;
    fc.assert(fc.property(states, (state) => {
      made.update(state);
      const snapshot = readSummary(cgroup)!;
      const { local, limits, usage, peak } = snapshot;
      assert.deepEqual(
        [usage, peak, limits.max, local.max, local.oomKill],
        [state.usage, state.peak, state.limit, state.max, state.oomKill],
      );
      if (version === 2) assert.equal(snapshot.subtree.oom, state.oom);
      assert.deepEqual(pidsOf(cgroup), state.pids.toSorted((a, b) => a - b));
    }));
  });

  Deno.test(`a fake v${version} file keeps inode and length while its numbers move`, () => {
    using made = tree(version);
    const look = () =>
      [...Deno.readDirSync(`${made.dir}${FAKE_CGROUP}`)]
        .map(({ name }) => ({ name, info: Deno.statSync(`${made.dir}${FAKE_CGROUP}/${name}`) }))
        .map(({ name, info }) => `${name} ${info.ino} ${info.size}`).sort();
    made.update({ ...idle, usage: 123_456_789, peak: 123_456_789, max: 123n });
    const before = look();
    made.update({ ...idle, usage: 5, peak: 123_456_789, max: 124n });
    assert.deepEqual(look(), before);
  });
}

Deno.test("a temporary tree is gone when it is removed, and removing it twice is harmless", () => {
  const made = createFakeTree(2, idle);
  assert.ok(exists(made.dir));
  made.remove();
  assert.equal(exists(made.dir), false);
  made.remove();
});
