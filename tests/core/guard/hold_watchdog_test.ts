import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { HoldWatchdog } from "../../../core/guard/hold_watchdog.ts";
import type { GuardedCgroup } from "../../../core/guard/registry.ts";
import { makeTree } from "../../helpers/trees.ts";

const TIMEOUT = 1000;
const control = (isWaiting: boolean) =>
  `oom_kill_disable 1\nunder_oom ${isWaiting ? 1 : 0}\noom_kill 0\n`;

/** A watchdog of two cgroups at the fake time `now`, with a monitor thread that makes a turn each millisecond. */
function watched({ notifiesOoms = true, mode = "hold-near-limit" } = {}) {
  const tree = makeTree(1, {
    "/a": { "memory.oom_control": control(false) },
    "/b": { "memory.oom_control": control(false) },
  });
  const real = performance.now;
  let now = 0;
  performance.now = () => now;
  const hierarchy = discover(tree.dir);
  const guarded = ["/a", "/b"].map((path, id) => {
    const cgroup = openCgroup(hierarchy, path)!;
    return { id, cgroup, limitOwner: cgroup, settings: { mode } };
  }) as unknown as GuardedCgroup[];
  const watchdog = new HoldWatchdog(TIMEOUT, () => now, () => notifiesOoms);
  return {
    watchdog,
    interval: () => watchdog.interval(guarded),
    wait: (path: string) => tree.write(path, "memory.oom_control", control(true)),
    /** Checks as often as it asks for, or earlier by this factor. @returns the paths found, each with the time. */
    run(ms: number, factor = 1) {
      const found: [string, number][] = [];
      let checks = 0;
      for (const until = now + ms; now < until; checks++) {
        now += factor * watchdog.interval(guarded);
        for (const { cgroup: { path } } of watchdog.check(guarded)) found.push([path, now]);
      }
      return { found, checks };
    },
    [Symbol.dispose]() {
      performance.now = real;
      tree[Symbol.dispose]();
    },
  };
}

Deno.test("at rest the cgroups of a hold watchdog are read every 10 s", () => {
  using fake = watched();
  assert.equal(fake.run(600_000).checks, 60);
});

Deno.test("allocators that wait after an OOM are found as soon as the timeout is over", () => {
  using fake = watched();
  fake.run(60_000);
  fake.wait("/b");
  fake.watchdog.suspect("/b");
  const { found } = fake.run(1600);
  assert.deepEqual(found.map(([path]) => path), ["/b"]);
  assert.ok(found[0]![1] <= 60_000 + TIMEOUT + 400, `after ${found[0]![1] - 60_000} ms`);
});

Deno.test("after a suspicion without a wait the checks become rare again", () => {
  using fake = watched();
  fake.run(20_000);
  fake.watchdog.suspect("/a");
  assert.equal(fake.interval(), 200);
  fake.run(5200);
  assert.equal(fake.interval(), 10_000);
});

Deno.test("allocators that wait after a lost notification are found, too", () => {
  using fake = watched();
  fake.run(60_000);
  fake.wait("/a");
  assert.deepEqual(fake.run(11_500).found.map(([path]) => path), ["/a"]);
});

Deno.test("without notifications of OOMs all cgroups are read every 0.2 s", () => {
  using fake = watched({ notifiesOoms: false });
  assert.equal(fake.run(60_000).checks, 300);
  fake.wait("/a");
  assert.deepEqual(fake.run(1600).found.map(([path]) => path), ["/a"]);
});

Deno.test("an OOM makes no check due where no mode of the guard holds allocators", () => {
  using fake = watched({ mode: "throttle" });
  fake.run(20_000);
  fake.watchdog.suspect("/a");
  assert.equal(fake.interval(), 10_000);
});

Deno.test("all cgroups are read also by checks that share an earlier wake-up", () => {
  using fake = watched();
  fake.run(60_000, 0.95);
  fake.wait("/a");
  assert.deepEqual(fake.run(11_500, 0.95).found.map(([path]) => path), ["/a"]);
});
