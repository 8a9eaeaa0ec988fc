import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { ChangeDetector, counterDeltas, finite } from "../../../core/watch/change_detector.ts";
import { type BothCounters, createWatchedCgroup } from "../../../core/watch/watched_cgroup.ts";
import { makeTree } from "../../helpers/trees.ts";
import { type Facts, makeRemovedKills, makeWatched } from "./watched_cgroups.ts";

const counted = (oomKill: bigint, max = 0n): BothCounters => ({
  local: { max, high: 0n, oom: 0n, oomKill, oomGroupKill: 0n },
  subtree: { max: max * 10n, high: 0n, oom: 0n, oomKill: oomKill * 10n, oomGroupKill: 0n },
});

/** Of a removed cgroup, so that there is nothing to read. */
const deltas = (facts: Facts, version: 1 | 2 = 2) =>
  counterDeltas(makeWatched("/a", { removedAt: 0, isTarget: true, ...facts }, version));

Deno.test("counter deltas are the rise since the watch began, exact beyond 2^53", () => {
  const huge = 2n ** 60n;
  const found = deltas({ counters: { first: counted(huge, 5n), last: counted(huge + 3n, 9n) } })!;
  assert.equal(found.oom_kill, 3n);
  assert.equal(found.max, 4n);
  assert.equal(found.removed, true);
});

Deno.test("a cgroup counts for itself, and for its subtree where that is not watched", () => {
  const counters = { first: counted(1n), last: counted(2n) };
  assert.equal(deltas({ counters, representsSubtree: false })!.oom_kill, 1n);
  assert.equal(deltas({ counters, representsSubtree: true })!.oom_kill, 10n);
});

Deno.test("what the kernel does not count is null, not 0", () => {
  const found = deltas({}, 1)!;
  assert.equal(found.oom_kill, 0n);
  for (const key of ["max", "high", "oom", "oom_group_kill"] as const) {
    assert.equal(found[key], null, key);
  }
});

Deno.test("v1 OOMs are those that were notified, and null where nothing notifies", () => {
  const ooms = (notifications: NonNullable<Facts["notifications"]>) =>
    deltas({ notifications }, 1)!.oom;
  assert.equal(ooms({ source: "eventfd", reportedOoms: 0 }), 0n);
  assert.equal(ooms({ source: "poll", ooms: 3, reportedOoms: 2 }), 2n);
  assert.equal(ooms({ source: "poll" }), null);
});

Deno.test("kills that a removed cgroup's counter never showed are in its deltas", () => {
  const kills = { beforeRemoval: 1n };
  assert.equal(deltas({ counters: { last: counted(2n) }, kills })!.oom_kill, 3n);
  const never: BothCounters = { local: {}, subtree: {} };
  const counters = { first: never, last: never };
  assert.equal(deltas({ counters, kills })!.oom_kill, 1n);
  assert.equal(deltas({ counters })!.oom_kill, null);
});

Deno.test("kills that the log names below a cgroup, which its counter leaves out, are in its deltas", () => {
  const kills = { inUncountedChildren: 2n, victims: 2 };
  assert.equal(deltas({ kills, representsSubtree: true }, 1)!.oom_kill, 2n);
});

