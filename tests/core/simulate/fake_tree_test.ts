import assert from "node:assert/strict";
import fc from "fast-check";
import { openCgroup, readSummary } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { pidsOf } from "../../../core/cgroup/processes.ts";
import {
  createTemporaryDirectory,
  FAKE_CGROUP,
  type FakeState,
  FakeTree,
} from "../../../core/simulate/fake_tree.ts";
import { ownIdentity, sandboxName } from "../../../core/simulate/sandbox.ts";

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

function makeTree(version: 1 | 2): { readonly tree: FakeTree } & Disposable {
  const tree = FakeTree.create(version, idle);
  return { tree, [Symbol.dispose]: () => tree.remove() };
}

const exists = (path: string) => {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
};

for (const version of [1, 2] as const) {
  Deno.test(`a reader finds the last state of a fake v${version} tree, whatever it was before`, () => {
    using made = makeTree(version);
    const hierarchy = discover(made.tree.dir);
    assert.equal(hierarchy.version.number, version);
    const cgroup = openCgroup(hierarchy, FAKE_CGROUP)!;
    fc.assert(fc.property(states, (state) => {
      made.tree.update(state);
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

  Deno.test(`a fake v${version} file keeps its inode and length while its numbers change`, () => {
    using made = makeTree(version);
    const files = () =>
      [...Deno.readDirSync(`${made.tree.dir}${FAKE_CGROUP}`)]
        .map(({ name }) => ({
          name,
          info: Deno.statSync(`${made.tree.dir}${FAKE_CGROUP}/${name}`),
        }))
        .map(({ name, info }) => `${name} ${info.ino} ${info.size}`).sort();
    made.tree.update({ ...idle, usage: 123_456_789, peak: 123_456_789, max: 123n });
    const before = files();
    made.tree.update({ ...idle, usage: 5, peak: 123_456_789, max: 124n });
    assert.deepEqual(files(), before);
  });
}

Deno.test("a temporary tree is gone when it is removed, and removing it twice is harmless", () => {
  const tree = FakeTree.create(2, idle);
  assert.ok(exists(tree.dir));
  tree.remove();
  assert.equal(exists(tree.dir), false);
  tree.remove();
});

Deno.test("a temporary directory is private, and stale ones are removed but not those of running processes", () => {
  const names = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name);
  const owner = ownIdentity()!;
  const first = createTemporaryDirectory();
  const parent = first.slice(0, first.lastIndexOf("/"));
  const stale = sandboxName("oomkit-sim", { ...owner, startTime: owner.startTime - 1n });
  Deno.mkdirSync(`${parent}/${stale}/app`, { recursive: true });
  Deno.writeTextFileSync(`${parent}/${stale}/app/memory.current`, "0\n");
  const second = createTemporaryDirectory();
  try {
    assert.equal(Deno.statSync(first).mode! & 0o777, 0o700);
    assert.equal(Deno.statSync(second).mode! & 0o777, 0o700);
    assert.notEqual(first, second);
    const found = names(parent);
    assert.equal(found.includes(stale), false);
    for (const dir of [first, second]) assert.ok(found.includes(dir.slice(parent.length + 1)));
  } finally {
    Deno.removeSync(first);
    Deno.removeSync(second);
  }
});
