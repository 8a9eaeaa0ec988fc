import assert from "node:assert/strict";
import { type GuardPolicy, singlePolicy } from "../../../../core/guard/policy.ts";
import type { MonitorLoop } from "../../../../core/guard/thread/loop.ts";
import type { Report } from "../../../../core/guard/thread/protocol.ts";
import { WARM_UP_POLICY } from "../../../../core/guard/thread/warmup.ts";
import type { JoinedEpoll } from "../../../../core/kernel/epoll.ts";
import { delay } from "../../../../core/timing.ts";
import { libc, SystemCallError } from "../../../../core/kernel/libc.ts";
import { type GuardedTree, guardTree, idleEpoll, LIMIT } from "../../../helpers/guarded_tree.ts";
import { stateOf } from "../../../helpers/process_state.ts";
import { startWaitingProcesses } from "../../../helpers/waiting_processes.ts";

// Loaded once for all tests.
libc();

const MIB = 1024 ** 2;
/** process_mrelease(2) runs on a thread of its own, and nothing waits for its end. */
const killing = { sanitizeOps: false };

/** Time passes only while the loop waits. */
function fakeClock(): { readonly epoll: JoinedEpoll; now(): number } & Disposable {
  const real = performance.now;
  let now = 0;
  performance.now = () => now;
  return {
    now: () => now,
    epoll: {
      ...idleEpoll,
      block(milliseconds) {
        now += milliseconds;
        return { events: [], woken: 0 };
      },
    },
    [Symbol.dispose]: () => void (performance.now = real),
  };
}

Deno.test("a cgroup is polled when it is due, with no turn before that", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] }, { poll: 700 });
  const reports: [Report["type"], number][] = [];
  const loop = guarded.startLoop(
    clock.epoll,
    ({ type }) => void reports.push([type, clock.now()]),
  );
  try {
    // Polls at 0 and 700, then at 1400: nothing is due at 1000, where a round could be.
    while (clock.now() < 700) loop.runOnce();
    assert.deepEqual(reports, []);
    guarded.tree.write("/a", "memory.usage_in_bytes", LIMIT - 16 * MIB);
    while (reports.length === 0 && clock.now() < 5000) loop.runOnce();
    assert.deepEqual(reports, [["level_reached", 1400]]);
  } finally {
    loop.close();
  }
});

const TOKEN = 7;
const NOTIFIED = { eventfds: [{ token: TOKEN, isReclaimNotification: false }] };
const MINUTE = 60_000;

/** How many turns a loop makes in ten minutes, after the first one. */
function turnsIn(loop: MonitorLoop, clock: ReturnType<typeof fakeClock>): number {
  while (clock.now() < MINUTE) loop.runOnce();
  let turns = 0;
  for (; clock.now() < 11 * MINUTE; turns++) loop.runOnce();
  return turns;
}

Deno.test("a loop without cgroups makes a turn every 5 s", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] });
  const loop = guarded.startLoop(clock.epoll, () => {});
  loop.remove(1);
  assert.equal(turnsIn(loop, clock), 120);
  loop.close();
});

Deno.test("a notified cgroup with the same usage for 10 s is polled every 5 s", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] });
  const loop = guarded.startLoop(clock.epoll, () => {});
  loop.updateSettings(1, NOTIFIED);
  let turns = 0;
  for (; clock.now() < 10_000; turns++) loop.runOnce();
  // Every 0.2 s before.
  assert.ok(turns > 45, `${turns} turns`);
  assert.equal(turnsIn(loop, clock), 120);
  // More memory than that of a cgroup at rest.
  guarded.tree.write("/a", "memory.usage_in_bytes", 10 * MIB);
  const from = clock.now();
  turns = 0;
  for (; clock.now() < from + 15_000; turns++) loop.runOnce();
  assert.ok(turns > 45, `${turns} turns`);
  loop.close();
});

Deno.test("a cgroup without notifications has no rest", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] });
  const loop = guarded.startLoop(clock.epoll, () => {});
  assert.equal(turnsIn(loop, clock), 10 * MINUTE / 50);
  loop.close();
});

