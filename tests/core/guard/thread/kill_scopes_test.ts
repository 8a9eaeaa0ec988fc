/** Which processes and cgroups are victims of a kill for the machine. */

import assert from "node:assert/strict";
import { type Cgroup, openCgroup } from "../../../../core/cgroup/cgroup.ts";
import { tryReadText, unlessRefused } from "../../../../core/cgroup/files.ts";
import { discover, showsMachine } from "../../../../core/cgroup/hierarchy.ts";
import { MACHINE_FILES } from "../../../../core/cgroup/machine.ts";
import { isEmpty, killCgroup, SIGKILL } from "../../../../core/control/kill.ts";
import { policyOfMachine } from "../../../../core/guard/policy.ts";
import {
  NOTHING_KNOWN,
  selectVictims,
  type VictimSelection,
} from "../../../../core/guard/thread/victim_selection.ts";
import type { Essential } from "../../../../core/policy/victims.ts";
import { WARM_UP_POLICY } from "../../../../core/guard/thread/warmup.ts";
import { libc } from "../../../../core/kernel/libc.ts";
import { until } from "../../../helpers/guarded.ts";
import { makeTree, type Tree } from "../../../helpers/trees.ts";
import {
  hasStarted,
  isRunning,
  startWaitingProcesses,
} from "../../../helpers/waiting_processes.ts";

// Loaded once for all tests.
libc();

const SESSION = "/user.slice/session.scope";
const CONTAINER = `/kubepods/pod1/${"a".repeat(64)}`;

/** The victims of the machine that `root` is of. */
function selectIn(root: Cgroup, essentials: Essential[] = []): VictimSelection {
  const actions = { warn: [], critical: [], imminent: [{ kind: "container" }] } as const;
  const selection = selectVictims({ ...root, machine: MACHINE_FILES }, {
    policy: policyOfMachine({ ...WARM_UP_POLICY, actions }, essentials),
    isExcluded: () => false,
    limitOwner: { ...root, machine: MACHINE_FILES },
    oomTotalBytes: 2 ** 34,
    outOfTime: () => false,
    usage: () => 0,
    signalled: new Set(),
    known: NOTHING_KNOWN,
  })!;
  selection.close();
  return selection;
}

const hierarchy = unlessRefused(discover);

Deno.test("kernel threads are no processes that exit, which a kill would wait for", {
  ignore: hierarchy === undefined || !showsMachine(hierarchy),
}, () => {
  const { exiting } = selectIn(openCgroup(hierarchy!, "/")!);
  const parent = exiting && /^PPid:\t(.*)$/m.exec(tryReadText(`/proc/${exiting.pid}/status`) ?? "");
  assert.notEqual(parent?.[1], "2");
  assert.notEqual(exiting?.pid, 2);
});

const linesOf = (pids: readonly number[]) => pids.map((pid) => `${pid}\n`).join("");

type Cgroups = Readonly<Record<string, readonly number[]>>;

function treeOf(cgroups: Cgroups): Tree {
  const files = Object.entries(cgroups).map(([path, pids]) =>
    [path, { "cgroup.procs": linesOf(pids) }] as const
  );
  return makeTree(2, Object.fromEntries(files));
}

/** What is killed with each process as a container, by pid. */
function containersIn({ dir }: Tree, essentials: Essential[] = []) {
  const { victims } = selectIn(openCgroup(discover(dir), "/")!, essentials);
  return new Map(victims.map(({ pid, killScopes }) => [pid, killScopes.container]));
}

Deno.test("with a process its container is killed, else its own cgroup, and never the root", async () => {
  await using processes = startWaitingProcesses<[number, number, number]>(3);
  const [inRoot, inSession, inContainer] = processes.pids;
  using tree = treeOf({
    "/": [inRoot],
    "/user.slice": [],
    [SESSION]: [inSession],
    "/kubepods": [],
    "/kubepods/pod1": [],
    [CONTAINER]: [],
    [`${CONTAINER}/inner`]: [inContainer],
  });
  const containers = containersIn(tree);
  assert.equal(containers.get(inRoot), undefined);
  assert.equal(containers.get(inSession)?.cgroup.path, SESSION);
  assert.equal(containers.get(inContainer)?.cgroup.path, CONTAINER);
});

/** An essential program of these tests. */
const ESSENTIAL = [{ name: "sleep", expression: /sleep 600$/ }];

async function startEssential(): Promise<AsyncDisposable & { readonly pid: number }> {
  const child = new Deno.Command("sleep", { args: ["600"] }).spawn();
  await until("it has a command line", hasStarted(child.pid));
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      if (isRunning(child.pid)) child.kill("SIGKILL");
      await child.status;
    },
  };
}

Deno.test("an essential program in the cgroup of a victim is spared", async () => {
  await using processes = startWaitingProcesses();
  await using essential = await startEssential();
  const [first] = processes.pids;
  using tree = treeOf({ "/user.slice": [], [SESSION]: [first, essential.pid] });
  const container = containersIn(tree, ESSENTIAL).get(first)!;
  assert.deepEqual([...container.spared.pids], [essential.pid]);
});

Deno.test("an essential program that has joined the cgroup of a victim since is spared", async () => {
  await using processes = startWaitingProcesses();
  const [first, later] = processes.pids;
  using tree = treeOf({ "/user.slice": [], [SESSION]: [first] });
  const { cgroup, spared } = containersIn(tree, ESSENTIAL).get(first)!;
  await using essential = await startEssential();
  tree.write(SESSION, "cgroup.procs", linesOf([first, later, essential.pid]));
  assert.equal(killCgroup(cgroup, SIGKILL, false, spared, false), undefined);
  await until("the others have exited", () => ![first, later].some(isRunning));
  assert.ok(isRunning(essential.pid));
  tree.write(SESSION, "cgroup.procs", linesOf([essential.pid]));
  assert.ok(isEmpty(cgroup, spared));
});

Deno.test("several victims in one container, or in a group, have one scope", async () => {
  await using processes = startWaitingProcesses();
  const [first, second] = processes.pids;
  using tree = treeOf({
    "/kubepods": [],
    "/kubepods/pod1": [],
    [CONTAINER]: [],
    [`${CONTAINER}/a`]: [first],
    [`${CONTAINER}/b`]: [second],
  });
  const containers = containersIn(tree);
  assert.ok(containers.get(first) === containers.get(second));
  tree.write("/kubepods", "memory.oom.group", 1);
  const groups = containersIn(tree);
  assert.equal(groups.get(first)?.cgroup.path, "/kubepods");
  assert.ok(groups.get(first) === groups.get(second));
});
