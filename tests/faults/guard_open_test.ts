/** What the monitor loop does when one read or system call fails. */

import assert from "node:assert/strict";
import type { Report } from "../../core/guard/thread/protocol.ts";
import type { JoinedEpoll } from "../../core/kernel/epoll.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";
import { type GuardedTree, guardTree } from "../helpers/guarded_tree.ts";
import { startWaitingProcesses } from "../helpers/waiting_processes.ts";
import { type Moment, pidfdOf, type Wound } from "./injection.ts";
import { hurt } from "./sweep.ts";

const failing = (
  path: string,
  moment: Moment,
  errno: number,
  part: Partial<Wound> = {},
): Wound => ({
  path,
  fault: { name: `errno ${errno}`, moment, errno },
  from: 1,
  ...part,
});

/** The limit is found without faults. @returns what the loop reported. */
function reportsWith(guarded: GuardedTree, wound: Wound): readonly Report[] {
  const limit = guarded.limit();
  const { outcome } = hurt(() => guarded.run(limit), [wound]);
  assert.ok("result" in outcome, String("thrown" in outcome && outcome.thrown));
  return outcome.result.reports;
}

const victimsOf = (reports: readonly Report[]) =>
  reports.flatMap((report) => report.type === "kill" ? report.kill.victim?.pid ?? [] : []);

for (const metric of ["usage", "working-set"] as const) {
  Deno.test(`no process is killed for page cache that cannot be read, by ${metric}`, async () => {
    await using processes = startWaitingProcesses();
    const memory = { usage: 63.5, inactiveFile: 40, pids: processes.pids };
    using guarded = guardTree(2, memory, { metric });
    const stat = `${guarded.cgroup.dir}/memory.stat`;
    assert.deepEqual(victimsOf(reportsWith(guarded, failing(stat, "read", 5))), []);
  });
}

for (const errno of [4, 5, 12]) {
  Deno.test(`one read that fails with errno ${errno} does not end the guard of a cgroup`, async () => {
    await using processes = startWaitingProcesses();
    const [pid] = processes.pids;
    using guarded = guardTree(2, { usage: 63.875, inactiveFile: 0, pids: [pid] });
    const usage = `${guarded.cgroup.dir}/memory.current`;
    const reports = reportsWith(guarded, failing(usage, "read", errno, { times: 1 }));
    assert.ok(!reports.some(({ type }) => type === "gone"), Deno.inspect(reports));
    assert.ok(victimsOf(reports).includes(pid), Deno.inspect(reports));
  });
}

// EPERM of a seccomp filter, EMFILE, ENOMEM
for (const errno of [1, 24, 12]) {
  Deno.test(`a process that cannot be pinned (errno ${errno}) is passed over`, async () => {
    await using processes = startWaitingProcesses();
    const [one, other] = processes.pids;
    using guarded = guardTree(2, { usage: 63.875, inactiveFile: 0, pids: processes.pids });
    const reports = reportsWith(guarded, failing(pidfdOf(one), "open", errno));
    assert.deepEqual(victimsOf(reports), [other]);
  });
}

// EPERM, ENOMEM, ENOSPC
for (const code of ["EPERM", "ENOMEM", "ENOSPC"]) {
  Deno.test(`a guard polls, and says so, when memory.events cannot be waited for (${code})`, async () => {
    await using processes = startWaitingProcesses();
    const [pid] = processes.pids;
    using guarded = guardTree(2, { usage: 63.875, inactiveFile: 0, pids: [pid] });
    const reports: Report[] = [];
    const refusing: JoinedEpoll = {
      add(fd) {
        throw new SystemCallError("epoll_ctl", code, fd.path);
      },
      remove() {},
      block: () => ({ events: [], woken: 0 }),
    };
    const { limitOwner, ...limit } = guarded.limit()!;
    // Only the kernel's own file can be waited for.
    const hierarchy = { ...limitOwner.hierarchy, kernel: true };
    const loop = guarded.startLoop(refusing, (report) => void reports.push(report), {
      ...limit,
      limitOwner: { ...limitOwner, hierarchy },
    });
    try {
      for (let polls = 0; polls < 4; polls++) loop.runOnce();
    } finally {
      loop.close();
    }
    const [fallback] = reports.filter((report) => report.type === "fallback");
    assert.deepEqual([fallback!.requested, fallback!.fallback], [
      "memory.events notification",
      "poll",
    ]);
    assert.ok(victimsOf(reports).includes(pid), Deno.inspect(reports));
  });
}
