import assert from "node:assert/strict";
import { makeEvent, type OomkitEvent } from "../../../core/events/event.ts";
import { Activity } from "../../../core/status/activity.ts";

const kernelKill = (cgroup: string): OomkitEvent =>
  makeEvent(0, cgroup, "kmsg", {
    type: "oom_kill",
    victim: null,
    limit_owner: null,
    limit: null,
    scope: null,
    inferred: false,
  });

function action(cgroup: string, changes: Record<string, unknown> = {}): OomkitEvent {
  const body = {
    type: "action",
    action: "process",
    level: "imminent",
    mode: "notify",
    dry_run: false,
    outcome: "killed",
    reason: null,
    ...changes,
  };
  return makeEvent(0, cgroup, "poll", body as never);
}

Deno.test("a kill by the kernel counts in its cgroup and in all above it", () => {
  const activity = new Activity();
  for (const path of ["/a/b", "/a/b", "/a/c", "/d"]) activity.add(kernelKill(path));
  assert.deepEqual(
    Object.fromEntries(activity.victimsInSubtrees()),
    { "/a/b": 2, "/a/c": 1, "/a": 3, "/d": 1, "/": 4 },
  );
  assert.deepEqual(activity.totals, { victims: 4, guardKills: 0 });
});

Deno.test("what killed nothing is an action, but no kill", () => {
  const activity = new Activity();
  activity.add(action("/a"));
  activity.add(action("/a", { dry_run: true, outcome: "dry_run" }));
  activity.add(action("/a", { outcome: "failed" }));
  activity.add(action("/a", { action: "signal", outcome: "signalled", message: "SIGUSR1 sent" }));
  assert.deepEqual([activity.guardKillsIn("/a"), activity.totals.guardKills], [1, 1]);
  assert.deepEqual(
    activity.lastActions.map(({ outcome }) => outcome),
    ["signalled", "failed", "dry_run", "killed"],
  );
  assert.equal(activity.lastActionIn("/a")?.message, "SIGUSR1 sent");
  assert.equal(activity.lastActionIn("/b"), undefined);
});

Deno.test("a reclaim is the last action of its cgroup, and pushes out none of the guard's", () => {
  const activity = new Activity();
  activity.add(action("/a"));
  for (let n = 0; n < 100; n++) {
    activity.add(action("/b", { action: "reclaim", outcome: "reclaimed" }));
  }
  assert.deepEqual(activity.lastActions.map(({ cgroup }) => cgroup), ["/a"]);
  assert.equal(activity.lastActionIn("/b")?.action, "reclaim");
});

Deno.test("cgroups that come and go do not let it grow; the latest are kept, and totals are exact", () => {
  const activity = new Activity();
  for (let n = 0; n < 5000; n++) {
    activity.add(kernelKill(`/pods/${n}`));
    activity.add(action(`/pods/${n}`));
  }
  const paths = [...activity.victimsInSubtrees().keys()];
  assert.ok(paths.length < 2100, String(paths.length));
  assert.equal(activity.lastActions.length, 10);
  const kept = (n: number) => [
    activity.lastActionIn(`/pods/${n}`) !== undefined,
    activity.guardKillsIn(`/pods/${n}`),
  ];
  assert.deepEqual([kept(0), kept(4999)], [[false, 0], [true, 1]]);
  assert.deepEqual(activity.totals, { victims: 5000, guardKills: 5000 });
});
