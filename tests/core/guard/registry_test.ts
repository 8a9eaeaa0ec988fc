import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { Journal } from "../../../core/control/journal.ts";
import type { GuardPolicy } from "../../../core/guard/policy.ts";
import { type GuardedCgroup, GuardRegistry } from "../../../core/guard/registry.ts";
import type { ArmedNotifications } from "../../../core/guard/thread/protocol.ts";
import { WARM_UP_POLICY } from "../../../core/guard/thread/warmup.ts";
import { openEpoll } from "../../../core/kernel/epoll.ts";
import { libc } from "../../../core/kernel/libc.ts";
import { makeTree } from "../../helpers/trees.ts";

// Stays loaded; within a test that would count as a leak.
libc();

const LIMIT = 256 * 1024 ** 2;

/** A pod that is throttled, and its container, which has no limit of its own. */
function throttledPod() {
  const tree = makeTree(2, {
    "/pod": { "memory.max": LIMIT, "memory.high": "max" },
    "/pod/c": { "memory.max": "max" },
  });
  const state = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const epoll = openEpoll();
  const policy: GuardPolicy = {
    ...WARM_UP_POLICY,
    dryRun: false,
    mode: "throttle",
    actions: { warn: [], critical: [], imminent: [{ kind: "process" }] },
  };
  const armed: GuardedCgroup[] = [];
  const registry = new GuardRegistry({
    policies: { all: [policy], rules: [], labels: new Map() },
    epoll,
    journal: new Journal(state),
    send: () => {},
    onArmed: (guarded) => void armed.push(guarded),
    onRestored: () => {},
    onFallback: (_, { reason }) => assert.fail(reason),
    onFallbacksEnd: () => {},
    onError: (error) => assert.fail(String(error)),
  });
  const hierarchy = discover(tree.dir);
  const update = () => {
    for (const path of ["/pod", "/pod/c"]) registry.update(openCgroup(hierarchy, path)!, true);
  };
  update();
  assert.deepEqual(armed.map(({ settings }) => settings.mode), ["throttle", "throttle"]);
  return {
    registry,
    armed,
    update,
    high: () => Deno.readTextFileSync(`${tree.dir}/pod/memory.high`).trim(),
    write: (text: string) => Deno.writeTextFileSync(`${tree.dir}/pod/memory.high`, text),
    [Symbol.dispose]() {
      registry.close();
      epoll[Symbol.dispose]();
      tree[Symbol.dispose]();
      Deno.removeSync(state, { recursive: true });
    },
  };
}

Deno.test("a memory.high that was lifted stays so for all cgroups that depend on the limit", () => {
  using pod = throttledPod();
  const [owner] = pod.armed;
  pod.registry.setThrottleLifted(owner!, true);
  pod.write("max");
  pod.update();
  assert.equal(pod.high(), "max");
  assert.equal(pod.armed.length, 2);
  pod.registry.setThrottleLifted(owner!, false);
  pod.update();
  assert.notEqual(pod.high(), "max", "another program has undone it");
});

Deno.test("a memory.high that was lifted when nothing could be killed is set again later", () => {
  using pod = throttledPod();
  const [owner] = pod.armed;
  pod.registry.setThrottleLifted(owner!, true);
  pod.registry.leaveToKernel(owner!.id);
  pod.write("max");
  pod.update();
  assert.notEqual(pod.high(), "max");
});

Deno.test("a removed cgroup is known for a minute, in which the report of a kill in it may come", () => {
  using pod = throttledPod();
  const { id, cgroup } = pod.armed[0]!;
  const real = performance.now;
  using _ = { [Symbol.dispose]: () => void (performance.now = real) };
  const from = real.call(performance);
  const isKnown = (after: number) => {
    performance.now = () => from + after;
    pod.registry.forgetRemoved();
    return pod.registry.getIncludingRemoved(id) !== undefined;
  };
  performance.now = () => from;
  pod.registry.remove(cgroup.path);
  assert.deepEqual([0, 59_000, 60_000].map(isKnown), [true, true, false]);
});

Deno.test("until levels are armed on v1 they are to be polled, and not where a poll is asked for", async () => {
  for (const poll of [undefined, 50]) {
    using tree = makeTree(1, {
      "/a": {
        "memory.limit_in_bytes": LIMIT,
        "memory.usage_in_bytes": 0,
        "cgroup.event_control": "",
      },
    });
    using epoll = openEpoll();
    const state = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    const levels = { warn: 65, critical: 90, margin: {} };
    const policy = { ...WARM_UP_POLICY, levels, ...(poll && { poll }) };
    const sent: ArmedNotifications["unarmed"][] = [];
    const registry = new GuardRegistry({
      policies: { all: [policy], rules: [], labels: new Map() },
      epoll,
      journal: new Journal(state),
      send: (command) => {
        if (command.type === "add") sent.push(command.spec.unarmed);
        if (command.type === "update_settings") sent.push(command.settings.unarmed);
        if (command.type === "armed") sent.push(command.notifications.unarmed);
      },
      onArmed: () => {},
      onRestored: () => {},
      onFallback: (_, { reason }) => assert.fail(reason),
      onFallbacksEnd: () => {},
      onError: (error) => assert.fail(String(error)),
    });
    const hierarchy = discover(tree.dir);
    const unarmed = (limit: number) => ({ from: Math.floor(limit * 65 / 100), hasLevels: true });
    registry.update(openCgroup(hierarchy, "/a")!, true);
    assert.deepEqual(sent.splice(0), [poll ? undefined : unarmed(LIMIT)]);
    await registry.armed();
    assert.deepEqual(sent.splice(0, 1), poll ? [] : [unarmed(LIMIT)]);
    tree.write("/a", "memory.limit_in_bytes", LIMIT / 2);
    sent.length = 0;
    registry.update(openCgroup(hierarchy, "/a")!, true);
    assert.deepEqual(sent.splice(0), [poll ? undefined : unarmed(LIMIT / 2)]);
    await registry.armed();
    registry.close();
    Deno.removeSync(state, { recursive: true });
  }
});
