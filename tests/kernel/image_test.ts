/** The container image with the DaemonSet's limits, 60 MiB and one percent of a CPU, guarding a cgroup that is not its own. */

import assert from "node:assert/strict";
import { isAlive, isKillAction, kernelKills, killActionsOf } from "../helpers/guarded.ts";
import { type ImageOptions, noImageReason, startImage } from "../helpers/image_container.ts";
import { eatToDeath, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { whyNoRunc } from "../helpers/runc_container.ts";
import { isThere } from "../helpers/is_there.ts";

const why = whyNoRunc();

/** Where threads of a cgroup may be SCHED_FIFO only within a budget of it (CONFIG_RT_GROUP_SCHED on v1). */
const hasBudget = isThere("/sys/fs/cgroup/cpu/cpu.rt_runtime_us");

/** The kernel writes `memory.high` down in pages; here `max` again. */
const UNCHANGED = { 1: ["memory.oom_control", "oom_kill_disable 0"], 2: ["memory.high", "max"] };

async function guardsFromItsContainer(
  args: readonly string[],
  options: Omit<ImageOptions, "parent" | "args">,
): Promise<void> {
  await using parent = makeRealCgroup("image");
  await using state = makeRealCgroup("ward");
  state.limit(64 * MIB);
  await using image = await startImage({
    parent,
    args: ["guard", state.path, "--json", "--policy", "process", ...args],
    ...options,
  });
  for (let round = 0; round < 3; round++) {
    const { pid, code } = await eatToDeath(state);
    assert.equal(code, 137);
    assert.equal(kernelKills(state), 0, "the kernel was first");
    const action = await image.guard.next((event) =>
      isKillAction(event) && event.victim.pid === pid
    );
    assert.equal(action.outcome, "killed");
  }
  assert.ok(isAlive(image.guard.pid), "it outlives its own limits");
  const events = await image.stop();
  assert.equal(killActionsOf(events).length, 3);
  const [file, before] = UNCHANGED[state.version] as [string, string];
  assert.ok(state.read(file).startsWith(before), "nothing is left of the guard");
  assert.deepEqual(image.state.changes(), []);
}

if (noImageReason() === undefined) {
  kernelTest(
    "the image is ahead of the kernel with 60 MiB and one percent of a CPU, from its start, where it holds the killer",
    () => guardsFromItsContainer(["--mode", "hold"], { limitsCpuAtStart: true }),
    { why, only: 1 },
  );

  kernelTest(
    "the image is ahead of the kernel with 60 MiB and one percent of a CPU behind a throttle",
    () => guardsFromItsContainer([], {}),
    { why, only: 2 },
  );

  if (hasBudget) {
    kernelTest(
      "with a budget for SCHED_FIFO and a margin of 10 % one percent of a CPU is enough to change nothing and be first",
      // The usual 2 % are gone within the milliseconds for which a virtual machine's host may keep a CPU (deploy/README.md).
      () => guardsFromItsContainer(["--margin-ratio", "0.1"], { realtime: 50_000 }),
      { why, only: 1 },
    );
  }
}