/** A loop with a throttled cgroup, as the kernel's. */
function throttledLoop(
  clock: ReturnType<typeof fakeClock>,
  guarded: GuardedTree,
  epoll: Partial<JoinedEpoll> = {},
): MonitorLoop {
  const found = guarded.limit()!;
  const { limitOwner } = found;
  const hierarchy = { ...limitOwner.hierarchy, kernel: true };
  const kernels = { ...found, limitOwner: { ...limitOwner, hierarchy } };
  const loop = guarded.startLoop({ ...clock.epoll, ...epoll }, () => {}, kernels);
  loop.updateSettings(1, { mode: "throttle", memoryHigh: { before: "max", set: "1" } });
  return loop;
}

const killsAtImminent = {
  actions: { warn: [], critical: [], imminent: [{ kind: "process" }] },
} as const;

Deno.test("a throttled cgroup at rest is polled every second, and more often once it grows", () => {
  using clock = fakeClock();
  using guarded = guardTree(2, { usage: 8, inactiveFile: 0, pids: [] }, killsAtImminent);
  const loop = throttledLoop(clock, guarded);
  assert.equal(turnsIn(loop, clock), 600);
  guarded.tree.write("/a", "memory.current", 10 * MIB);
  const from = clock.now();
  let turns = 0;
  for (; clock.now() < from + 5000; turns++) loop.runOnce();
  assert.ok(turns > 75, `${turns} turns`);
  loop.close();
});

const critical = { ...killsAtImminent.actions, critical: [{ kind: "signal", argument: "TERM" }] };
const refused: Partial<JoinedEpoll> = {
  add(fd) {
    throw new SystemCallError("epoll_ctl", "ENOSPC", fd.path);
  },
};
for (
  const [why, policy, epoll] of [
    ["an action at a lower level", { actions: critical as GuardPolicy["actions"] }, {}],
    ["a requested interval", { ...killsAtImminent, poll: 50 }, {}],
    ["no notification of memory.events", killsAtImminent, refused],
  ] as const
) {
  Deno.test(`a throttled cgroup with ${why} has no rest`, () => {
    using clock = fakeClock();
    using guarded = guardTree(2, { usage: 8, inactiveFile: 0, pids: [] }, policy);
    const loop = throttledLoop(clock, guarded, epoll);
    assert.equal(turnsIn(loop, clock), 10 * MINUTE / 50);
    loop.close();
  });
}

Deno.test("a cgroup of which memory.high was restored has no rest", () => {
  using clock = fakeClock();
  using guarded = guardTree(2, { usage: 8, inactiveFile: 0, pids: [] }, killsAtImminent);
  const loop = throttledLoop(clock, guarded);
  loop.leaveToKernel(1);
  assert.equal(turnsIn(loop, clock), 10 * MINUTE / 50);
  loop.close();
});

Deno.test("growth after a rest counts as growth of the last 0.2 s", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] });
  const reports: Report[] = [];
  let isNotified = false;
  const epoll: JoinedEpoll = {
    ...clock.epoll,
    block(milliseconds) {
      // Just before the next poll.
      const wakes = clock.epoll.block(isNotified ? milliseconds - 1 : milliseconds);
      return isNotified ? { ...wakes, events: [{ token: TOKEN, events: 1 }] } : wakes;
    },
  };
  const loop = guarded.startLoop(epoll, (report) => void reports.push(report));
  loop.updateSettings(1, NOTIFIED);
  while (clock.now() < MINUTE) loop.runOnce();
  guarded.tree.write("/a", "memory.usage_in_bytes", 48 * MIB);
  isNotified = true;
  loop.runOnce();
  const [report] = reports;
  assert.ok(report?.type === "level_reached");
  assert.equal(report.body.rate, 40 * MIB / 0.2);
  loop.close();
});

