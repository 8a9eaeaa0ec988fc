/** A guard in its container, with one percent of a CPU, and allocators that fill a cgroup outside of it. */

import assert from "node:assert/strict";
import { isAlive, isKillAction, kernelKills, killActionsOf } from "./guarded.ts";
import { type ImageOptions, startImage } from "./image_container.ts";
import { faultUntilKilled, MIB } from "./kernel_cases.ts";
import { makeRealCgroup } from "./real_cgroup.ts";

/** The restored values. */
const UNCHANGED = { 1: ["memory.oom_control", "oom_kill_disable 0"], 2: ["memory.high", "max"] };

/** It kills before the kernel, lives, and restores what it has changed. */
export async function guardsFromItsContainer(
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
