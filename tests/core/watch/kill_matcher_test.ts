import assert from "node:assert/strict";
import {
  createKillMatcher,
  type KillMatcherOptions,
  LOG_GRACE_MS,
  type MatchedKill,
} from "../../../core/watch/kill_matcher.ts";
import type { WatchedCgroup } from "../../../core/watch/watched_cgroup.ts";
import { makeKill, makeMember, makePool } from "./watched_cgroups.ts";

function start(
  watchedCgroups: readonly WatchedCgroup[],
  options: Partial<KillMatcherOptions> = {},
) {
  const told: MatchedKill[] = [];
  const kills = createKillMatcher({
    watchedCgroups: () => watchedCgroups,
    covers: () => false,
    ahead() {},
    hasLog: true,
    emitEvent: (each) => told.push(each),
    ...options,
  });
  /** Who was told of, where; `?` for a victim that is not known. */
  const lines = () => told.map(({ cgroup, kill }) => `${cgroup} ${kill?.victim.pid ?? "?"}`);
  return { kills, told, lines };
}

/** Long after everything. */
const END = 60_000;

Deno.test("a kill that counter and log both tell of is told once, whoever comes first", () => {
  for (const first of ["counter", "log"]) {
    const a = makeMember("/a");
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

Deno.test("a counter waits for its line, and is told without a victim when none comes", () => {
  const a = makeMember("/a");
  const { kills, lines, told } = start([a]);
  kills.counted(a, 2n, 100, 0);
  assert.equal(kills.settle(100), 100 + LOG_GRACE_MS);
  assert.deepEqual(lines(), []);
  kills.settle(100 + LOG_GRACE_MS);
  assert.deepEqual(lines(), ["/a ?", "/a ?"]);
  assert.ok(told.every(({ inferred }) => !inferred), "a counter is proof");
});

Deno.test("where no log can be read nobody waits for it", () => {
  const a = makeMember("/a");
  const { kills, lines } = start([a], { hasLog: false });
  kills.counted(a, 1n, 100, 0);
  assert.equal(kills.settle(100), Infinity);
  assert.deepEqual(lines(), ["/a ?"]);
});

Deno.test("a line that lay unread while the program was held up still names the victim", () => {
  const a = makeMember("/a");
  const { kills, lines } = start([a]);
  kills.counted(a, 1n, 100, 0);
  kills.logged(makeKill(7, { cgroup: "/a" }), 5000);
  kills.settle(5000);
  assert.deepEqual(lines(), ["/a 7"]);
});

Deno.test("a line ahead of its counter does not swallow the next kill", () => {
  const a = makeMember("/a");
  const { kills, lines } = start([a]);
  kills.logged(makeKill(7, { cgroup: "/a" }), 10);
  kills.settle(10);
  kills.counted(a, 2n, 30, 0);
  kills.settle(30 + LOG_GRACE_MS);
  assert.deepEqual(lines(), ["/a 7", "/a ?"]);
});

Deno.test("a group kill counts and logs its first victim twice, and tells of each process once", () => {
  const a = makeMember("/a");
  const { kills, lines } = start([a]);
  const group = { cgroup: "/a", group: "/a" };
  kills.counted(a, 4n, 10, 0);
  kills.logged(makeKill(1, { cgroup: "/a" }), 11);
  kills.logged(makeKill(1, { ...group, again: true }), 11);
  kills.logged(makeKill(2, { group: "/a" }), 11);
  kills.logged(makeKill(3, { group: "/a" }), 11);
  for (const at of [11, 50, 200, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/a 1", "/a 2", "/a 3"]);
});

Deno.test("a kill beneath two watched cgroups is told once, by the innermost, with the log or without", () => {
  for (const isLogged of [true, false]) {
    const outer = makeMember("/a", { countsSubtree: true });
    const inner = makeMember("/a/b", { countsSubtree: true });
    const { kills, told } = start([outer, inner], { hasLog: isLogged });
    kills.counted(outer, 1n, 10, 0);
    kills.settle(10);
    kills.counted(inner, 1n, 20, 0);
    if (isLogged) kills.logged(makeKill(7, { cgroup: "/a/b/c" }), 20);
    for (const at of [20, 300, END]) kills.settle(at);
    assert.deepEqual(told.map(({ watched }) => watched), [inner]);
  }
});

Deno.test("a lost line does not make one kill two, though outer and inner counter are noticed apart", () => {
  const outer = makeMember("/a", { countsSubtree: true });
  const inner = makeMember("/a/b", { countsSubtree: true });
  const { kills, lines } = start([outer, inner]);
  kills.counted(outer, 2n, 10, 0);
  kills.counted(inner, 1n, 30, 0);
  for (let at = 30; at < END;) at = Math.max(at + 1, kills.settle(at));
  assert.deepEqual(lines().sort(), ["/a ?", "/a/b ?"]);
});

Deno.test("v1 counts in the victim's own cgroup alone, so that a parent's count stays its own", () => {
  const outer = makeMember("/a", { countsSubtree: true }, 1);
  const inner = makeMember("/a/b", { countsSubtree: true }, 1);
  const { kills, lines } = start([outer, inner]);
  kills.counted(inner, 1n, 10, 0);
  kills.counted(outer, 1n, 10, 0);
  kills.logged(makeKill(7, { cgroup: "/a/b" }), 10);
  for (const at of [10, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/a/b 7", "/a ?"]);
});

Deno.test("who dies outside of what is watched is nobody's business", () => {
  const { kills, lines } = start([makeMember("/a"), makeMember("/ab", { countsSubtree: true })]);
  for (const cgroup of ["/a/b", "/abc", "/"]) kills.logged(makeKill(7, { cgroup }), 10);
  kills.settle(END);
  assert.deepEqual(lines(), []);
});

Deno.test("a kill of before the watch, read late, is not told", () => {
  const a = makeMember("/a", { since: 100 });
  const { kills, lines } = start([a]);
  kills.logged(makeKill(7, { cgroup: "/a" }), 99);
  kills.logged(makeKill(8, { cgroup: "/a" }), 100);
  kills.settle(100);
  assert.deepEqual(lines(), ["/a 8"]);
});

Deno.test("what was told of a cgroup before it was armed is not told again by its counter", () => {
  const watchedCgroups: WatchedCgroup[] = [];
  const ahead: [string, bigint][] = [];
  const { kills, lines } = start(watchedCgroups, {
    covers: (path) => path.startsWith("/pod/"),
    ahead: (path, count) => ahead.push([path, count]),
  });
  kills.logged(makeKill(7, { cgroup: "/pod/new" }), 10);
  kills.logged(makeKill(7, { cgroup: "/pod/new", again: true }), 10);
  kills.settle(10);
  assert.deepEqual(lines(), ["/pod/new 7"]);
  const armed = makeMember("/pod/new");
  watchedCgroups.push(armed);
  kills.startWatching(armed);
  kills.counted(armed, 2n, 20, -Infinity);
  kills.settle(END);
  assert.deepEqual(lines(), ["/pod/new 7"]);
  assert.deepEqual(ahead, [["/pod/new", 1n], ["/pod/new", 1n], ["/pod/new", -2n]]);
});

Deno.test("a line without a cgroup belongs to who had the victim in it", () => {
  const a = makeMember("/a", { pids: new Map([[7, 0]]) });
  const b = makeMember("/b", { pids: new Map([[8, 0]]) });
  const { kills, lines } = start([a, b]);
  kills.counted(a, 1n, 10, 0);
  kills.counted(b, 1n, 10, 0);
  for (const pid of [8, 7]) kills.logged(makeKill(pid), 10);
  for (const at of [10, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/b 8", "/a 7"]);
});

Deno.test("a line without a cgroup waits until what is certain is told, and gets what is left", () => {
  const a = makeMember("/a");
  const b = makeMember("/b");
  const { kills, lines } = start([a, b]);
  kills.counted(a, 1n, 10, 0);
  kills.counted(b, 1n, 10, 0);
  kills.logged(makeKill(7), 11);
  kills.settle(11);
  assert.deepEqual(lines(), []);
  assert.ok(kills.waiting());
  kills.logged(makeKill(8, { cgroup: "/a" }), 12);
  kills.settle(12);
  kills.settle(50);
  assert.deepEqual(lines(), ["/a 8", "/b 7"]);
  assert.ok(!kills.waiting());
});

Deno.test("a line without a cgroup that fits nobody is let go, not pinned on a neighbour", () => {
  const { kills, lines } = start([makeMember("/a")]);
  kills.logged(makeKill(7), 10);
  for (const at of [10, 50, 150, END]) kills.settle(at);
  assert.deepEqual(lines(), []);
  assert.ok(!kills.waiting());
});

Deno.test("the last kill of a removed cgroup is its own, not that of the next of the same name", () => {
  const removedKills = makePool(1n);
  const gone = makeMember("/a", { goneAt: 20, removedKills });
  const next = makeMember("/a", { since: -Infinity });
  const { kills, told } = start([gone, next]);
  kills.logged(makeKill(7, { cgroup: "/a" }), 25);
  kills.logged(makeKill(8, { cgroup: "/a" }), 26);
  kills.settle(30);
  assert.deepEqual(told.map(({ watched, kill }) => [watched === gone, kill?.victim.pid]), [
    [true, 7],
    [false, 8],
  ]);
  assert.equal(removedKills.unreported(), 0n);
  assert.equal(gone.killsBeforeRemoval, 1n);
});

Deno.test("a kill that the parent alone remembers is inferred, once, and taken from the parent's account", () => {
  const removedKills = makePool(1n);
  const gone = makeMember("/p/a", { goneAt: 20, removedKills });
  const { kills, told } = start([gone]);
  kills.reportInferred(gone, 300);
  kills.settle(END);
  assert.deepEqual(told.map(({ cgroup, inferred }) => [cgroup, inferred]), [["/p/a", true]]);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("a line without a cgroup finds the removed one that its parent misses a kill of", () => {
  const gone = makeMember("/p/a", { goneAt: 20, readAt: 5, removedKills: makePool(1n) });
  const quiet = makeMember("/q/a", { goneAt: 20, readAt: 5, removedKills: makePool(0n) });
  const { kills, lines } = start([quiet, gone]);
  kills.logged(makeKill(7), 15);
  kills.settle(15);
  assert.deepEqual(lines(), [], "one that names its cgroup may be on the way");
  for (const at of [50, END]) kills.settle(at);
  assert.deepEqual(lines(), ["/p/a 7"]);
});
