import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { ChangeDetector, counterDeltas, finite } from "../../../core/watch/change_detector.ts";
import { type BothCounters, createWatchedCgroup } from "../../../core/watch/watched_cgroup.ts";
import type { Body } from "../../../core/events/event.ts";
import type { WatchOptions } from "../../../core/watch/options.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";
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
  assert.equal(ooms({ source: "eventfd", countedOoms: 0 }), 0n);
  assert.equal(ooms({ source: "poll", ooms: 3, countedOoms: 2 }), 2n);
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
    // The second `max` and the second pressure are held back for a second.
    const types = version === 1 ? [] : ["oom", "oom_group_kill"];
    assert.deepEqual(found.splice(0), types.map((type) => [type, null]));
    // Counted while the victim exited.
    write(6, 1, 1);
    changes.refresh(watched, "poll", at + 2);
    changes.refresh(watched, "poll", at + 2000);
    assert.deepEqual(found.splice(0), [["max", null], ["pressure", null]]);
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

Deno.test("a kill that was counted before the watch began and logged after it is counted, as it is reported", () => {
  const kills = { pending: -1n, victims: 3 };
  const counters = { last: { local: { oomKill: 2n }, subtree: { oomKill: 2n } } };
  assert.equal(
    deltas({ counters: { first: { local: {}, subtree: {} }, ...counters }, kills })!.oom_kill,
    3n,
  );
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

/** A detector of one cgroup of a tree, which is read at the times that the test gives. */
function detectorOf(tree: Tree, thresholds: WatchOptions["thresholds"] = []) {
  const found: Body[] = [];
  const changes = new ChangeDetector({
    options: { scopes: [], thresholds, pressureLevels: [], psi: [] },
    kills: { counted: (_, count) => found.push({ type: "oom_kill", count } as never) },
    emit: (_cgroup, _source, body) => void found.push(body),
    watchedCount: () => 1,
  });
  const origin = { isTarget: true, representsSubtree: true, isNew: false, removedKills: undefined };
  const watched = createWatchedCgroup(openCgroup(discover(tree.dir), "/a")!, origin)!;
  changes.setThresholds(watched);
  return {
    changes,
    watched,
    found,
    typed: <Type extends Body["type"]>(type: Type) =>
      found.filter((body): body is Body & { type: Type } => body.type === type),
  };
}

const sum = (bodies: readonly { readonly count: bigint }[]) =>
  bodies.reduce((total, { count }) => total + count, 0n);

for (const version of [1, 2] as const) {
  Deno.test(`an OOM loop on v${version} is reported once a second, its kills immediately, and the counts add up`, () => {
    const counters = (count: number) =>
      version === 1
        ? `oom_kill_disable 0\nunder_oom 0\noom_kill ${count}\n`
        : `low 0\nhigh 0\nmax ${3 * count}\noom ${count}\noom_kill ${count}\noom_group_kill 0\n`;
    const files = version === 1 ? ["memory.oom_control"] : ["memory.events", "memory.events.local"];
    using tree = makeTree(version, {
      "/a": Object.fromEntries(files.map((f) => [f, counters(0)])),
    });
    const { changes, watched, typed, found } = detectorOf(tree);
    const startedAt = performance.now();
    for (let n = 1; n <= 35; n++) {
      for (const file of files) tree.write("/a", file, counters(n));
      if (version === 1) {
        tree.write("/a", "memory.failcnt", 3 * n);
        watched.notifications.ooms += 1;
      }
      watched.polls.nextAt = Infinity;
      changes.refresh(watched, "poll", startedAt + n * 100);
      if (n === 1) assert.deepEqual(found.map(({ type }) => type), ["max", "oom", "oom_kill"]);
    }
    assert.equal(typed("oom_kill").length, 35);
    for (const type of ["oom", "max"] as const) {
      assert.equal(typed(type).length, 4, `${type} in 3.5 s`);
    }
    assert.ok(watched.polls.nextAt <= startedAt + 4100, "the rest is reported without a wake-up");
    changes.flush(watched);
    const deltas = counterDeltas(watched)!;
    assert.deepEqual([sum(typed("oom")), sum(typed("max"))], [35n, 105n]);
    assert.deepEqual([deltas.oom, deltas.max], [35n, 105n]);
  });
}

Deno.test("a flood of one pressure level is reported once a second, and does not delay a higher level", () => {
  using tree = makeTree(1, { "/a": {} });
  const { changes, watched, typed } = detectorOf(tree);
  const notify = (level: "low" | "critical") =>
    changes.emitPressure(watched, {
      source: "eventfd",
      levels: [{ level, count: 2n }],
      stalls: [],
    });
  for (let n = 0; n < 100; n++) notify("low");
  notify("critical");
  assert.deepEqual(typed("pressure").map(({ level, count }) => [level, count]), [
    ["low", 2n],
    ["critical", 2n],
  ]);
  assert.ok(watched.polls.nextAt < Infinity);
  changes.flush(watched);
  assert.equal(sum(typed("pressure")), 202n);
});

Deno.test("usage that swings around one threshold does not delay the crossing of a higher one", () => {
  using tree = makeTree(1, { "/a": { "memory.usage_in_bytes": 0 } });
  const { changes, watched, typed } = detectorOf(tree, [{ bytes: 1000 }, { bytes: 2000 }]);
  watched.notifications.source = "eventfd";
  const startedAt = performance.now();
  let now = startedAt;
  const read = (usage: number) => {
    tree.write("/a", "memory.usage_in_bytes", usage);
    changes.refresh(watched, "eventfd", now += 8);
  };
  for (let n = 0; n < 100; n++) read(n % 2 === 0 ? 1500 : 500);
  assert.deepEqual(typed("threshold").map(({ direction }) => direction), ["above", "below"]);
  read(2500);
  const { threshold, direction, suppressed } = typed("threshold").at(-1)!;
  assert.deepEqual([threshold, direction, suppressed], [2000, "above", 0]);
  watched.polls.nextAt = Infinity;
  read(2500);
  assert.equal(
    watched.polls.nextAt,
    startedAt + 8 + 10_000,
    "it is read again when the rest is due",
  );
  now = watched.polls.nextAt;
  read(2500);
  const last = typed("threshold").at(-1)!;
  assert.deepEqual([last.threshold, last.direction, last.suppressed], [1000, "above", 98]);
});

Deno.test("a limit that changes all the time does not make each reading a crossing of a new threshold", () => {
  using tree = makeTree(2, { "/a": { "memory.current": 950, "memory.max": 1000 } });
  const { changes, watched, typed } = detectorOf(tree, [{ percent: 90 }]);
  let now = performance.now();
  for (let n = 0; n < 100; n++) {
    tree.write("/a", "memory.max", n % 2 === 0 ? 1000 : 1200);
    changes.refresh(watched, "poll", now += 8);
    changes.updateEffectiveLimit(watched);
  }
  assert.deepEqual(typed("threshold").map(({ direction }) => direction), ["above", "below"]);
});

Deno.test("v1 usage just below a threshold is polled, because no notification shows that it falls further", () => {
  using tree = makeTree(1, { "/a": { "memory.usage_in_bytes": 0 } });
  const { changes, watched, typed } = detectorOf(tree, [{ bytes: 1000 }]);
  watched.notifications.source = "eventfd";
  // Whole milliseconds: sums and differences are exact.
  const now = Math.ceil(performance.now());
  const pollAfter = (usage: number, at: number) => {
    watched.polls.nextAt = Infinity;
    tree.write("/a", "memory.usage_in_bytes", usage);
    changes.refresh(watched, "eventfd", at);
    return watched.polls.nextAt - at;
  };
  assert.equal(pollAfter(1000, now), Infinity);
  assert.equal(pollAfter(990, now + 1), 100);
  assert.equal(pollAfter(100, now + 101), Infinity);
  assert.deepEqual(typed("threshold").map(({ direction }) => direction), ["above", "below"]);
});
