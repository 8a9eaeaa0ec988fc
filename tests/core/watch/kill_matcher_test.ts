import assert from "node:assert/strict";
import {
  KillMatcher,
  type KillMatcherContext,
  LOG_GRACE_MS,
  type MatchedKill,
} from "../../../core/watch/kill_matcher.ts";
import type { WatchedCgroup } from "../../../core/watch/watched_cgroup.ts";
import { makeKill, makeRemovedKills, makeWatched } from "./watched_cgroups.ts";

function start(
  watchedCgroups: readonly WatchedCgroup[],
  context: Partial<KillMatcherContext> = {},
) {
  const reported: MatchedKill[] = [];
  const kills = new KillMatcher({
    watchedCgroups: () => watchedCgroups,
    covers: () => false,
    reportedAhead() {},
    hasLog: true,
    emit: (kill) => reported.push(kill),
    ...context,
  });
  /** The cgroup and the victim's pid of each reported kill; `?` for an unknown victim. */
  const lines = () => reported.map(({ cgroup, kill }) => `${cgroup} ${kill?.victim.pid ?? "?"}`);
  return { kills, reported, lines };
}

/** Long after every deadline. */
const END = 60_000;

Deno.test("a kill in both the counter and the log is reported once, whichever is read first", () => {
  for (const first of ["counter", "log"]) {
    const a = makeWatched("/a");
    const { kills, lines } = start([a]);
    const counter = (at: number) => kills.counted(a, 1n, at, 0);
    const log = (at: number) => kills.logged(makeKill(7, { cgroup: "/a" }), at);
    (first === "counter" ? counter : log)(10);
    kills.settle(10);
    (first === "counter" ? log : counter)(20);
    kills.settle(20);
    assert.deepEqual(lines(), ["/a 7"], `${first} first`);
    assert.equal(kills.settle(END), Infinity);
    assert.deepEqual(lines(), ["/a 7"], `${first} first`);
  }
});

Deno.test("a counted kill waits for its log line, and is reported without a victim when none comes", () => {
  const a = makeWatched("/a");
  const { kills, lines, reported } = start([a]);
  kills.counted(a, 2n, 100, 0);
  assert.equal(kills.settle(100), 100 + LOG_GRACE_MS);
  assert.deepEqual(lines(), []);
  kills.settle(100 + LOG_GRACE_MS);
  assert.deepEqual(lines(), ["/a ?", "/a ?"]);
  assert.ok(reported.every(({ inferred }) => !inferred), "a counter is proof");
});

Deno.test("a counted kill does not wait for a log that cannot be read", () => {
  const a = makeWatched("/a");
  const { kills, lines } = start([a], { hasLog: false });
  kills.counted(a, 1n, 100, 0);
  assert.equal(kills.settle(100), Infinity);
  assert.deepEqual(lines(), ["/a ?"]);
});

Deno.test("a line that was read late because the program was held up still names the victim", () => {
  const a = makeWatched("/a");
  const { kills, lines } = start([a]);
  kills.counted(a, 1n, 100, 0);
  kills.logged(makeKill(7, { cgroup: "/a" }), 5000);
  kills.settle(5000);
  assert.deepEqual(lines(), ["/a 7"]);
});

Deno.test("lines without a cgroup that were read late still name the victims", () => {
  const a = makeWatched("/a");
  const { kills, lines } = start([a]);
  kills.counted(a, 3n, 100, 0);
  kills.settle(100);
  kills.logged(makeKill(7, { cgroup: "/a" }), 5000);
  for (const pid of [8, 9]) kills.logged(makeKill(pid, { group: "/a" }), 5000);
  for (let next = 5000; next < Infinity;) next = kills.settle(next);
  assert.deepEqual(lines(), ["/a 7", "/a 8", "/a 9"]);
});

Deno.test("a line that fits no cgroup does not keep a counted kill from being reported", () => {
  const a = makeWatched("/a");
  const { kills, lines } = start([a]);
  kills.counted(a, 1n, 100, 0);
  // In time for no match: other cgroups have lines without end.
  for (let at = 100; at < 100 + 3 * LOG_GRACE_MS; at += 10) {
    kills.logged(makeKill(at, { group: "/elsewhere" }), at);
    kills.settle(at);
  }
  assert.deepEqual(lines(), ["/a ?"]);
});

