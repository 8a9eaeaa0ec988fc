/** `simulate --machine`: only in the emulated machine, which it fills. */

import assert from "node:assert/strict";
import { machineKills, whyNotFilled } from "../helpers/filled_machine.ts";
import { makeStateDirectory, startGuarded } from "../helpers/guarded.ts";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { simulateJson } from "../helpers/simulation.ts";

const why = whyNotFilled();

const MACHINE = ["--machine", "--disposable", Deno.hostname()];

kernelTest(
  "a machine without a guard is filled until the kernel kills the allocator, and the verdict has its pause",
  async () => {
    const before = machineKills();
    const { code, start, verdict } = await simulateJson(MACHINE);
    assert.deepEqual([code, verdict.outcome, start.machine], [0, "oom_kill", true]);
    assert.equal(machineKills(), before + 1);
    const { memory, swap, available_min, longest_pause_ms, killed_by } = verdict.machine;
    assert.equal(start.limit, memory + swap);
    assert.deepEqual(killed_by, { kind: "kernel", pid: null, name: null });
    assert.ok(available_min < 0.2 * memory, `${available_min} of ${memory} available`);
    assert.ok(longest_pause_ms > 1, `a pause of ${longest_pause_ms} ms`);
  },
  { why },
);

kernelTest("a guard that kills before the kernel does is named in the verdict", async () => {
  const words = ["--machine", "--policy", "process", "--margin-ratio", "0.3", "--max-margin", "1G"];
  using state = makeStateDirectory();
  await using guarded = await startGuarded(words, { stateDirectory: state.path });
  await guarded.next((event) => event.type === "guard_armed" && event.cgroup === "/");
  const { code, verdict } = await simulateJson([...MACHINE, "--expect", "user_kill"], state);
  assert.deepEqual([code, verdict.outcome], [0, "user_kill"]);
  assert.deepEqual([verdict.machine.killed_by.kind, verdict.machine.killed_by.name], [
    "guard",
    "oomkit guard",
  ]);
  assert.ok(verdict.machine.available_min > 0);
}, { why });

kernelTest("an allocator that stops by itself leaves the machine as it was", async () => {
  const { code, verdict } = await simulateJson([...MACHINE, "--stop-at", "50M"]);
  assert.deepEqual([code, verdict.outcome, verdict.machine.killed_by], [0, "survived", null]);
}, { why });

kernelTest("another machine's name does not fill this one", async () => {
  const { code, stderr } = await runOomkit(["simulate", "--machine", "--disposable", "other.name"]);
  assert.equal(code, 2);
  assert.match(stderr, /--disposable names "other\.name"/);
}, { why });
