/** More cgroups than a process may have open files for, and many that fill up at once. */

import assert from "node:assert/strict";
import {
  feedSlowly,
  isKillAction,
  kernelKills,
  killActionsOf,
  startGuarded,
  WIDE,
} from "../helpers/guarded.ts";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import { eatToDeath, kernelTest, killOf, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import type { Json } from "../helpers/event_stream.ts";
import { startWatched } from "../helpers/watched.ts";

const DESCRIPTORS = 256;
const program = ["prlimit", `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`, ...oomkit()];

/** With a limit each. @returns the last of them in the order in which they are found. */
function populate(parent: RealCgroup): { readonly count: number; readonly last: RealCgroup } {
  // An emulated machine makes no thousand in time, and it is v2 that is emulated.
  const count = parent.version === 1 ? 1000 : 300;
  const children = Array.from({ length: count }, (_, n) => parent.child(`n${n + 1000}`));
  for (const child of children) child.limit(32 * MIB);
  return { count, last: children.at(-1)! };
}

const openFiles = (pid: number) => [...Deno.readDirSync(`/proc/${pid}/fd`)].length;

const shortages = (events: readonly Json[]) =>
  ofType(events, "degraded").filter(({ reason }) => reason.includes("RLIMIT_NOFILE"));

/** One line for each thing that gives way, however many cgroups it gives way in. */
function assertToldOnce(events: readonly Json[]): void {
  const requested = shortages(events).map(({ requested }) => requested);
  assert.deepEqual(requested, [...new Set(requested)]);
  for (const { reason } of shortages(events)) assert.match(reason, new RegExp(`${DESCRIPTORS}`));
}

kernelTest("a watch follows more cgroups than it may have open files", async () => {
  await using parent = makeRealCgroup("crowd");
  const { last } = populate(parent);
  await using watched = await startWatched(["-r", parent.path], program);
  const spare = DESCRIPTORS - openFiles(watched.pid);
  assert.ok(spare >= DESCRIPTORS / 4, `${spare} of ${DESCRIPTORS} are to spare`);
  last.limit(16 * MIB);
  await watched.next(({ type, cgroup, to }) =>
    type === "limit_changed" && cgroup === last.path && to === 16 * MIB
  );
  const { pid } = await eatToDeath(last);
  const kill = await watched.next(killOf(pid));
  assert.equal(kill.cgroup, last.path);
  const events = await watched.stop();
  assertToldOnce(events);
  assert.equal(shortages(events).length, parent.version === 1 ? 1 : 0);
});

kernelTest("a guard guards more cgroups than it may have open files", async () => {
  await using parent = makeRealCgroup("crowd");
  const { count, last } = populate(parent);
  await using process = await startHungryProcess(last);
  const flags = ["--policy", "process", ...WIDE];
  await using guarded = await startGuarded([...flags, "-r", parent.path], { program });
  const spare = DESCRIPTORS - openFiles(guarded.pid);
  assert.ok(spare >= DESCRIPTORS / 4, `${spare} of ${DESCRIPTORS} are to spare`);
  await feedSlowly(process, () => guarded.events.some(isKillAction));
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.cgroup, action.victim.pid, action.outcome], [
    last.path,
    process.pid,
    "killed",
  ]);
  assert.equal(kernelKills(last), 0);
  const events = await guarded.stop();
  assert.equal(killActionsOf(events).length, 1);
  const guardedOnes = new Set(ofType(events, "guard_armed").map(({ cgroup }) => cgroup));
  assert.equal(guardedOnes.size, count);
  assertToldOnce(events);
  assert.ok(
    shortages(events).some(({ fallback }) => fallback === "control files opened at each poll"),
  );
});

const BURST = 200;
const SMALL = 8 * MIB;
/** Fed to each in turn. */
const BITE = 128 * 1024;

/** All of them together, until all are dead: so that they come to their limits one soon after the other. */
async function feedToDeath(processes: readonly HungryProcess[]): Promise<void> {
  const alive = new Set(processes);
  const bite = async (process: HungryProcess, bytes: number) => {
    await process.feed(bytes).catch(() => alive.delete(process));
  };
  // In the order of their names; the first is ahead by half of the limit.
  const ahead = processes.map((process, n) => bite(process, SMALL * (1 - n / BURST) / 2));
  await Promise.all(ahead);
  while (alive.size > 0) await Promise.all([...alive].map((process) => bite(process, BITE)));
}

/** Of two busy cores one is the guard's: each is allowed to be the kernel's now and then, where nothing holds that up. */
const LATE = BURST / 20;
const MODES = [{ mode: "notify", lost: LATE }, { mode: "hold", lost: 0 }] as const;

for (const { mode, lost: most } of MODES) {
  kernelTest(
    `of ${BURST} that fill up within a second the guard is ahead of the kernel in ${
      BURST - most
    } at least (${mode})`,
    async () => {
      await using parent = makeRealCgroup("burst");
      const children = Array.from({ length: BURST }, (_, n) => parent.child(`n${n + 1000}`));
      for (const child of children) child.limit(SMALL);
      const flags = ["--policy", "process", "--mode", mode];
      await using guarded = await startGuarded([...flags, "-r", parent.path]);
      await using stack = new AsyncDisposableStack();
      const processes: HungryProcess[] = [];
      for (const child of children) processes.push(stack.use(await startHungryProcess(child)));
      await feedToDeath(processes);
      const lost = children.filter((child) => kernelKills(child) > 0).map(({ path }) => path);
      const events = await guarded.stop();
      const died = killActionsOf(events).filter(({ outcome }) => outcome === "killed");
      // Under hold who meets his limit in a system call does not wait: the call fails (docs/guarding.md), and tail(1) ends.
      const statuses = await Promise.all(processes.map(({ status }) => status));
      const failed = children.filter((_, n) => statuses[n]!.signal === null).map(({ path }) =>
        path
      );
      const handled = new Set([...lost, ...failed, ...died.map(({ cgroup }) => cgroup)]);
      assert.equal(handled.size, BURST);
      assert.ok(failed.length <= LATE, `${failed.length} of ${BURST} met their limit`);
      assert.ok(lost.length <= most, `${lost.length} of ${BURST} were the kernel's`);
    },
    { only: 1 },
  );
}
