import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { inspect, type Inspection } from "../../core/cgroup/inspection.ts";
import { readMachine } from "../../core/cgroup/machine.ts";
import { OomkitError } from "../../core/errors.ts";
import { type Files, makeTree } from "../helpers/trees.ts";
import { startWaitingProcesses } from "../helpers/waiting_processes.ts";
import type { Access } from "./injection.ts";
import { isAbsence, isUndetectable } from "./kinds.ts";
import { sweep } from "./sweep.ts";
import { untrue } from "./reported.ts";

const STALL = "avg10=1.00 avg60=2.00 avg300=3.00 total=4567890\n";

/** No value is zero, so a zero is wrong. */
const FILES: Readonly<Record<1 | 2, (limit: number, usage: number) => Files>> = {
  1: (limit, usage) => ({
    "memory.usage_in_bytes": usage,
    "memory.max_usage_in_bytes": usage + 4096,
    "memory.limit_in_bytes": limit,
    "memory.soft_limit_in_bytes": limit - 8192,
    "memory.failcnt": 17,
    "memory.kmem.usage_in_bytes": 40960,
    "memory.kmem.tcp.usage_in_bytes": 8192,
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 12\n",
    "memory.stat":
      "cache 1228800\nrss 819200\nshmem 12288\ninactive_file 409600\nactive_file 204800\n" +
      `hierarchical_memory_limit ${limit}\n` +
      "total_cache 1228800\ntotal_rss 819200\ntotal_shmem 12288\n" +
      "total_inactive_file 409600\ntotal_active_file 204800\n",
  }),
  2: (limit, usage) => ({
    "cgroup.events": "populated 1\nfrozen 0\n",
    "memory.current": usage,
    "memory.peak": usage + 4096,
    "memory.max": limit,
    "memory.high": limit - 8192,
    "memory.low": 16384,
    "memory.min": 12288,
    "memory.swap.current": 28672,
    "memory.swap.max": 33554432,
    "memory.events": "low 11\nhigh 12\nmax 13\noom 14\noom_kill 15\noom_group_kill 16\n",
    "memory.events.local": "low 21\nhigh 22\nmax 23\noom 24\noom_kill 25\noom_group_kill 26\n",
    "memory.oom.group": 1,
    "memory.pressure": `some ${STALL}full ${STALL}`,
    "memory.stat": "anon 819200\nfile 1228800\nkernel 40960\nshmem 12288\n" +
      "inactive_file 409600\nactive_file 204800\n",
  }),
};

const candidatesOf = (found: Inspection | undefined) =>
  found?.forecast?.candidates.map(({ process }) => process);

const MIB = 1024 ** 2;

/** Fields that depend on other values or differ with each read. */
const VARYING = new Set([
  ..."badness rss swap pageTables oomScore oomScoreAdj startTime comm cmdline state nsPids".split(
    " ",
  ),
  ..."oomKill free available buffers cached swapFree activeFile inactiveFile shmem slabReclaimable"
    .split(
      " ",
    ),
]);

for (const version of [1, 2] as const) {
  Deno.test(`v${version}: an inspection shows true values or none under any fault, and names the file`, async () => {
    await using crowd = startWaitingProcesses();
    const { pids } = crowd;
    using tree = makeTree(version, {
      "/a": FILES[version](64 * MIB, 40 * MIB),
      "/a/b": {
        ...FILES[version](32 * MIB, 20 * MIB),
        "cgroup.procs": pids.map((pid) => `${pid}\n`).join(""),
      },
    });
    const run = () => {
      const cgroup = openCgroup(discover(tree.dir), "/a/b");
      const machine = readMachine();
      return { found: cgroup && inspect(cgroup, 10, machine), machine };
    };
    const truth = run();
    const concerns = ({ path }: Access) =>
      path.startsWith(tree.dir) || /^\/proc\/(meminfo|vmstat|pressure\/.*|self\/.*)$/.test(path) ||
      pids.some((pid) => path.startsWith(`/proc/${pid}/`));
    const { tried } = sweep(run, ({ path, fault }, outcome) => {
      if ("thrown" in outcome) {
        const { thrown } = outcome;
        assert.ok(thrown instanceof OomkitError, String(thrown));
        return assert.ok(thrown.message.includes(path) || isAbsence(fault), thrown.message);
      }
      const { found, machine } = outcome.result;
      const { ancestry, members, invalidFiles, limitations, snapshot, cgroup } = found ?? {};
      assert.deepEqual(untrue(truth.machine, { ...machine, pressure: undefined }, VARYING), []);
      assert.deepEqual(untrue(truth.found?.snapshot, snapshot), []);
      assert.deepEqual(untrue(truth.found?.ancestry.chain, ancestry?.chain), []);
      const { total, hiddenProcesses: unseen = 0, processes } = members ?? {};
      assert.deepEqual(untrue(truth.found?.members?.processes, processes, VARYING), []);
      assert.deepEqual(untrue(candidatesOf(truth.found), candidatesOf(found), VARYING), []);
      assert.equal(cgroup?.path ?? "/a/b", "/a/b");
      // If the tighter limit cannot be read, another one seems to count, and the limit is uncertain.
      const { limit, certain } = ancestry ?? {};
      const isTrue = limit === undefined || limit.bytes === truth.found?.ancestry.limit.bytes;
      if (!isTrue && !isAbsence(fault)) assert.equal(certain, false, `${limit.bytes}`);
      if (found === undefined || isUndetectable(fault, path)) return;
      assert.ok(
        total === undefined || total + unseen === pids.length,
        `${total} of ${pids.length}`,
      );
      if (!path.startsWith(`${tree.dir}/a/b/`) || isAbsence(fault)) return;
      const lines = [...invalidFiles ?? [], ...limitations ?? []].join("\n");
      const isLess = untrue(snapshot, truth.found?.snapshot).length > 0;
      if (isLess) assert.ok(lines.includes(path), `no line names ${path}: ${lines}`);
    }, concerns);
    assert.ok(tried > 500, String(tried));
  });
}
