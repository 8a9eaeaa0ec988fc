import assert from "node:assert/strict";
import { OomkitError } from "../../core/errors.ts";
import type { Report } from "../../core/guard/thread/protocol.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";
import { type GuardedTree, guardTree, LIMIT } from "../helpers/guarded_tree.ts";
import { startWaitingProcesses } from "../helpers/waiting_processes.ts";
import type { Access } from "./injection.ts";
import { isUndetectable } from "./kinds.ts";
import { hurt, substitute, sweep } from "./sweep.ts";

const versions = [1, 2] as const;
const killsOf = (reports: readonly Report[]) =>
  reports.flatMap((report) => report.type === "kill" ? [report.kill] : []);

/** Only declared errors may be thrown. */
function assertDeclared(thrown: unknown, path: string): void {
  assert.ok(thrown instanceof OomkitError || thrown instanceof SystemCallError, String(thrown));
  assert.ok(thrown.message.includes(path), `${thrown.message} does not name ${path}`);
}

/** Files of the cgroup and of its processes, not those above it or of the machine. */
const concerns = ({ tree }: GuardedTree, pids: readonly number[]) => ({ path }: Access) =>
  path.startsWith(tree.dir) || path === "/proc/meminfo" ||
  pids.some((pid) => path.startsWith(`/proc/${pid}/`));

for (const version of versions) {
  for (const softLimit of [false, true]) {
    const limits = softLimit ? "a soft limit" : "a limit";
    Deno.test(`v${version}: whatever is misread, no process is killed far from ${limits}`, async () => {
      await using processes = startWaitingProcesses();
      const { pids } = processes;
      using guarded = guardTree(version, { usage: 30, inactiveFile: 4, pids }, { softLimit });
      const truth = guarded.run();
      assert.deepEqual(truth.reports, []);
      const { tried } = sweep(() => guarded.run(), (wound, outcome) => {
        if ("thrown" in outcome) return assertDeclared(outcome.thrown, wound.path);
        const { reports, limit } = outcome.result;
        assert.deepEqual(killsOf(reports), []);
        assert.ok(reports.every(({ type }) => type !== "level_reached"), Deno.inspect(reports));
        // The soft limit may be unreadable; a limit below the true ones would be made up.
        assert.ok(limit === undefined || limit === truth.limit || limit === LIMIT, String(limit));
      }, concerns(guarded, pids));
      assert.ok(tried > 100, String(tried));
    });
  }
}

for (const version of versions) {
  Deno.test(`v${version}: whatever is misread, no excluded process is killed, and the report is true`, async () => {
    await using processes = startWaitingProcesses();
    const { pids } = processes;
    const [one, excluded] = pids;
    // This close to the limit the first process that may be killed is.
    const memory = { usage: 63.875, inactiveFile: 0, pids: [excluded, one] };
    using guarded = guardTree(version, memory);
    // A torn read of this value would exclude nothing.
    const score = substitute(`/proc/${excluded}/oom_score_adj`, "-1000\n");
    const allowed = new Set<number | undefined>([one, undefined]);
    const { tried } = sweep(
      () => guarded.run(),
      (wound, outcome) => {
        if ("thrown" in outcome) return assertDeclared(outcome.thrown, wound.path);
        for (
          const { victim, usage_before: before, limit, candidates } of killsOf(
            outcome.result.reports,
          )
        ) {
          if (isUndetectable(wound.fault, wound.path)) continue;
          assert.ok(allowed.has(victim?.pid), `${victim?.pid} for ${one}, excluded: ${excluded}`);
          assert.equal(before, 63.875 * 1024 ** 2);
          assert.equal(limit, LIMIT);
          for (const { pid, rss } of candidates) {
            assert.ok(pids.includes(pid));
            assert.notEqual(rss, 0);
          }
        }
      },
      concerns(guarded, pids),
      score,
    );
    assert.ok(tried > 100, String(tried));
    const { outcome: truth } = hurt(() => guarded.run(), score);
    assert.ok("result" in truth);
    assert.deepEqual(killsOf(truth.result.reports).map(({ victim }) => victim?.pid), [one]);
  });
}

for (const [metric, cache] of [["working-set", "idle cache"], ["usage", "cache"]] as const) {
  Deno.test(`full of ${cache} by its ${metric}, no process is killed, whatever but memory.stat is misread`, async () => {
    await using processes = startWaitingProcesses();
    const { pids } = processes;
    using guarded = guardTree(2, { usage: 63.5, inactiveFile: 40, pids }, { metric });
    assert.deepEqual(killsOf(guarded.run().reports), []);
    const others = concerns(guarded, pids);
    sweep(() => guarded.run(), (wound, outcome) => {
      if ("thrown" in outcome) return assertDeclared(outcome.thrown, wound.path);
      assert.deepEqual(killsOf(outcome.result.reports), []);
    }, (access) => others(access) && !access.path.endsWith("/memory.stat"));
  });
}

Deno.test("a process is not killed when the file that may exclude it cannot be read", async () => {
  await using processes = startWaitingProcesses();
  const [one, other] = processes.pids;
  const preferences = { prefer: [], avoid: [], ignore: [/^keep me$/] };
  // This close to the limit the first process that may be killed is.
  const memory = { usage: 63.875, inactiveFile: 0, pids: [other, one] };
  using guarded = guardTree(1, memory, { preferences });
  for (const file of ["oom_score_adj", "cmdline"]) {
    for (const moment of ["open", "read"] as const) {
      for (const errno of [3, 5, 13]) {
        const fault = { name: `errno ${errno}`, moment, errno };
        const wounds = [{ path: `/proc/${other}/${file}`, fault, from: 1 }];
        const { outcome } = hurt(() => guarded.run(), wounds);
        assert.ok("result" in outcome);
        const victims = killsOf(outcome.result.reports).map(({ victim }) => victim?.pid);
        assert.deepEqual(victims, [one], `${file}, ${moment}, ${errno}`);
      }
    }
  }
});