for (const version of [1, 2] as const) {
  Deno.test(`usage that a v${version} kill may have changed is left out of the events before it`, () => {
    const events = version === 1 ? "memory.oom_control" : "memory.events";
    const usageFile = version === 1 ? "memory.usage_in_bytes" : "memory.current";
    const counters = (max: number, kills: number) =>
      version === 1
        ? `oom_kill_disable 0\nunder_oom 0\noom_kill ${kills}\n`
        : `low 0\nhigh 0\nmax ${max}\noom ${kills}\noom_kill ${kills}\noom_group_kill ${kills}\n`;
    using tree = makeTree(version, { "/a": { [events]: counters(0, 0), [usageFile]: 7 } });
    const found: [string, number | null][] = [];
    const changes = new ChangeDetector({
      options: { scopes: [], thresholds: [], pressureLevels: [], psi: [] },
      kills: { counted() {} },
      emit: (_cgroup, _source, body) =>
        "usage" in body && found.push([body.type, body.usage as number | null]),
      watchedCount: () => 1,
    });
    const watched = createWatchedCgroup(openCgroup(discover(tree.dir), "/a")!, {
      isTarget: true,
      representsSubtree: true,
      isNew: false,
      removedKills: undefined,
    })!;
    const write = (max: number, kills: number, usage: number) => {
      tree.write("/a", events, counters(max, kills));
      tree.write("/a", "memory.events.local", counters(max, kills));
      if (version === 1) tree.write("/a", "memory.failcnt", max);
      tree.write("/a", usageFile, usage);
    };
    const pressure = { source: "eventfd", levels: [{ level: "critical", count: 1n }], stalls: [] };
    const at = performance.now();
    write(1, 0, 9);
    changes.refresh(watched, "poll", at);
    changes.emitPressure(watched, pressure as never);
    assert.deepEqual(found.splice(0), [["max", 9], ["pressure", 9]]);
    write(5, 1, 1);
    changes.refresh(watched, "poll", at + 1);
    changes.emitPressure(watched, pressure as never);
    const types = version === 1 ? ["max"] : ["max", "oom", "oom_group_kill"];
    assert.deepEqual(found.splice(0), [...types, "pressure"].map((type) => [type, null]));
    // Counted while the victim exited, and held back for a second.
    write(6, 1, 1);
    changes.refresh(watched, "poll", at + 2);
    changes.refresh(watched, "poll", at + 2000);
    assert.deepEqual(found.splice(0), [["max", null]]);
    write(9, 1, 8);
    changes.refresh(watched, "poll", at + 4000);
    assert.deepEqual(found, [["max", 8]]);
  });
}

Deno.test("a cgroup that is no target is in the summary only when something happened in it", () => {
  const found = (facts: Facts) => deltas({ isTarget: false, ...facts });
  assert.equal(found({}), undefined);
  assert.equal(found({ counters: { last: counted(1n) } })!.oom_kill, 1n);
  assert.equal(found({ counters: { last: counted(0n, 1n) } })!.max, 1n);
  assert.equal(found({ kills: { victims: 1 } })!.victims, 1);
  assert.notEqual(deltas({ isTarget: true }), undefined);
});

Deno.test("the source of an inferred kill is the parent's counter on v2, and the OOM's notification on v1", () => {
  const sources: string[] = [];
  const changes = new ChangeDetector({
    options: { scopes: [], thresholds: [], pressureLevels: [], psi: [] },
    kills: { counted() {} },
    emit: (_cgroup, source) => sources.push(source),
    watchedCount: () => 0,
  });
  const v1 = makeWatched("/a", { removedAt: 0, notifications: { source: "eventfd" } }, 1);
  const v2 = makeWatched("/a", {
    removedAt: 0,
    removedKills: makeRemovedKills(1n),
    notifications: { source: "inotify" },
  });
  for (const watched of [v1, v2]) changes.emitKill({ cgroup: "/a", watched, inferred: true });
  changes.emitKill({ cgroup: "/a", watched: v2, inferred: false });
  assert.deepEqual(sources, ["eventfd", "parent", "inotify"]);
});

Deno.test("peak and limit are current for a living cgroup, and the last ones read for a removed one", () => {
  using tree = makeTree(2, { "/a": { "memory.peak": 70, "memory.max": 100 } });
  const removed = makeWatched("/a", {
    isTarget: true,
    memory: { peak: 50, limit: 60 },
    removedAt: 0,
  });
  const cgroup = openCgroup(discover(tree.dir), "/a")!;
  const living = counterDeltas({ ...removed, cgroup, removedAt: undefined })!;
  assert.deepEqual([living.peak, living.limit, living.removed], [70, 100, false]);
  const gone = counterDeltas(removed)!;
  assert.deepEqual([gone.peak, gone.limit, gone.removed], [50, 60, true]);
});

Deno.test("no limit is null, because JSON has no infinity", () => {
  assert.equal(finite(Infinity), null);
  assert.equal(finite(undefined), null);
  assert.equal(finite(0), 0);
});
