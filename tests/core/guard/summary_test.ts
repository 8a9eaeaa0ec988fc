/** What the summary of a guard counts. */

import assert from "node:assert/strict";
import { type CounterDeltas, makeEvent } from "../../../core/events/event.ts";
import { GuardSummary } from "../../../core/guard/summary.ts";
import { candidate, killBody } from "../../helpers/guard_events.ts";

const deltas = (cgroup: string, part: Partial<CounterDeltas>): CounterDeltas => ({
  cgroup,
  container_id: null,
  pod_uid: null,
  max: null,
  high: null,
  oom: null,
  oom_kill: null,
  oom_group_kill: null,
  victims: 0,
  guard_kills: null,
  guard_victims: [],
  repeated: 0,
  peak: null,
  limit: null,
  removed: false,
  ...part,
});

const watched = (watched_cgroups: number, ...cgroups: CounterDeltas[]) =>
  makeEvent(0, "/", "none", {
    type: "summary",
    seconds: 1,
    watched_cgroups,
    guard_kills: null,
    cgroups,
    degraded: [],
  }) as Parameters<GuardSummary["addWatch"]>[0];

const killOf = (comm: string) =>
  killBody({ outcome: "killed", dry_run: false, victim: { ...candidate, comm } });

Deno.test("each kill by the guard is counted in its cgroup, with names and without a counter of the kernel", () => {
  const summary = new GuardSummary();
  for (const comm of ["python3", "python3", "java"]) summary.addAction("/a", killOf(comm));
  summary.addAction("/b", killOf("sh"));
  summary.addWatch(watched(3, deltas("/a", { victims: 1, oom_kill: 1n })));
  const { guard_kills, watched_cgroups, cgroups } = summary.body(2, []);
  assert.deepEqual([guard_kills, watched_cgroups], [4, 3]);
  const figures = cgroups.map((each) => [
    each.cgroup,
    each.guard_kills,
    each.guard_victims,
    each.victims,
    each.oom_kill,
  ]);
  assert.deepEqual(figures, [
    ["/a", 3, ["python3", "java"], 1, 1n],
    ["/b", 1, ["sh"], 0, null],
  ]);
});

Deno.test("what is not a kill by the guard is not counted as one", () => {
  const summary = new GuardSummary();
  const kill = killOf("sh");
  for (const outcome of ["survived", "failed", "dry_run"] as const) {
    summary.addAction("/a", { ...kill, outcome });
  }
  summary.addAction("/a", { ...kill, dry_run: true });
  const { victim: _, candidates: __, ...rest } = kill;
  summary.addAction("/a", { ...rest, action: "exec", outcome: "ok" });
  const { guard_kills, cgroups } = summary.body(1, []);
  assert.deepEqual([guard_kills, cgroups], [0, []]);
});

Deno.test("the kernel's kills before a target was created again are in the summary", () => {
  const summary = new GuardSummary();
  const first = { victims: 1, oom_kill: 1n, max: 4n, peak: 9, limit: 8, removed: true };
  summary.addWatch(watched(1, deltas("/a", first)));
  summary.addWatch(watched(1, deltas("/a", { victims: 2, oom_kill: 2n, peak: 5, limit: 7 })));
  const { watched_cgroups, cgroups: [only, ...more] } = summary.body(1, []);
  assert.deepEqual([watched_cgroups, more], [1, []]);
  const { victims, oom_kill, max, high, peak, limit, removed } = only!;
  assert.deepEqual([victims, oom_kill, max, high, peak, limit, removed], [
    3,
    3n,
    4n,
    null,
    9,
    7,
    false,
  ]);
});

Deno.test("a summary has the sum of all that was counted, but not each of any number of removed cgroups", () => {
  const summary = new GuardSummary();
  for (let n = 0; n < 1500; n++) {
    summary.addAction(`/k${n}`, killOf("sh"));
    const part = { oom_kill: 2n, victims: 1, limit: 5, container_id: "c", removed: true };
    summary.addWatch(watched(1, deltas(`/r${n}`, part)));
  }
  const present = Array.from({ length: 1200 }, (_, n) => deltas(`/p${n}`, { victims: 1 }));
  summary.addWatch(watched(1200, ...present));
  const { guard_kills, cgroups } = summary.body(1200, []);
  assert.equal(guard_kills, 1500);
  assert.equal(cgroups.reduce((sum, { oom_kill }) => sum + (oom_kill ?? 0n), 0n), 3000n);
  assert.equal(cgroups.reduce((sum, { victims }) => sum + victims, 0), 1500 + 1200);
  const starting = (letter: string) =>
    cgroups.filter(({ cgroup }) => cgroup.startsWith(`/${letter}`)).length;
  assert.deepEqual(["k", "r", "p"].map(starting), [1000, 1000, 1200]);
  const { victims, container_id, limit } = cgroups.find(({ cgroup }) => cgroup === "/")!;
  assert.deepEqual([victims, container_id, limit], [500, null, null]);
});
