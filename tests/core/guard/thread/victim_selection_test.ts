import assert from "node:assert/strict";
import { openCgroup } from "../../../../core/cgroup/cgroup.ts";
import { discover } from "../../../../core/cgroup/hierarchy.ts";
import { readCandidate } from "../../../../core/cgroup/processes.ts";
import { isStillMember } from "../../../../core/control/kill.ts";
import type { GuardPolicy } from "../../../../core/guard/policy.ts";
import { CgroupRanking } from "../../../../core/guard/thread/cgroup_ranking.ts";
import {
  byBadnessNow,
  NOTHING_KNOWN,
  type SelectionContext,
  selectVictims,
} from "../../../../core/guard/thread/victim_selection.ts";
import { WARM_UP_POLICY } from "../../../../core/guard/thread/warmup.ts";
import { libc } from "../../../../core/kernel/libc.ts";
import { setAttribute } from "../../../helpers/real_cgroup.ts";
import { makeTree } from "../../../helpers/trees.ts";
import { startWaitingProcesses } from "../../../helpers/waiting_processes.ts";

// Loaded once for all tests.
libc();

/** Two processes, and a directory laid out like a cgroup that contains them. */
function makeCgroup() {
  const processes = startWaitingProcesses();
  const { pids } = processes;
  const list = (...pids: readonly number[]) => pids.map((pid) => `${pid}\n`).join("");
  const tree = makeTree(2, { "/a": { "cgroup.procs": list(...pids) } });
  return {
    cgroup: openCgroup(discover(tree.dir), "/a")!,
    pids,
    write: (...pids: readonly number[]) => tree.write("/a", "cgroup.procs", list(...pids)),
    async [Symbol.asyncDispose]() {
      await processes[Symbol.asyncDispose]();
      tree[Symbol.dispose]();
    },
  };
}

/** A parent with two cgroups of one process each. */
const makeSiblings = (a: number, b: number) =>
  makeTree(2, {
    "/p": {},
    "/p/a": { "cgroup.procs": `${a}\n` },
    "/p/b": { "cgroup.procs": `${b}\n` },
  });

const enoughTime: Omit<SelectionContext, "limitOwner"> = {
  policy: WARM_UP_POLICY,
  isExcluded: () => false,
  oomTotalBytes: 2 ** 30,
  outOfTime: () => false,
  usage: () => 0,
  signalled: new Set(),
  known: NOTHING_KNOWN,
};

function selectedPids(
  { cgroup }: ReturnType<typeof makeCgroup>,
  selectionContext: Partial<SelectionContext> = {},
) {
  const selection = selectVictims(cgroup, {
    ...enoughTime,
    limitOwner: cgroup,
    ...selectionContext,
  });
  selection?.close();
  return selection?.victims.map(({ pid }) => pid).sort();
}

Deno.test("all processes are selected while there is time, and one when there is none", async () => {
  await using made = makeCgroup();
  assert.deepEqual(selectedPids(made), [...made.pids].sort());
  assert.equal(selectedPids(made, { outOfTime: () => true })?.length, 1);
});

Deno.test("a process that is already signalled is not selected", async () => {
  await using made = makeCgroup();
  const [one, other] = made.pids;
  const context = { signalled: new Set([one]), outOfTime: () => true };
  assert.deepEqual(selectedPids(made, context), [other]);
});

Deno.test("without time the selection still continues until it has found a process that may be killed", async () => {
  await using made = makeCgroup();
  const [one, other] = made.pids;
  const policy = { ...WARM_UP_POLICY, protectedPids: new Set([one]) };
  assert.deepEqual(selectedPids(made, { policy, outOfTime: () => true }), [other]);
});

for (
  const [what, preferences, attribute] of [
    ["past processes that are to be avoided", { avoid: [/a$/] }],
    ["until it has found a process that is preferred", { prefer: [/b$/] }],
    ["until it has found a process in a cgroup that is preferred", {}, "user.oomd_prefer"],
  ] as const
) {
  Deno.test(`without time the selection continues ${what}`, async () => {
    await using made = makeCgroup();
    const [one, other] = made.pids;
    using tree = makeSiblings(one!, other!);
    if (attribute) setAttribute(`${tree.dir}/p/b`, attribute, "1");
    const cgroup = openCgroup(discover(tree.dir), "/p")!;
    const policy = {
      ...WARM_UP_POLICY,
      preferences: { ...WARM_UP_POLICY.preferences, ...preferences },
    };
    const selection = selectVictims(cgroup, {
      ...enoughTime,
      policy,
      limitOwner: cgroup,
      outOfTime: () => true,
    })!;
    selection.close();
    assert.equal(selection.victims[0]?.pid, other);
  });
}

Deno.test("no process is selected when the kernel's victim is outside of the guarded cgroup", async () => {
  await using made = makeCgroup();
  const scope = { ...made.cgroup, path: "/elsewhere" };
  const selection = selectVictims(scope, { ...enoughTime, limitOwner: made.cgroup })!;
  assert.deepEqual(selection.victims, []);
  assert.ok(made.pids.includes(selection.outside!.pid));
  selection.close();
});

