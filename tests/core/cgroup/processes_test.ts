import assert from "node:assert/strict";
import { isEmpty } from "../../../core/control/kill.ts";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover, inInitialPidNamespace } from "../../../core/cgroup/hierarchy.ts";
import { inspect } from "../../../core/cgroup/inspection.ts";
import {
  cgroupOfKilled,
  listProcesses,
  pidsOf,
  readCandidate,
  readIdentity,
  readProcess,
} from "../../../core/cgroup/processes.ts";
import { whyNoRealCgroup } from "../../helpers/real_cgroup.ts";
import { makeTree } from "../../helpers/trees.ts";
import { libc } from "../../../core/kernel/libc.ts";

// Loaded once for all tests.
libc();

Deno.test("pids are unique and sorted, without those of other pid namespaces", () => {
  using tree = makeTree(1, { "/a": { "cgroup.procs": "30\n7\n0\n30\nx\n" } });
  assert.deepEqual(pidsOf(openCgroup(discover(tree.dir), "/a")!), [7, 30]);
});

Deno.test("a cgroup without a readable cgroup.procs does not count as empty", () => {
  using tree = makeTree(2, {
    "/a": { "cgroup.procs": `${Deno.ppid}\n` },
    "/a/b": { "cgroup.procs": undefined },
    "/a/c": { "cgroup.procs": "12" },
  });
  const a = openCgroup(discover(tree.dir), "/a")!;
  assert.deepEqual(listProcesses(a).unread, ["/a/b", "/a/c"]);
  const { members, limitations } = inspect(a, 10, { memory: {} })!;
  assert.equal(members?.total, undefined);
  assert.ok(limitations.includes("processes of /a/b: its cgroup.procs cannot be read"));
});

Deno.test("processes of a threaded cgroup are listed in its domain", () => {
  using tree = makeTree(2, {
    "/a": { "cgroup.procs": `${Deno.ppid}\n` },
    "/a/b": { "cgroup.procs": undefined, "cgroup.type": "threaded" },
  });
  const a = openCgroup(discover(tree.dir), "/a")!;
  assert.deepEqual(listProcesses(a).unread, []);
  assert.equal(inspect(a, 10, { memory: {} })?.members?.total, 1);
  assert.equal(isEmpty(a, { pids: new Set([Deno.ppid]) }), true);
});

Deno.test("a cgroup that was replaced by another of the same name is empty", () => {
  using tree = makeTree(2, { "/a": { "cgroup.procs": `${Deno.ppid}\n` } });
  const a = openCgroup(discover(tree.dir), "/a")!;
  assert.equal(isEmpty(a, { pids: new Set() }), false);
  tree.add("/b", { "cgroup.procs": `${Deno.ppid}\n` });
  tree.remove("/a");
  Deno.renameSync(`${tree.dir}/b`, `${tree.dir}/a`);
  assert.equal(isEmpty(a, { pids: new Set() }), true);
});

Deno.test("the identity of a process is that of a candidate", () => {
  const { comm, cmdline, oomScoreAdj } = readCandidate(Deno.pid, "/a", true)!;
  const identity = { pid: Deno.pid, comm: "", cmdline, oomScoreAdj, cgroup: "/a" };
  assert.deepEqual(readIdentity(Deno.pid, "/a", false), identity);
  assert.deepEqual(readIdentity(Deno.pid, "/a", true), { ...identity, comm, cmdline: [] });
  assert.equal(readIdentity(2 ** 22 + 1, "/a", true), undefined);
});

Deno.test("a torn pid is ignored: it would be another process", () => {
  using tree = makeTree(1, { "/a": { "cgroup.procs": "7\n1234" } });
  assert.deepEqual(pidsOf(openCgroup(discover(tree.dir), "/a")!), [7]);
});

Deno.test("readProcess reads what the kernel ranks by", () => {
  const self = readProcess(Deno.pid, "/a")!;
  assert.equal(self.pid, Deno.pid);
  assert.equal(self.cgroup, "/a");
  assert.ok(self.rss! > 1024 ** 2);
  assert.ok(self.pageTables! > 0);
  assert.ok(self.startTime > 0n);
  assert.equal(self.nsPids.at(-1), Deno.pid);
  assert.ok(self.cmdline.length > 1);
  assert.equal(readProcess(2147483647, "/a"), undefined);
});

Deno.test("a subtree's processes have their own cgroup; this program is left out and hidden ones are counted", () => {
  using tree = makeTree(2, {
    "/a": { "cgroup.procs": "0\n0\n2147483647\n" },
    "/a/b": { "cgroup.procs": `${Deno.ppid}\n${Deno.pid}\n` },
  });
  const { processes, hiddenProcesses } = listProcesses(openCgroup(discover(tree.dir), "/a")!);
  assert.deepEqual(processes.map(({ pid, cgroup }) => [pid, cgroup]), [[Deno.ppid, "/a/b"]]);
  assert.equal(hiddenProcesses, 3);
});

const why = whyNoRealCgroup() ??
  (inInitialPidNamespace() ? undefined : "pids of the kernel log are unknown here");

Deno.test({
  name: `a live process is found by pid and comm, and not by a pid of another process${
    why ? ` (not run: ${why})` : ""
  }`,
  ignore: why !== undefined,
  fn() {
    const hierarchy = discover();
    const comm = Deno.readTextFileSync("/proc/self/comm").trimEnd();
    assert.equal(cgroupOfKilled(Deno.pid, comm, hierarchy), hierarchy.own);
    assert.equal(cgroupOfKilled(Deno.pid, "another", hierarchy), undefined);
    assert.equal(cgroupOfKilled(2 ** 22 + 1, comm, hierarchy), undefined);
  },
});
