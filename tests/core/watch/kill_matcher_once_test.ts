/** Each kill is reported exactly once, in whatever order counters and log lines are read. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { KillMatcher, LOG_GRACE_MS, type MatchedKill } from "../../../core/watch/kill_matcher.ts";
import { COUNTERS, makeKill, makeWatched } from "./watched_cgroups.ts";

/** Cgroups that a kill can happen in, and the watched ones that count it on v2. */
const PLACES = [
  { cgroup: "/a", counted: ["/a"] },
  { cgroup: "/a/b", counted: ["/a", "/a/b"] },
  { cgroup: "/a/b/deep", counted: ["/a", "/a/b"] },
  { cgroup: "/c", counted: ["/c"] },
] as const;

interface Kill {
  /** Index in {@link PLACES}. */
  readonly place: number;
  /** Milliseconds after the one before. */
  readonly after: number;
  /** Milliseconds until each counter that includes it is read: each is notified separately. */
  readonly noticed: readonly [number, number];
  /** Milliseconds until its line is read; absent when it was overwritten before that. */
  readonly read: number | undefined;
}

/** Longer delays than these are not waited for. */
const delay = fc.nat(Math.floor(LOG_GRACE_MS / 3));

const kill = (read: fc.Arbitrary<number | undefined>): fc.Arbitrary<Kill> =>
  fc.record({
    place: fc.nat(PLACES.length - 1),
    after: fc.nat(80),
    noticed: fc.tuple(delay, delay),
    read,
  });

type Step = readonly [at: number, action: () => void];

/** Feeds the kills to a matcher that watches /a, /a/b and /c; returns what it reported. */
function play(sequence: readonly Kill[], hasLog = true): MatchedKill[] {
  const watchedCgroups = ["/a", "/a/b", "/c"].map((path) =>
    makeWatched(path, { representsSubtree: true, counters: { last: COUNTERS[2] } })
  );
  const reported: MatchedKill[] = [];
  const kills = new KillMatcher({
    watchedCgroups: () => watchedCgroups,
    covers: () => false,
    reportedAhead() {},
    hasLog,
    emit: (kill) => reported.push(kill),
  });
  const steps: Step[] = [];
  let at = 1000;
  let readAt = 0;
  sequence.forEach(({ place, after, noticed, read }, index) => {
    at += after;
    const { cgroup, counted } = PLACES[place]!;
    const happened = at;
    counted.forEach((path, level) => {
      const now = happened + noticed[level]!;
      const watched = watchedCgroups.find((each) => each.cgroup.path === path)!;
      steps.push([now, () => kills.counted(watched, 1n, now, happened)]);
    });
    if (read === undefined || !hasLog) return;
    // The log is read in order.
    readAt = Math.max(readAt, happened + read);
    const now = readAt;
    steps.push([now, () => kills.logged(makeKill(index, { cgroup }), now)]);
  });
  let next = Infinity;
  for (const [now, action] of steps.toSorted(([a], [b]) => a - b)) {
    for (; next < now; next = Math.max(next + 1, kills.settle(next)));
    action();
    next = kills.settle(now);
  }
  for (; next < Infinity; next = Math.max(next + 1, kills.settle(next)));
  return reported;
}

Deno.test("with the log, each kill is reported once, with its victim and its cgroup", () => {
  fc.assert(fc.property(fc.array(kill(delay), { maxLength: 12 }), (sequence) => {
    const reported = play(sequence).map(({ kill, cgroup }) => [kill?.victim.pid, cgroup]);
    assert.deepEqual(
      reported.toSorted(([a], [b]) => Number(a) - Number(b)),
      sequence.map(({ place }, index) => [index, PLACES[place]!.cgroup]),
    );
  }));
});

Deno.test("with lines missing, as many kills are reported as there were, and none in a wrong target", () => {
  const some = fc.option(delay, { nil: undefined });
  const target = (cgroup: string) => cgroup.startsWith("/c") ? "/c" : "/a";
  fc.assert(fc.property(fc.array(kill(some), { maxLength: 12 }), (sequence) => {
    const reported = play(sequence);
    assert.deepEqual(
      reported.map(({ cgroup }) => target(cgroup)).sort(),
      sequence.map(({ place }) => target(PLACES[place]!.cgroup)).sort(),
    );
    const named = reported.flatMap(({ kill }) => kill?.victim.pid ?? []);
    assert.equal(new Set(named).size, named.length);
    assert.equal(named.length, sequence.filter(({ read }) => read !== undefined).length);
  }));
});

Deno.test("without a log, as many kills are reported as there were", () => {
  fc.assert(fc.property(fc.array(kill(delay), { maxLength: 12 }), (sequence) => {
    assert.equal(play(sequence, false).length, sequence.length);
  }));
});