Deno.test("usage above the lowest threshold is polled each millisecond until the levels above it are armed", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] });
  const reports: Report["type"][] = [];
  const loop = guarded.startLoop(clock.epoll, ({ type }) => void reports.push(type));
  const eventfds = [{ token: 1, isReclaimNotification: false }];
  const unarmed = { from: LIMIT / 2, hasLevels: true };
  try {
    loop.updateNotifications(1, { eventfds, unarmed });
    while (clock.now() < 2000) loop.runOnce();
    assert.deepEqual(reports, []);
    guarded.tree.write("/a", "memory.usage_in_bytes", LIMIT / 2);
    loop.updateNotifications(1, { eventfds, unarmed });
    for (let n = 0; n < 5; n++) loop.runOnce();
    assert.ok(clock.now() < 2010, `${clock.now()}`);
    // Once, however often it is polled.
    assert.deepEqual(reports, ["unarmed_reached"]);
    loop.updateNotifications(1, { eventfds, unarmed: undefined });
    for (let n = 0; n < 5; n++) loop.runOnce();
    assert.ok(clock.now() > 2500, `${clock.now()}`);
    assert.deepEqual(reports, ["unarmed_reached"]);
  } finally {
    loop.close();
  }
});

Deno.test("a directory is open only near a level", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [] });
  const loop = guarded.startLoop(clock.epoll, () => {});
  const openFiles = () =>
    [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
      const path = linkOf(`/proc/self/fd/${name}`);
      return path?.startsWith(`${guarded.tree.dir}/a`) ? [path.slice(guarded.tree.dir.length)] : [];
    }).sort();
  const write = (usage: number) => {
    guarded.tree.write("/a", "memory.usage_in_bytes", usage);
    for (const end = clock.now() + 3000; clock.now() < end;) loop.runOnce();
  };
  try {
    write(9 * MIB);
    assert.deepEqual(openFiles(), ["/a/memory.usage_in_bytes"]);
    write(LIMIT - 4 * MIB);
    assert.ok(openFiles().includes("/a"));
    write(9 * MIB);
    write(10 * MIB);
    assert.deepEqual(openFiles(), ["/a/memory.usage_in_bytes"]);
  } finally {
    loop.close();
  }
});

/** `undefined` for the descriptor that read the directory. */
function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

Deno.test(
  "a kill just before the guard ends is reported, with the outcome killed",
  killing,
  async () => {
    await using processes = startWaitingProcesses();
    const [pid] = processes.pids;
    using guarded = guardTree(1, { usage: 64, inactiveFile: 0, pids: [pid] }, { dryRun: false });
    const reports: Report[] = [];
    const loop = guarded.startLoop(idleEpoll, (report) => void reports.push(report));
    for (let n = 0; n < 100 && !isKilled(pid); n++) loop.runOnce();
    loop.close();
    const [kill] = reports.flatMap((report) => report.type === "kill" ? [report.kill] : []);
    assert.equal(kill?.victim?.pid, pid);
    assert.equal(kill.outcome, "killed");
  },
);

Deno.test(
  "the other allocators are stopped while the victim of an urgent kill exits",
  killing,
  async () => {
    using clock = fakeClock();
    await using processes = startWaitingProcesses();
    using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: processes.pids }, {
      dryRun: false,
      killSettings: { countSwap: true, reclaimFirst: false, graceMs: 0, exitTimeoutMs: 500 },
    });
    const loop = guarded.startLoop(clock.epoll, () => {});
    try {
      loop.runOnce();
      guarded.tree.write("/a", "memory.usage_in_bytes", LIMIT - MIB / 8);
      while (!processes.pids.some(isKilled) && clock.now() < 5000) loop.runOnce();
      const [other] = processes.pids.filter((pid) => !isKilled(pid));
      await until(() => isStopped(other!));
      loop.close();
      await until(() => !isStopped(other!));
    } finally {
      loop.close();
    }
  },
);

const REFUSED_RECLAIM = [
  "reclaim",
  "failed",
  "the kernel has neither memory.reclaim nor memory.force_empty",
];

