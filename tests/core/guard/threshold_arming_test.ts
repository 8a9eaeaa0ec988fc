import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { ArmingQueue, CgroupArming, disarm } from "../../../core/guard/threshold_arming.ts";
import type { GuardSettings } from "../../../core/guard/thread/protocol.ts";
import { openEpoll } from "../../../core/kernel/epoll.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { makeTree } from "../../helpers/trees.ts";

// Stays loaded; within a test that would count as a leak.
libc();

const settings: GuardSettings = {
  policy: 0,
  limit: 100_000_000,
  levelBytes: { warn: 65_000_000, critical: 90_000_000, imminent: 98_000_000 },
  mode: "notify",
  oomTotalBytes: 100_000_000,
  canSwap: false,
  eventfds: [],
};

/** A cgroup that takes registrations, as if it were the kernel's, and what was written by them. */
function armingOf(sharesEventfds: boolean, isWanted = () => true) {
  const tree = makeTree(1, {
    "/a": {
      "memory.usage_in_bytes": 0,
      "memory.pressure_level": "",
      "cgroup.event_control": "",
    },
  });
  const epoll = openEpoll();
  const hierarchy = { ...discover(tree.dir), kernel: true };
  const context = {
    epoll,
    sharesEventfds,
    onFallback: (_: unknown, { reason }: { reason: string }) => assert.fail(reason),
  };
  const cgroup = openCgroup(hierarchy, "/a")!;
  const arming = new CgroupArming(context, cgroup, settings, true, isWanted);
  /** The thresholds or pressure level of the file, each write of which begins at the start. */
  const written = () => Deno.readTextFileSync(`${cgroup.dir}/cgroup.event_control`);
  return {
    arming,
    written,
    [Symbol.dispose]() {
      disarm(arming.armed);
      epoll[Symbol.dispose]();
      tree[Symbol.dispose]();
    },
  };
}

Deno.test("the lowest threshold is armed first, and levels above it are to be polled until all are", async () => {
  using cgroup = armingOf(true);
  const { arming } = cgroup;
  await arming.armLowest();
  assert.match(cgroup.written(), /^\d+ \d+ 65000000$/);
  const { eventfds, unarmed } = arming.notifications([]);
  assert.equal(eventfds.length, 1);
  assert.deepEqual(unarmed, { from: 65_000_000, hasLevels: true });
  assert.ok(arming.isAboveLowest(65_000_000) && !arming.isAboveLowest(64_999_999));
  await arming.armThresholds();
  // Only the notification of reclaim is left, which matters only above a level.
  assert.deepEqual(arming.notifications([]), {
    eventfds,
    unarmed: { from: 65_000_000, hasLevels: false },
  });
  await arming.armPressure();
  const all = arming.notifications([]);
  assert.deepEqual(all.eventfds.map((each) => each.isReclaimNotification), [false, true]);
  assert.equal(all.unarmed, undefined);
});

Deno.test("each threshold has an eventfd of its own where the kernel may crash otherwise", async () => {
  using cgroup = armingOf(false);
  const { arming } = cgroup;
  await arming.armLowest();
  await arming.armThresholds();
  // warn, critical, imminent, and one that is early enough for it.
  assert.equal(new Set(arming.armed.map(({ token }) => token)).size, 4);
});

Deno.test("what is armed when it is not wanted any more is disarmed", async () => {
  let isWanted = true;
  using cgroup = armingOf(true, () => isWanted);
  const lowest = cgroup.arming.armLowest();
  isWanted = false;
  await lowest;
  assert.deepEqual(cgroup.arming.armed, []);
});

const LATER = 20;

/** Lets all that is due run. */
const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("what is nearest its limit is armed first, and what is not urgent last", async () => {
  const queue = new ArmingQueue();
  const order: string[] = [];
  const ends: (() => void)[] = [];
  const add = (name: string, headroom: number, isUrgent: boolean) =>
    queue.add(headroom, isUrgent, async () => {
      order.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
    });
  const busy = Array.from({ length: 64 }, (_, n) => add(`busy ${n}`, 0, true));
  const jobs = [
    add("later", 1, false),
    add("far", 100, true),
    add("promoted", 10, false),
    add("near", 2, true),
  ];
  jobs[2]!.promote();
  await settle();
  assert.equal(order.length, 64);
  while (order.length < 68) {
    ends.shift()?.();
    await settle();
  }
  assert.deepEqual(order.slice(64), ["near", "promoted", "far", "later"]);
  for (const end of ends) end();
  await Promise.all([...busy, ...jobs].map(({ done }) => done));
});

Deno.test("work that is not urgent leaves room for urgent work", async () => {
  const queue = new ArmingQueue();
  let running = 0;
  const ends: (() => void)[] = [];
  const work = async () => {
    running += 1;
    await new Promise<void>((resolve) => ends.push(resolve));
  };
  const jobs = Array.from({ length: 2 * LATER }, () => queue.add(0, false, work));
  await settle();
  assert.equal(running, LATER);
  jobs.push(queue.add(1000, true, work));
  await settle();
  assert.equal(running, LATER + 1);
  while (running < jobs.length || ends.length > 0) {
    ends.shift()?.();
    await settle();
  }
  await Promise.all(jobs.map(({ done }) => done));
});