Deno.test("a line that is read before its counter does not hide the next kill", () => {
  const a = makeWatched("/a");
  const { kills, lines } = start([a]);
  kills.logged(makeKill(7, { cgroup: "/a" }), 10);
  kills.settle(10);
  kills.counted(a, 2n, 30, 0);
  kills.settle(30 + LOG_GRACE_MS);
  assert.deepEqual(lines(), ["/a 7", "/a ?"]);
});

Deno.test("each process of a group kill is reported once, though the first is counted and logged twice", () => {
  const a = makeWatched("/a");
  const { kills, lines } = start([a]);
  const group = { cgroup: "/a", group: "/a" };
  kills.counted(a, 4n, 10, 0);
  kills.logged(makeKill(1, { cgroup: "/a" }), 11);
  kills.logged(makeKill(1, { ...group, isRepeated: true }), 11);
  kills.logged(makeKill(2, { group: "/a" }), 11);
  kills.logged(makeKill(3, { group: "/a" }), 11);
  for (const at of [11, 50, 200, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/a 1", "/a 2", "/a 3"]);
});

Deno.test("a kill below two watched cgroups is reported once, by the innermost, with the log or without", () => {
  for (const isLogged of [true, false]) {
    const outer = makeWatched("/a", { representsSubtree: true });
    const inner = makeWatched("/a/b", { representsSubtree: true });
    const { kills, reported } = start([outer, inner], { hasLog: isLogged });
    kills.counted(outer, 1n, 10, 0);
    kills.settle(10);
    kills.counted(inner, 1n, 20, 0);
    if (isLogged) kills.logged(makeKill(7, { cgroup: "/a/b/c" }), 20);
    for (const at of [20, 300, END]) kills.settle(at);
    assert.deepEqual(reported.map(({ watched }) => watched), [inner]);
  }
});

Deno.test("a lost line does not make one kill two, though the outer and the inner counter are read at different times", () => {
  const outer = makeWatched("/a", { representsSubtree: true });
  const inner = makeWatched("/a/b", { representsSubtree: true });
  const { kills, lines } = start([outer, inner]);
  kills.counted(outer, 2n, 10, 0);
  kills.counted(inner, 1n, 30, 0);
  for (let at = 30; at < END;) at = Math.max(at + 1, kills.settle(at));
  assert.deepEqual(lines().sort(), ["/a ?", "/a/b ?"]);
});

Deno.test("v1 counts in the victim's own cgroup alone, so a parent's count is about its own processes", () => {
  const outer = makeWatched("/a", { representsSubtree: true }, 1);
  const inner = makeWatched("/a/b", { representsSubtree: true }, 1);
  const { kills, lines } = start([outer, inner]);
  kills.counted(inner, 1n, 10, 0);
  kills.counted(outer, 1n, 10, 0);
  kills.logged(makeKill(7, { cgroup: "/a/b" }), 10);
  for (const at of [10, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/a/b 7", "/a ?"]);
});

Deno.test("a kill outside the watched cgroups is not reported", () => {
  const { kills, lines } = start([
    makeWatched("/a"),
    makeWatched("/ab", { representsSubtree: true }),
  ]);
  for (const cgroup of ["/a/b", "/abc", "/"]) kills.logged(makeKill(7, { cgroup }), 10);
  kills.settle(END);
  assert.deepEqual(lines(), []);
});

Deno.test("a kill from before the watch that is read late is not reported", () => {
  const a = makeWatched("/a", { kills: { reportFrom: 100 } });
  const { kills, lines } = start([a]);
  kills.logged(makeKill(7, { cgroup: "/a" }), 99);
  kills.logged(makeKill(8, { cgroup: "/a" }), 100);
  kills.settle(100);
  assert.deepEqual(lines(), ["/a 8"]);
});

Deno.test("a kill reported before its cgroup was armed is not reported again from the counter", () => {
  const watchedCgroups: WatchedCgroup[] = [];
  const ahead: [string, bigint][] = [];
  const { kills, lines } = start(watchedCgroups, {
    covers: (path) => path.startsWith("/pod/"),
    reportedAhead: (path, count) => ahead.push([path, count]),
  });
  kills.logged(makeKill(7, { cgroup: "/pod/new" }), 10);
  kills.logged(makeKill(7, { cgroup: "/pod/new", isRepeated: true }), 10);
  kills.settle(10);
  assert.deepEqual(lines(), ["/pod/new 7"]);
  const armed = makeWatched("/pod/new");
  watchedCgroups.push(armed);
  kills.startWatching(armed);
  kills.counted(armed, 2n, 20, -Infinity);
  kills.settle(END);
  assert.deepEqual(lines(), ["/pod/new 7"]);
  assert.deepEqual(ahead, [["/pod/new", 1n], ["/pod/new", 1n], ["/pod/new", -2n]]);
});

Deno.test("a line without a cgroup is matched to the cgroup that contained the victim", () => {
  const a = makeWatched("/a", { kills: { pids: new Map([[7, 0]]) } });
  const b = makeWatched("/b", { kills: { pids: new Map([[8, 0]]) } });
  const { kills, lines } = start([a, b]);
  kills.counted(a, 1n, 10, 0);
  kills.counted(b, 1n, 10, 0);
  for (const pid of [8, 7]) kills.logged(makeKill(pid), 10);
  for (const at of [10, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/b 8", "/a 7"]);
});

Deno.test("a line without a cgroup waits until the certain kills are reported, and is matched with the rest", () => {
  const a = makeWatched("/a");
  const b = makeWatched("/b");
  const { kills, lines } = start([a, b]);
  kills.counted(a, 1n, 10, 0);
  kills.counted(b, 1n, 10, 0);
  kills.logged(makeKill(7), 11);
  kills.settle(11);
  assert.deepEqual(lines(), []);
  assert.ok(kills.isWaiting);
  kills.logged(makeKill(8, { cgroup: "/a" }), 12);
  kills.settle(12);
  kills.settle(50);
  assert.deepEqual(lines(), ["/a 8", "/b 7"]);
  assert.ok(!kills.isWaiting);
});

Deno.test("a line without a cgroup that was read long before its counter names the victim", () => {
  const a = makeWatched("/a", { counters: { readAt: 5 } });
  const { kills, lines } = start([a, makeWatched("/b")]);
  kills.logged(makeKill(6), 4);
  kills.logged(makeKill(7), 10);
  kills.counted(a, 1n, 90, 70);
  for (let next = 90; next < Infinity;) next = kills.settle(next);
  assert.deepEqual(
    lines(),
    ["/a 7"],
    "a line that is older than the last read of the counter is no match",
  );
});

Deno.test("a line without a cgroup that fits no cgroup is dropped, not matched to a neighbour", () => {
  const { kills, lines } = start([makeWatched("/a")]);
  kills.logged(makeKill(7), 10);
  for (const at of [10, 50, 150, END]) kills.settle(at);
  assert.deepEqual(lines(), []);
  assert.ok(!kills.isWaiting);
});

Deno.test("the last kill in a removed cgroup is not matched to the next cgroup of the same name", () => {
  const removedKills = makeRemovedKills(1n);
  const gone = makeWatched("/a", { removedAt: 20, removedKills });
  const next = makeWatched("/a", { kills: { reportFrom: -Infinity } });
  const { kills, reported } = start([gone, next]);
  kills.logged(makeKill(7, { cgroup: "/a" }), 25);
  kills.logged(makeKill(8, { cgroup: "/a" }), 26);
  kills.settle(30);
  assert.deepEqual(reported.map(({ watched, kill }) => [watched === gone, kill?.victim.pid]), [
    [true, 7],
    [false, 8],
  ]);
  assert.equal(removedKills.unreported(), 0n);
  assert.equal(gone.kills.beforeRemoval, 1n);
});

Deno.test("on v1 a kill in a cgroup that was created again is not taken for one in its predecessor", () => {
  // The kernel suppressed the cgroup of victim 7; the removal may have been one more OOM.
  const gone = makeWatched("/a", {
    counters: { readAt: 10 },
    kills: { suspected: 1, maybeKilled: true },
    removedAt: 15,
  }, 1);
  const next = makeWatched("/a", {}, 1);
  const { kills, lines, reported } = start([gone, next]);
  kills.counted(gone, 1n, 10, 5);
  kills.logged(makeKill(7), 11);
  kills.logged(makeKill(8, { cgroup: "/a" }), 20);
  kills.counted(next, 1n, 21, 16);
  for (let at = 21; at < END;) at = Math.max(at + 1, kills.settle(at));
  assert.deepEqual(lines(), ["/a 8", "/a 7"]);
  assert.deepEqual(reported.map(({ watched }) => watched === next), [true, false]);
});

Deno.test("on v1 a kill that is read after a removal is one in the next cgroup of that path", () => {
  const gone = makeWatched("/a", { kills: { suspected: 1 }, removedAt: 15 }, 1);
  const next = makeWatched("/a", {}, 1);
  const { kills, lines, reported } = start([gone, next]);
  kills.logged(makeKill(8, { cgroup: "/a" }), 20);
  kills.settle(20);
  kills.counted(next, 1n, 21, 16);
  for (const at of [21, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/a 8"]);
  assert.equal(reported[0]?.watched, next);
});

Deno.test("on v1 a counted kill precedes a removal that may have been an OOM", () => {
  const gone = makeWatched("/a", { kills: { maybeKilled: true }, removedAt: 21 }, 1);
  const next = makeWatched("/a", {}, 1);
  const { kills, lines } = start([gone, next]);
  // Logged after the new cgroup was created, but before the removal of the old one was noticed.
  kills.logged(makeKill(8, { cgroup: "/a" }), 20);
  kills.counted(next, 1n, 22, 2);
  for (const at of [22, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/a 8"]);
});

Deno.test("a kill that only the parent has counted is inferred once, and taken from the parent's account", () => {
  const removedKills = makeRemovedKills(1n);
  const gone = makeWatched("/p/a", { removedAt: 20, removedKills });
  const { kills, reported } = start([gone]);
  kills.reportInferred(gone, 300);
  kills.settle(END);
  assert.deepEqual(reported.map(({ cgroup, inferred }) => [cgroup, inferred]), [["/p/a", true]]);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("a line without a cgroup is matched to a removed cgroup when its parent counted an unreported kill", () => {
  const gone = makeWatched("/p/a", {
    removedAt: 20,
    counters: { readAt: 5 },
    removedKills: makeRemovedKills(1n),
  });
  const quiet = makeWatched("/q/a", {
    removedAt: 20,
    counters: { readAt: 5 },
    removedKills: makeRemovedKills(0n),
  });
  const { kills, lines } = start([quiet, gone]);
  kills.logged(makeKill(7), 15);
  kills.settle(15);
  assert.deepEqual(lines(), [], "a line that names its cgroup may follow");
  for (const at of [50, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/p/a 7"]);
});

Deno.test("a kill below a cgroup is added once to a counter that does not include it", () => {
  for (const version of [1, 2] as const) {
    const a = makeWatched("/a", { representsSubtree: true }, version);
    const { kills, lines } = start([a]);
    kills.logged(makeKill(7, { cgroup: "/a/b" }), 10);
    kills.logged(makeKill(8, { cgroup: "/a" }), 10);
    kills.settle(10);
    assert.deepEqual(lines(), ["/a/b 7", "/a 8"]);
    // v2 counts both; v1 counts the second only.
    assert.equal(a.kills.inUncountedChildren, version === 1 ? 1n : 0n);
    kills.counted(a, version === 1 ? 1n : 2n, 20, 0);
    kills.settle(END);
    assert.deepEqual(lines(), ["/a/b 7", "/a 8"]);
    assert.equal(a.kills.lastKillAt, 10);
  }
});

Deno.test("a kill that was reported before its cgroup was watched is a victim of that cgroup", () => {
  const { kills, lines } = start([], { covers: () => true });
  kills.logged(makeKill(7, { cgroup: "/a" }), 10);
  kills.settle(10);
  assert.deepEqual(lines(), ["/a 7"]);
  const a = makeWatched("/a");
  kills.startWatching(a);
  assert.deepEqual([a.kills.victims, a.kills.repeated, a.kills.pending], [1, 0, -1n]);
});

/** The log names the ancestor that is charged; the counter of the ancestor counts the kill. */
for (const representsSubtree of [true, false]) {
  const how = representsSubtree ? "a stand-in" : "a watched ancestor";
  Deno.test(`a kill of a cgroup's process is reported once where ${how} is charged for it`, () => {
    const leaf = makeWatched("/a/leaf", { chargedTo: "/a" });
    const a = makeWatched("/a", { representsSubtree, isStandIn: representsSubtree });
    const { kills, lines, reported } = start([leaf, a]);
    kills.counted(a, 1n, 10, 0);
    kills.logged(makeKill(7, { cgroup: "/a", owner: "/a", processCgroup: "/a/leaf" }), 12);
    kills.settle(12);
    kills.settle(END);
    assert.deepEqual(lines(), ["/a/leaf 7"]);
    assert.equal(reported[0]!.watched, leaf);
    assert.equal(a.kills.pending, 0n);
  });
}

Deno.test("a process that is seen in a cgroup before its kill is a victim there, though it is gone when its line is read", () => {
  const leaf = makeWatched("/a/leaf", { chargedTo: "/a", kills: { pids: new Map([[7, 1]]) } });
  const a = makeWatched("/a", { representsSubtree: true, isStandIn: true });
  const { kills, lines } = start([leaf, a]);
  kills.counted(a, 1n, 10, 0);
  kills.logged(makeKill(7, { cgroup: "/a" }), 12);
  kills.settle(12);
  kills.settle(END);
  assert.deepEqual(lines(), ["/a/leaf 7"]);
});

Deno.test("a kill because the machine is out of memory is reported in a cgroup that is charged to the root", () => {
  const leaf = makeWatched("/leaf", { chargedTo: null });
  const { kills, lines } = start([leaf]);
  kills.logged(makeKill(7, { cgroup: "/", scope: "system", processCgroup: "/leaf" }), 12);
  kills.settle(12);
  assert.deepEqual(lines(), ["/leaf 7"]);
});

Deno.test("a kill in another cgroup for which the same ancestor is charged is not reported", () => {
  const leaf = makeWatched("/a/leaf", { chargedTo: "/a" });
  const a = makeWatched("/a", { representsSubtree: true, isStandIn: true });
  const { kills, lines } = start([leaf, a]);
  kills.counted(a, 1n, 10, 0);
  kills.logged(makeKill(7, { cgroup: "/a", processCgroup: "/a/other" }), 12);
  kills.settle(END);
  assert.deepEqual(lines(), []);
  assert.equal(a.kills.pending, 0n);
});

Deno.test("a kill of a process in an unknown cgroup is reported at the ancestor that is charged", () => {
  for (const hasLog of [true, false]) {
    const leaf = makeWatched("/a/leaf", { chargedTo: "/a" });
    const a = makeWatched("/a", { representsSubtree: true, isStandIn: true });
    const { kills, lines } = start([leaf, a], { hasLog });
    kills.counted(a, 1n, 10, 0);
    if (hasLog) kills.logged(makeKill(7, { cgroup: "/a" }), 12);
    kills.settle(END);
    assert.deepEqual(lines(), [hasLog ? "/a 7" : "/a ?"]);
  }
});

Deno.test("a kill that is logged after the removal of a target belongs to the next cgroup of the same name", () => {
  for (const path of ["/a", "/a/child"]) {
    const gone = makeWatched("/a", { removedAt: 20, representsSubtree: true });
    const { kills, lines } = start([gone]);
    kills.logged(makeKill(7, { cgroup: path }), 19);
    kills.settle(19);
    kills.logged(makeKill(8, { cgroup: path }), 21);
    kills.settle(END);
    assert.deepEqual(lines(), [`${path} 7`]);
  }
});

Deno.test("v1: a line without a cgroup is matched to the child of a target that contained the victim at the OOM", () => {
  const pidsBelow = new Map([[7, { cgroup: "/a/b", at: 1 }]]);
  const a = makeWatched("/a", { representsSubtree: true, kills: { suspected: 1, pidsBelow } }, 1);
  const { kills, lines } = start([a]);
  kills.logged(makeKill(7), 10);
  kills.logged(makeKill(8), 10);
  kills.settle(END);
  assert.deepEqual(lines(), ["/a/b 7"]);
  assert.deepEqual([a.kills.pending, a.kills.inUncountedChildren], [0n, 1n]);
});
