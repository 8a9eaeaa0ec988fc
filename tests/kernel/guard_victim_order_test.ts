/** The orders of cgroups as victims, where the kernel has the figures. */

import assert from "node:assert/strict";
import { readMachine } from "../../core/cgroup/machine.ts";
import { parsePressure } from "../../core/parse/cgroupfs.ts";
import { feedSlowly, isKillAction, startGuarded, until, WIDE } from "../helpers/guarded.ts";
import { startAllocator } from "../helpers/filled_machine.ts";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import { disk, withoutDisk } from "../helpers/disk.ts";
import { isThere } from "../helpers/is_there.ts";
import {
  makeRealCgroup,
  type RealCgroup,
  setAttribute,
  whyNoRealCgroup,
} from "../helpers/real_cgroup.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { diskSwap, swapUsed, whyNoDiskSwap } from "../helpers/swap.ts";

const LIMIT = 64 * MIB;
/** Nothing but the test makes the kernel reclaim, and a slow exit of the first victim is no reason to kill another. */
const KILLS = [
  ...["--mode", "notify", "--no-reclaim", "--swap", "ignore", "--policy", "process"],
  ...["--kill-timeout", "60s"],
  ...WIDE,
];

type Feed = Pick<HungryProcess, "feed">;

/**
 * Two cgroups below a limit, which the process in the second one reaches.
 *
 * @param prepare makes the first one the victim. @param attribute of the first one.
 */
async function firstVictimIn(
  order: string,
  prepare: (first: RealCgroup, inFirst: Feed) => Promise<AsyncDisposable | void>,
  attribute?: string,
) {
  await using parent = makeRealCgroup("order");
  parent.limit(LIMIT);
  const [first, large] = [parent.child("first"), parent.child("large")];
  await using inFirst = await startHungryProcess(first);
  await using filling = await startHungryProcess(large);
  const prepared = await prepare(first, inFirst);
  try {
    if (attribute) setAttribute(first.dir, attribute, "1");
    await using guarded = await startGuarded(["--victim-order", order, ...KILLS, parent.path]);
    // Slowly only near the levels: that takes the emulated machine 4 ms for each 64 KiB.
    await filling.feed(LIMIT / 6);
    await feedSlowly(filling, () => guarded.events.some(isKillAction));
    const { victim } = await guarded.next(isKillAction);
    assert.ok([inFirst.pid, filling.pid].includes(victim.pid));
    return { isFirst: victim.pid === inFirst.pid, rank: victim.cgroup_rank };
  } finally {
    await prepared?.[Symbol.asyncDispose]();
  }
}

const MEBIBYTES_SWAPPED = 24;

/** All but 8 MiB. */
async function swapMost(first: RealCgroup, { feed }: Feed): Promise<void> {
  await feed((8 + MEBIBYTES_SWAPPED) * MIB);
  await until("it is swapped", () => {
    // Neither is a reason to kill if too little can be reclaimed.
    if (first.version === 2) first.write("memory.high", 8 * MIB);
    else limitIfPossible(first, 8 * MIB);
    return swapUsed() > MEBIBYTES_SWAPPED / 2 * MIB;
  });
}

/** v1: EBUSY while too little was reclaimed. */
function limitIfPossible(cgroup: RealCgroup, bytes: number): void {
  try {
    cgroup.limit(bytes);
  } catch {
    // The next attempt goes on.
  }
}

kernelTest(
  "with --victim-order swap the cgroup that uses most swap is killed before a larger one",
  async () => {
    using _ = diskSwap(96 * MIB);
    const { isFirst, rank } = await firstVictimIn("swap", swapMost);
    assert.ok(isFirst);
    assert.deepEqual([rank.by, rank.place], ["swap", 1]);
    assert.ok(rank.value > MEBIBYTES_SWAPPED / 3 * MIB);
  },
  { why: whyNoDiskSwap },
);

for (const attribute of ["user.oomd_avoid", "trusted.oomd_avoid", "trusted.oomd_omit"]) {
  kernelTest(
    `a cgroup with ${attribute} is killed after others, whatever swap it uses`,
    async () => {
      using _ = diskSwap(96 * MIB);
      assert.equal((await firstVictimIn("swap", swapMost, attribute)).isFirst, false);
    },
    { why: whyNoDiskSwap },
  );
}