/** A loop in the middle of a reclaim that was refused, and the actions that it reports. */
function startReclaiming(clock: ReturnType<typeof fakeClock>) {
  const guarded = guardTree(2, { usage: 8, inactiveFile: 7, pids: [] }, {
    dryRun: false,
    killSettings: { countSwap: true, reclaimFirst: true, graceMs: 0, exitTimeoutMs: 500 },
  });
  const actions: unknown[] = [];
  const loop = guarded.startLoop(clock.epoll, (report) => {
    if (report.type !== "event" || report.body.type !== "action") return;
    actions.push([report.body.action, report.body.outcome, report.body.reason]);
  });
  loop.runOnce();
  guarded.tree.write("/a", "memory.current", LIMIT);
  guarded.tree.write("/a", "memory.stat", `inactive_file ${LIMIT - 4 * MIB}\nactive_file 0\n`);
  while (clock.now() < 500) loop.runOnce();
  assert.deepEqual(actions, []);
  return {
    guarded,
    loop,
    actions,
    [Symbol.dispose]() {
      loop.close();
      guarded[Symbol.dispose]();
    },
  };
}

Deno.test("a reclaim that the kernel refuses has failed, with the reason", () => {
  using clock = fakeClock();
  using reclaiming = startReclaiming(clock);
  const { guarded, loop, actions } = reclaiming;
  guarded.tree.write("/a", "memory.current", 8 * MIB);
  while (clock.now() < 1000) loop.runOnce();
  assert.deepEqual(actions, [REFUSED_RECLAIM]);
});

Deno.test("a reclaim is reported when the policy changes, not with a later kill cycle", () => {
  using clock = fakeClock();
  using reclaiming = startReclaiming(clock);
  const { loop, actions } = reclaiming;
  loop.reload(singlePolicy(WARM_UP_POLICY));
  loop.updateSettings(1, {});
  loop.runOnce();
  assert.deepEqual(actions, [REFUSED_RECLAIM]);
});

for (const dryRun of [true, false]) {
  const what = dryRun ? "a dry run" : "a reclaim that is refused";
  Deno.test(`after ${what} the kernel's figures count, because nothing was reclaimed`, () => {
    using clock = fakeClock();
    using guarded = guardTree(2, { usage: 8, inactiveFile: 7, pids: [Deno.pid] }, {
      dryRun,
      killSettings: { countSwap: true, reclaimFirst: true, graceMs: 0, exitTimeoutMs: 500 },
    });
    const reports: Report[] = [];
    const loop = guarded.startLoop(clock.epoll, (report) => void reports.push(report));
    try {
      guarded.tree.write("/a", "memory.current", LIMIT);
      const stat = `inactive_file ${LIMIT - 4 * MIB}\nactive_file 0\npgsteal 5\n`;
      guarded.tree.write("/a", "memory.stat", stat);
      while (clock.now() < 3000) loop.runOnce();
    } finally {
      loop.close();
    }
    assert.ok(!reports.some(({ type }) => type === "kill"));
    const skipped = reports.flatMap((report) =>
      report.type === "event" && report.body.type === "action_skipped" ? [report.body.reason] : []
    );
    assert.deepEqual(skipped, ["reclaimable_cache"]);
  });
}

Deno.test("memory that no reclaim frees, and that is no reason to kill, is reported once per cooldown", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [Deno.pid] }, {
    dryRun: false,
    triggerPolicy: { hysteresis: 0.05, cooldown: 10_000, repeat: false },
    killSettings: { countSwap: true, reclaimFirst: true, graceMs: 0, exitTimeoutMs: 500 },
  });
  const reports: string[] = [];
  const loop = guarded.startLoop(clock.epoll, (report) => {
    if (report.type === "event" && "reason" in report.body) reports.push(report.body.type);
    else if (report.type === "kill") reports.push("kill");
  });
  try {
    loop.runOnce();
    guarded.tree.write("/a", "memory.kmem.usage_in_bytes", 60 * MIB);
    guarded.tree.write("/a", "memory.usage_in_bytes", LIMIT - MIB / 8);
    while (clock.now() < 35_000) loop.runOnce();
  } finally {
    loop.close();
  }
  assert.deepEqual(reports, Array(4).fill(["action", "action_skipped"]).flat());
});