Deno.test("without time to read all again, the process that the kernel would have killed first still counts", async () => {
  await using made = makeCgroup();
  const [one, other] = made.pids;
  using tree = makeSiblings(one!, other!);
  const at = (path: string) => openCgroup(discover(tree.dir), path)!;
  const [limitOwner, scope] = [at("/p"), at("/p/a")];
  const preferences = { ...WARM_UP_POLICY.preferences, prefer: [/b$/] };
  const context = { ...enoughTime, policy: { ...WARM_UP_POLICY, preferences }, limitOwner };
  const before = selectVictims(scope, context)!;
  assert.equal(before.outside?.pid, other);
  const again = selectVictims(scope, { ...context, known: before.known, outOfTime: () => true })!;
  assert.equal(again.outside?.pid, other);
});

Deno.test("without time, processes outside are read until none of them can be larger than the one inside", async () => {
  await using made = makeCgroup();
  const [one, other] = made.pids;
  using tree = makeSiblings(one!, other!);
  const at = (path: string) => openCgroup(discover(tree.dir), path)!;
  const rssOf = (pid: number) => readCandidate(pid, "", false)!.rss!;
  const pidsRead = (usage: number) => {
    const context = { ...enoughTime, limitOwner: at("/p"), outOfTime: () => true };
    const selection = selectVictims(at("/p/a"), { ...context, usage: () => usage })!;
    selection.close();
    return [...selection.known.rssByPid.keys()];
  };
  assert.deepEqual(pidsRead(1.5 * rssOf(one)), [one]);
  assert.deepEqual(pidsRead(4 * rssOf(one)), [one, other]);
});

Deno.test("nothing is selected in a cgroup that was replaced by another of the same name", async () => {
  await using made = makeCgroup();
  const replaced = { ...made.cgroup, inode: made.cgroup.inode + 1 };
  assert.equal(selectVictims(replaced, { ...enoughTime, limitOwner: replaced }), undefined);
});

const groupKill = {
  ...WARM_UP_POLICY,
  actions: { warn: [], critical: [], imminent: [{ kind: "container" }] },
} as const;

/** The selection in two cgroups of which the first uses more swap. */
function selectBySwap(swapping: number, other: number, policy: Partial<GuardPolicy> = {}) {
  const swap = (bytes: number) => ({ "memory.swap.current": bytes });
  using tree = makeTree(2, {
    "/p": {},
    "/p/a": { ...swap(2 ** 40), "cgroup.procs": `${swapping}\n`, "memory.oom.group": 1 },
    "/p/b": { ...swap(2 ** 39), "cgroup.procs": `${other}\n` },
  });
  const cgroup = openCgroup(discover(tree.dir), "/p")!;
  const selection = selectVictims(cgroup, {
    ...enoughTime,
    policy: { ...WARM_UP_POLICY, ...policy },
    limitOwner: cgroup,
    ranking: new CgroupRanking(cgroup, "swap"),
  })!;
  selection.close();
  return selection;
}

Deno.test("with an order of cgroups the process of the first cgroup is killed, whatever its size", async () => {
  await using made = makeCgroup();
  for (const [one, other] of [made.pids, [...made.pids].reverse()]) {
    const { victims, candidates } = selectBySwap(one!, other!);
    assert.deepEqual(victims.map(({ pid }) => pid), [one, other]);
    assert.deepEqual(byBadnessNow(victims).map(({ pid }) => pid), [one, other]);
    assert.deepEqual(candidates.map(({ cgroup_rank }) => cgroup_rank), [
      { by: "swap", place: 1, value: 2 ** 40 },
      { by: "swap", place: 2, value: 2 ** 39 },
    ]);
  }
});

Deno.test("a process that is to be avoided is last also in the first cgroup", async () => {
  await using made = makeCgroup();
  const [one, other] = made.pids;
  const preferences = { ...WARM_UP_POLICY.preferences, avoid: [/a$/] };
  const { victims } = selectBySwap(one!, other!, { preferences });
  assert.deepEqual(victims.map(({ pid }) => pid), [other, one]);
});

Deno.test("a container in a cgroup with memory.oom.group is killed with all of that", async () => {
  await using made = makeCgroup();
  const [one, other] = made.pids;
  const container = "c".repeat(64);
  using tree = makeTree(2, {
    "/p": {},
    "/p/service": { "memory.oom.group": 1 },
    [`/p/service/${container}`]: { "cgroup.procs": `${one}\n` },
    [`/p/${container}`]: { "cgroup.procs": `${other}\n` },
  });
  const cgroup = openCgroup(discover(tree.dir), "/p")!;
  const selection = selectVictims(cgroup, {
    ...enoughTime,
    policy: groupKill,
    limitOwner: cgroup,
  })!;
  selection.close();
  const killed = selection.victims.map(({ pid, killScopes }) =>
    [pid, killScopes.container?.cgroup.path] as const
  );
  assert.deepEqual(new Map(killed), new Map([[one, "/p/service"], [other, `/p/${container}`]]));
});

Deno.test("a victim that has left the cgroup is recognized", async () => {
  await using made = makeCgroup();
  const selection = selectVictims(made.cgroup, { ...enoughTime, limitOwner: made.cgroup })!;
  const [victim] = selection.victims;
  assert.equal(isStillMember(victim!), true);
  made.write(...made.pids.filter((pid) => pid !== victim!.pid));
  assert.equal(isStillMember(victim!), false);
  selection.close();
});