kernelTest(
  "for the machine the cgroup that uses most swap is killed as a whole, and then the process that fills memory",
  async () => {
    using _ = diskSwap(96 * MIB);
    await using swapped = makeRealCgroup("swapped");
    await using small = await startHungryProcess(swapped);
    await using other = await startHungryProcess(swapped);
    await swapMost(swapped, small);
    const words = [
      "--machine",
      "--policy",
      "container",
      "--victim-order",
      "swap",
      "--swap",
      "ignore",
    ];
    await using guarded = await startGuarded([
      ...words,
      "--margin-ratio",
      "0.2",
      "--max-margin",
      "1G",
    ]);
    const allocator = startAllocator();
    const { victim, killed_cgroup } = await guarded.next(isKillAction);
    assert.deepEqual([victim.pid, killed_cgroup], [small.pid, swapped.path]);
    assert.equal((await other.status).signal, "SIGKILL");
    await allocator.status;
    await guarded.next((event) => isKillAction(event) && event.victim?.pid === allocator.pid);
  },
  { why: whyNoDiskSwap },
);

const whyNotReclaimed = withoutDisk ?? whyNoRealCgroup() ?? await whyNoReclaim();

async function whyNoReclaim(): Promise<string | undefined> {
  await using cgroup = makeRealCgroup("reclaim");
  return isThere(`${cgroup.dir}/memory.reclaim`)
    ? undefined
    : "there is no memory.reclaim before 5.19";
}

/** Reads a file of 8 MiB again and again, which the cgroup is charged for as it has written it. @param then a command of the shell. */
async function readAgain(first: RealCgroup, then: string): Promise<AsyncDisposable> {
  const file = `${disk}/oomkit-test-${Deno.pid}`;
  const script = `echo 0 >"${first.dir}/cgroup.procs"
    dd if=/dev/zero of="${file}" bs=1048576 count=8
    while cat "${file}" >/dev/null; do ${then}; echo read; done`;
  const shell = new Deno.Command("sh", { args: ["-c", script], stdout: "piped", stderr: "null" })
    .spawn();
  const lines = shell.stdout.getReader();
  await lines.read();
  // A full pipe would stop it.
  const drained = (async () => {
    while (!(await lines.read()).done);
  })();
  return {
    async [Symbol.asyncDispose]() {
      Deno.removeSync(file);
      await Promise.all([shell.status, drained]);
    },
  };
}

kernelTest(
  "with --victim-order pgscan the cgroup that the kernel scans is killed before a larger one",
  async () => {
    const { isFirst, rank } = await firstVictimIn("pgscan", async (first, { feed }) => {
      await feed(8 * MIB);
      return await readAgain(first, `echo 4M >"${first.dir}/memory.reclaim"`);
    });
    assert.ok(isFirst);
    assert.deepEqual([rank.by, rank.place], ["pgscan", 1]);
    assert.ok(rank.value > 0);
  },
  { only: 2, why: whyNotReclaimed },
);

const whyNoPressure = withoutDisk ??
  (readMachine().pressure === undefined ? "the kernel has no PSI" : undefined);

/** Percent of the last 10 s. */
const stallOf = ({ dir }: RealCgroup): number =>
  parsePressure(Deno.readTextFileSync(`${dir}/memory.pressure`))?.full?.avg10 ?? 0;

kernelTest(
  "with --victim-order pressure the cgroup in which processes wait for memory is killed before a larger one",
  async () => {
    const { isFirst, rank } = await firstVictimIn("pressure", async (first, { feed }) => {
      await feed(8 * MIB);
      // Less than the file takes besides: the kernel reclaims it while it is read.
      first.write("memory.high", 12 * MIB);
      await using reading = new AsyncDisposableStack();
      reading.use(await readAgain(first, ":"));
      await until("processes wait for memory", () => stallOf(first) > 0);
      return reading.move();
    });
    assert.ok(isFirst);
    assert.deepEqual([rank.by, rank.place], ["pressure", 1]);
    assert.ok(rank.value > 0);
  },
  { only: 2, why: whyNoPressure },
);

kernelTest(
  "with memory.oom.group, as OOMPolicy=kill sets it, --policy process kills all of the cgroup",
  async () => {
    await using cgroup = makeRealCgroup("group");
    cgroup.limit(LIMIT);
    cgroup.write("memory.oom.group", 1);
    await using idle = await startHungryProcess(cgroup);
    await using filling = await startHungryProcess(cgroup);
    await using guarded = await startGuarded([...KILLS, cgroup.path]);
    await feedSlowly(filling, () => guarded.events.some(isKillAction));
    const { victim, killed_cgroup } = await guarded.next(isKillAction);
    assert.deepEqual([victim.pid, killed_cgroup], [filling.pid, cgroup.path]);
    assert.equal((await idle.status).signal, "SIGKILL");
  },
  { only: 2 },
);

kernelTest(
  "with --victim-order growth the cgroup that fills is killed, and not a larger one that was there before",
  async () => {
    const { isFirst, rank } = await firstVictimIn("growth", (_, { feed }) => feed(24 * MIB));
    assert.equal(isFirst, false);
    assert.deepEqual([rank.by, rank.place], ["growth", 1]);
    assert.ok(rank.value > 4 * MIB);
  },
);