Deno.test("that no process may be killed is reported once per cooldown, however often usage swings", () => {
  using clock = fakeClock();
  using guarded = guardTree(2, { usage: 8, inactiveFile: 0, pids: [] }, {
    dryRun: false,
    triggerPolicy: { hysteresis: 0.05, cooldown: 10_000, repeat: false },
  });
  const reasons: (string | null)[] = [];
  const loop = guarded.startLoop(clock.epoll, (report) => {
    if (report.type === "kill") reasons.push(report.kill.reason);
  });
  try {
    for (let round = 0; clock.now() < 35_000; round++) {
      guarded.tree.write("/a", "memory.current", round % 2 ? LIMIT : 8 * MIB);
      for (const end = clock.now() + 1000; clock.now() < end;) loop.runOnce();
    }
  } finally {
    loop.close();
  }
  assert.deepEqual(reasons, Array(4).fill("no process in the cgroup may be killed"));
});

Deno.test("nothing is killed at a limit that was raised just before, and again once it is as known", () => {
  using clock = fakeClock();
  using guarded = guardTree(2, { usage: 8, inactiveFile: 0, pids: [Deno.pid] });
  const kills: Report[] = [];
  const loop = guarded.startLoop(clock.epoll, (report) => {
    if (report.type === "kill") kills.push(report);
  });
  try {
    guarded.tree.write("/a", "memory.max", 2 * LIMIT);
    guarded.tree.write("/a", "memory.current", LIMIT);
    while (clock.now() < 1000) loop.runOnce();
    assert.deepEqual(kills, []);
    guarded.tree.write("/a", "memory.max", LIMIT);
    while (clock.now() < 5000) loop.runOnce();
    assert.ok(kills.length > 0);
  } finally {
    loop.close();
  }
});

Deno.test("nothing is killed while memory.stat cannot be read, because all of usage may be page cache", () => {
  using guarded = guardTree(2, { usage: 64, inactiveFile: 0, pids: [Deno.pid] });
  guarded.tree.write("/a", "memory.stat", "");
  const { reports } = guarded.run();
  const bodies = reports.flatMap((report) => report.type === "event" ? [report.body] : []);
  assert.ok(!reports.some(({ type }) => type === "kill"));
  assert.ok(bodies.some((body) => body.type === "action_skipped" && body.reclaimable === null));
});

Deno.test("on an unknown usage nothing is done, and after 2 s it is reported", () => {
  using clock = fakeClock();
  using guarded = guardTree(1, { usage: 8, inactiveFile: 0, pids: [Deno.pid] });
  // A counter of the kernel that fell below zero.
  guarded.tree.write("/a", "memory.usage_in_bytes", "18446744073709543424\n");
  const reports: Report[] = [];
  const reportedAt: number[] = [];
  const loop = guarded.startLoop(clock.epoll, (report) => {
    reports.push(report);
    reportedAt.push(clock.now());
  });
  try {
    while (clock.now() < 4000) loop.runOnce();
    assert.ok(reportedAt[0]! >= 2000, `reported after ${reportedAt[0]} ms`);
    const [report] = reports;
    assert.ok(report?.type === "fallback" && report.affects === "cgroup", report?.type);
    assert.equal(report.reason, "its memory usage is unknown");
    const before = reports.length;
    guarded.tree.write("/a", "memory.usage_in_bytes", LIMIT - 16 * MIB);
    while (clock.now() < 8000 && reports.length === before) loop.runOnce();
    assert.deepEqual(reports.slice(before).map(({ type }) => type), ["level_reached"]);
  } finally {
    loop.close();
  }
});

/** A signal takes effect when the process runs next. */
async function until(isSo: () => boolean): Promise<void> {
  for (let n = 0; n < 1000 && !isSo(); n++) await delay(1);
  assert.ok(isSo());
}

const isStopped = (pid: number) => stateOf(pid) === "T";
const statusOf = (pid: number) => Deno.readTextFileSync(`/proc/${pid}/status`);

/** SIGKILL is pending, or the process has exited. */
const isKilled = (pid: number) => {
  const status = statusOf(pid);
  const pending = /^ShdPnd:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return /^State:\s+[ZX]/m.test(status) || (BigInt(`0x${pending}`) >> 8n & 1n) === 1n;
};
