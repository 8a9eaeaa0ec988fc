import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import type { BothCounters, WatchedCgroup } from "../../../core/watch/watched_cgroup.ts";
import { counterDeltas, finite } from "../../../core/watch/diff.ts";
import { makeTree } from "../../helpers/trees.ts";
import { makeMember } from "./watched_cgroups.ts";

const counted = (oomKill: bigint, max = 0n): BothCounters => ({
  local: { max, high: 0n, oom: 0n, oomKill, oomGroupKill: 0n },
  subtree: { max: max * 10n, high: 0n, oom: 0n, oomKill: oomKill * 10n, oomGroupKill: 0n },
});

/** A removed cgroup, so that there is nothing to read. */
const deltas = (facts: Partial<WatchedCgroup>, version: 1 | 2 = 2) =>
  counterDeltas(makeMember("/a", { goneAt: 0, isTarget: true, ...facts }, version));

Deno.test("a tally is the rise since the watch began, exact beyond 2^53", () => {
  const huge = 2n ** 60n;
  const found = deltas({ first: counted(huge, 5n), last: counted(huge + 3n, 9n) })!;
  assert.equal(found.oom_kill, 3n);
  assert.equal(found.max, 4n);
  assert.equal(found.removed, true);
});

Deno.test("a cgroup counts for itself, and for its subtree where nobody watches that", () => {
  const facts = { first: counted(1n), last: counted(2n) };
  assert.equal(deltas({ ...facts, countsSubtree: false })!.oom_kill, 1n);
  assert.equal(deltas({ ...facts, countsSubtree: true })!.oom_kill, 10n);
});

Deno.test("what the kernel does not count is unknown, not nothing", () => {
  const found = deltas({}, 1)!;
  assert.equal(found.oom_kill, 0n);
  for (const key of ["max", "high", "oom", "oom_group_kill"] as const) {
    assert.equal(found[key], null, key);
  }
});

Deno.test("v1 OOMs are those that were notified, and unknown where nobody notifies", () => {
  assert.equal(deltas({ source: "eventfd", reportedOoms: 0 }, 1)!.oom, 0n);
  assert.equal(deltas({ source: "poll", notified: 3, reportedOoms: 2 }, 1)!.oom, 2n);
  assert.equal(deltas({ source: "poll" }, 1)!.oom, null);
});

Deno.test("kills that a removed cgroup took along before its counter could be read are in its tally", () => {
  assert.equal(deltas({ last: counted(2n), killsBeforeRemoval: 1n })!.oom_kill, 3n);
  const never: BothCounters = { local: {}, subtree: {} };
  assert.equal(deltas({ first: never, last: never, killsBeforeRemoval: 1n })!.oom_kill, 1n);
  assert.equal(deltas({ first: never, last: never })!.oom_kill, null);
});

Deno.test("of those that nobody named only the ones where something happened are in the summary", () => {
  const found = { isTarget: false };
  assert.equal(deltas(found), undefined);
  assert.equal(deltas({ ...found, last: counted(1n) })!.oom_kill, 1n);
  assert.equal(deltas({ ...found, last: counted(0n, 1n) })!.max, 1n);
  assert.equal(deltas({ ...found, victims: 1 })!.victims, 1);
  assert.notEqual(deltas({ isTarget: true }), undefined);
});

Deno.test("of a living cgroup peak and limit are those of now, of a removed one the last that were seen", () => {
  using tree = makeTree(2, { "/a": { "memory.peak": 70, "memory.max": 100 } });
  const { cgroup, ...rest } = makeMember("/a", { isTarget: true, peak: 50, limit: 60 });
  const living = counterDeltas({ ...rest, cgroup: openCgroup(discover(tree.dir), "/a")! })!;
  assert.deepEqual([living.peak, living.limit, living.removed], [70, 100, false]);
  const gone = counterDeltas({ ...rest, cgroup, goneAt: 0 })!;
  assert.deepEqual([gone.peak, gone.limit, gone.removed], [50, 60, true]);
});

Deno.test("no limit is null, since JSON has no infinity", () => {
  assert.equal(finite(Infinity), null);
  assert.equal(finite(undefined), null);
  assert.equal(finite(0), 0);
});
