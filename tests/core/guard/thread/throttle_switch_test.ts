import assert from "node:assert/strict";
import type { CgroupState } from "../../../../core/guard/thread/cgroup_state.ts";
import type { Report } from "../../../../core/guard/thread/protocol.ts";
import { ThrottleSwitch } from "../../../../core/guard/thread/throttle_switch.ts";
import { libc } from "../../../../core/kernel/libc.ts";
import { versionOf } from "../../../../core/cgroup/versions.ts";

// Stays loaded; within a test that would count as a leak.
libc();

const LEVEL = 900;
/** As long as each other: a plain file is not truncated. */
const [BEFORE, SET] = ["max", "900"];

/** A throttled cgroup, full of page cache since 0. */
function throttled() {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  Deno.writeTextFileSync(`${dir}/memory.high`, SET);
  const limitOwner = {
    dir,
    path: "/",
    inode: Deno.statSync(dir).ino!,
    hierarchy: { version: versionOf(2), mount: dir, nested: [], root: "/" },
  };
  const state = {
    id: 1,
    scope: limitOwner,
    limitOwner,
    files: {},
    settings: {
      mode: "throttle",
      memoryHigh: { before: BEFORE, set: SET },
      levelBytes: { imminent: LEVEL },
      limit: 1000,
    },
    schedule: { farSince: 0, wakeSource: "poll" },
    memory: { usage: 950 },
    throttle: { isLifted: false, retryAt: -Infinity },
  };
  const reports: Report[] = [];
  const throttle = new ThrottleSwitch((report) => void reports.push(report));
  return {
    state,
    reports,
    update: (now: number) => throttle.update(state as unknown as CgroupState, now),
    high: () => Deno.readTextFileSync(`${dir}/memory.high`),
    write: (name: string, text: string) => {
      Deno.mkdirSync(`${dir}/${name}`.replace(/\/[^/]*$/, ""), { recursive: true });
      Deno.writeTextFileSync(`${dir}/${name}`, text);
    },
    /** Another thread writes. */
    async becomes(high: string): Promise<void> {
      while (Deno.readTextFileSync(`${dir}/memory.high`) !== high) await Promise.resolve();
    },
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

Deno.test("memory.high is lifted after 2 s of nothing but page cache, and set again after that", async () => {
  using one = throttled();
  one.update(1999);
  assert.equal(one.high(), SET);
  one.update(2000);
  assert.equal(one.high(), BEFORE);
  one.update(5000);
  one.state.schedule.farSince = undefined as unknown as number;
  one.update(5001);
  await one.becomes(SET);
  const lifts = one.reports.map((report) => report.type === "throttle" && report.isLifted);
  assert.deepEqual(lifts, [true, false]);
});

Deno.test("memory.high is lifted only where usage is at it", () => {
  using one = throttled();
  one.state.memory.usage = 870;
  one.update(2000);
  assert.equal(one.high(), SET);
  one.state.memory.usage = 880;
  one.update(2010);
  assert.equal(one.high(), BEFORE);
  // Without it usage falls and rises with the workload.
  one.state.memory.usage = 850;
  one.update(2020);
  assert.equal(one.high(), BEFORE);
});

Deno.test("memory.high is not lifted where a cgroup below has a memory.min", () => {
  using one = throttled();
  one.write("a/b/memory.min", "4096\n");
  one.update(2000);
  assert.equal(one.high(), SET);
  // It is not looked for at each poll.
  one.write("a/b/memory.min", "0\n");
  one.update(3000);
  assert.equal(one.high(), SET);
  one.update(12_000);
  assert.equal(one.high(), BEFORE);
});

Deno.test("a memory.high that another program has set is neither lifted nor replaced", () => {
  using one = throttled();
  one.write("memory.high", "123");
  one.update(2000);
  assert.equal(one.high(), "123");
  assert.deepEqual(one.reports, []);
  one.write("memory.high", SET);
  one.update(20_000);
  assert.equal(one.high(), BEFORE);
  one.write("memory.high", "123");
  one.state.schedule.farSince = undefined as unknown as number;
  one.update(20_010);
  assert.equal(one.high(), "123");
  assert.equal(one.state.throttle.isLifted, false, "the main thread finds out");
});

Deno.test("memory.high stays where others depend on the limit, and after it was restored", () => {
  using shared = throttled();
  shared.state.scope = { ...shared.state.scope, path: "/a" };
  shared.update(2000);
  assert.equal(shared.high(), SET);
  using restored = throttled();
  restored.state.settings.memoryHigh = undefined as unknown as { before: string; set: string };
  restored.update(2000);
  assert.equal(restored.high(), SET);
});
