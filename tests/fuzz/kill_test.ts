/**
 * The kill steps in a dry run, over a fake cgroup with usage, page cache and processes that change at each poll. Every reported
 * kill must be right, and every descriptor must be closed at the end.
 */

import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import type { GuardPolicy } from "../../core/guard/policy.ts";
import { resolvePolicy } from "../../core/guard/policy.ts";
import {
  type CgroupState,
  closeCgroupState,
  openCgroupState,
} from "../../core/guard/thread/cgroup_state.ts";
import { KillExecutor } from "../../core/guard/thread/kill_executor.ts";
import { type CgroupSpec, flatten, type Report } from "../../core/guard/thread/protocol.ts";
import { WARM_UP_POLICY } from "../../core/guard/thread/warmup.ts";
import { libc } from "../../core/kernel/libc.ts";
import { parseReclaimStat } from "../../core/parse/cgroupfs.ts";
import { startKillCycle } from "../../core/policy/kill_cycle.ts";
import { levelBytesOf, levelOf, NOTIFY_MARGIN } from "../../core/policy/levels.ts";
import { updateTrend } from "../../core/policy/usage_trend.ts";
import { makeTree } from "../helpers/trees.ts";
import { startWaitingProcesses } from "../helpers/waiting_processes.ts";
import { fc } from "./cases.ts";
import { MIB } from "../helpers/observations.ts";

// Loaded once for all tests.
libc();

const LIMIT = 64 * MIB;
const levelBytes = levelBytesOf(LIMIT, { warn: 65, critical: 90, margin: NOTIFY_MARGIN })!;

const share = fc.oneof(
  fc.double({ min: 0, max: 1.1, noNaN: true }),
  fc.double({ min: 0.97, max: 1, noNaN: true }),
);
const moment = fc.record({
  usage: share,
  cache: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  isThere: fc.boolean(),
});
const settings = fc.record({
  action: fc.constantFrom("process", "container"),
  metric: fc.constantFrom("usage", "working-set"),
  graceMs: fc.constantFrom(0, 50),
  reclaimFirst: fc.boolean(),
});

const openFiles = () => [...Deno.readDirSync("/proc/self/fd")].length;

/** Polls as `core/guard/thread/loop.ts` does. */
function poll(state: CgroupState, killExecutor: KillExecutor): void {
  const { memory, decision } = state;
  const now = performance.now();
  updateTrend(memory, state.files.usageFile.number()!, now);
  const reached = levelOf(levelBytes, memory.usage);
  if (!decision.killCycle && reached === "imminent" && now >= decision.retryAt) {
    decision.killCycle = startKillCycle(now);
    decision.killLevel = reached;
  }
  if (decision.killCycle) {
    const pollAt = killExecutor.runStep(state, now);
    assert.ok(pollAt >= now && pollAt <= now + 1000, `${pollAt - now} ms`);
  } else if (reached) killExecutor.prepareSelection(state, now, reached, false);
}

Deno.test("for any readings, only allowed processes are killed, only above the level, and no descriptor stays open", async () => {
  type Three = readonly [number, number, number];
  await using processes = startWaitingProcesses<Three>(3);
  const [own, fair, kept] = processes.pids;
  using tree = makeTree(2, {
    "/a": { "memory.max": LIMIT, "cgroup.procs": `${own}\n${fair}\n` },
    "/a/kept": { "cgroup.procs": `${kept}\n` },
  });
  const cgroup = openCgroup(discover(tree.dir), "/a")!;
  const spec: CgroupSpec = {
    id: 1,
    policy: 0,
    limitOwner: flatten(cgroup),
    scope: flatten(cgroup),
    limit: LIMIT,
    levelBytes,
    mode: "notify",
    oomTotalBytes: LIMIT,
    canSwap: false,
    eventfds: [],
  };
  const before = openFiles();
  fc.assert(
    fc.property(settings, fc.array(moment, { maxLength: 12 }), (settings, moments) => {
      const { action, metric, graceMs, reclaimFirst } = settings;
      const policy: GuardPolicy = {
        ...WARM_UP_POLICY,
        metric: metric as GuardPolicy["metric"],
        dryRun: true,
        killSettings: { countSwap: true, reclaimFirst, graceMs, exitTimeoutMs: 500 },
        actions: { warn: [], critical: [], imminent: [{ kind: action as "process" }] },
        protectedPids: new Set([own]),
      };
      const state = openCgroupState(spec, resolvePolicy(policy))!;
      const reports: Report[] = [];
      const killExecutor = new KillExecutor({
        states: () => [state],
        isExcluded: (path) => path === "/a/kept",
        report: (report) => void reports.push(report),
      });
      for (const { usage, cache, isThere } of moments) {
        const bytes = Math.floor(LIMIT * usage);
        const file = cache === undefined ? undefined : Math.floor(bytes * cache);
        const stat = file === undefined ? "" : `inactive_file ${file}\nactive_file 0\n`;
        tree.write("/a", "memory.current", bytes);
        tree.write("/a", "memory.stat", stat);
        tree.write("/a", "cgroup.procs", isThere ? `${own}\n${fair}\n` : `${own}\n`);
        const first = reports.length;
        poll(state, killExecutor);
        for (const report of reports.slice(first)) {
          if (report.type !== "kill") continue;
          const { outcome, victim, usage_before: before } = report.kill;
          assert.ok(before >= levelBytes.imminent && before === bytes, `at ${before} of ${bytes}`);
          // A reading of memory.stat within the last millisecond counts.
          const { inactiveFile = 0 } = parseReclaimStat(report.stat, 4096);
          const value = metric === "usage" ? bytes : bytes - inactiveFile;
          assert.ok(value >= levelBytes.imminent, `the ${metric} is ${value}`);
          if (outcome === "dry_run") assert.equal(victim?.pid, isThere ? fair : undefined);
          else assert.equal(outcome, "failed");
          assert.equal(state.decision.killCycle, undefined);
        }
      }
      killExecutor.finish(state, performance.now());
      closeCgroupState(state);
    }),
  );
  assert.equal(openFiles(), before);
});
