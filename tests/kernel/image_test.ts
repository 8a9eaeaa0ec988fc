/** The container image with the DaemonSet's limits, 60 MiB and one percent of a CPU, guarding a cgroup outside of it. */

import assert from "node:assert/strict";
import { isAlive, isKillAction, kernelKills, killActionsOf } from "../helpers/guarded.ts";
import { type ImageOptions, noImageReason, startImage } from "../helpers/image_container.ts";
import { faultUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { whyNoRunc } from "../helpers/runc_container.ts";
import { isThere } from "../helpers/is_there.ts";

const why = whyNoRunc();

/** Whether SCHED_FIFO threads need a budget of their cgroup (CONFIG_RT_GROUP_SCHED on v1). */
const needsRealtimeBudget = isThere("/sys/fs/cgroup/cpu/cpu.rt_runtime_us");

/** The restored values. */
const UNCHANGED = { 1: ["memory.oom_control", "oom_kill_disable 0"], 2: ["memory.high", "max"] };

async function guardsFromItsContainer(
  args: readonly string[],
  options: Omit<ImageOptions, "parent" | "args">,
): Promise<void> {
  await using parent = makeRealCgroup("image");
  await using guarded = makeRealCgroup("guarded");
  guarded.limit(64 * MIB);
  await using image = await startImage({
    parent,
    args: ["guard", guarded.path, "--json", "--policy", "process", ...args],
    ...options,
  });
  for (let round = 0; round < 3; round++) {
    const { pid, code } = await faultUntilKilled(guarded);
    assert.equal(code, 137);
    assert.equal(kernelKills(guarded), 0, "the kernel killed first");
    const action = await image.guard.next((event) =>
      isKillAction(event) && event.victim.pid === pid
    );
    assert.equal(action.outcome, "killed");
  }
  assert.ok(isAlive(image.guard.pid), "the guard survives within its own limits");
  const events = await image.stop();
  assert.equal(killActionsOf(events).length, 3);
  const [file, before] = UNCHANGED[guarded.version] as [string, string];
  assert.ok(guarded.read(file).startsWith(before), "the guard restored its change");
  assert.deepEqual(image.state.changes(), []);
}

if (noImageReason() === undefined) {
  kernelTest(
    "under hold, with 60 MiB and one percent of a CPU from its start, the image kills before the kernel",
    () => guardsFromItsContainer(["--mode", "hold"], { limitsCpuAtStart: true }),
    { why, only: 1 },
  );

  kernelTest(
    "in throttle mode, with 60 MiB and one percent of a CPU, the image kills before the kernel",
    () => guardsFromItsContainer([], {}),
    { why, only: 2 },
  );

  if (needsRealtimeBudget) {
    kernelTest(
      "in hold-near-limit mode, with a SCHED_FIFO budget, a margin of 10 % and one percent of a CPU, the image kills before the kernel",
      // The default 2 % fill up within the milliseconds for which the host of a virtual machine may withhold a CPU (deploy/README.md).
      () => guardsFromItsContainer(["--margin-ratio", "0.1"], { realtime: 50_000 }),
      { why, only: 1 },
    );
  }
}
