/** How a run of `oomkit simulate` ends by anything but the kernel, and leaves nothing behind: the same with each version. */

import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { oomkit, runOomkit } from "../helpers/run_oomkit.ts";
import { assertGone, startSimulation } from "../helpers/simulation.ts";

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  kernelTest(`${signal} ends a run cleanly, with a verdict`, async () => {
    await using running = startSimulation(["--mb", "64", "--rate", "4M/s"]);
    await running.next("step");
    running.kill(signal);
    const run = await running.end();
    assert.equal(run.verdict.outcome, "interrupted");
    assert.equal(run.code, 1);
    assert.equal(run.stderr, "");
    assertGone(run);
  });
}

kernelTest(
  "an allocator that is killed from user space is no OOM kill and no failure",
  async () => {
    await using running = startSimulation(["--mb", "64", "--rate", "4M/s"]);
    const { pids } = await running.next("start");
    await running.next("allocator_started");
    Deno.kill(pids[0], "SIGKILL");
    const run = await running.end();
    assert.equal(run.code, 0);
    assert.deepEqual([run.verdict.outcome, run.verdict.oom_kill_count], ["user_kill", 0]);
    assert.equal(run.verdict.processes[0].oom_killed, false);
    assertGone(run);
  },
);

kernelTest("an allocator that reacts to a signal frees its memory, and grows again", async () => {
  await using running = startSimulation(["--mb", "64", "--rate", "40M/s", "--on-signal", "free"]);
  const { pids } = await running.next("start");
  let before = await running.next("step");
  while (before.usage < 12 * MIB) before = await running.next("step");
  Deno.kill(pids[0], "SIGUSR1");
  assert.equal((await running.next("signal")).signal, "SIGUSR1");
  let after = await running.next("step");
  while (after.allocated > before.allocated) after = await running.next("step");
  running.kill("SIGINT");
  const run = await running.end();
  assert.equal(run.code, 0);
  assertGone(run);
});

kernelTest(
  "an allocator that ignores a signal is killed at the limit, one that exits survives",
  async () => {
    for (const [reply, outcome] of [["ignore", "oom_kill"], ["exit", "survived"]] as const) {
      await using running = startSimulation([
        "--mb",
        "16",
        "--rate",
        "40M/s",
        "--on-signal",
        reply,
      ]);
      const { pids } = await running.next("start");
      await running.next("step");
      Deno.kill(pids[0], "SIGTERM");
      const run = await running.end();
      assert.equal(run.verdict.outcome, outcome);
      assert.deepEqual(run.ofType("signal").map(({ signal }) => signal), ["SIGTERM"]);
      assert.equal(run.code, 0);
    }
  },
);

kernelTest(
  "the allocator serves /healthz while it allocates, and a port in use is a one-line error",
  async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const busy = await runOomkit(["simulate", "--http", `:${taken.addr.port}`]);
    assert.equal(busy.code, 2);
    assert.equal(
      busy.stderr,
      `oomkit: cannot listen on 127.0.0.1:${taken.addr.port}: the port is in use; ` +
        "choose another port with --http\n",
    );
    taken.close();
    const { port } = taken.addr;
    await using running = startSimulation(["--mb", "64", "--rate", "8M/s", "--http", `:${port}`]);
    await running.next("allocator_started");
    const response = await fetch(`http://127.0.0.1:${port}/healthz`);
    assert.deepEqual([response.status, await response.text()], [200, "ok\n"]);
  },
);

for (const output of ["json", "text"]) {
  kernelTest(`a run leaves nothing behind when the reader of its ${output} goes away`, async () => {
    const before = sandboxes();
    const line = `"$@" simulate --mb 64 --rate 16M/s --output ${output} | head -n 1`;
    const command = new Deno.Command("sh", { args: ["-c", line, "sh", ...oomkit()] });
    const { stdout, stderr } = await command.output();
    assert.match(new TextDecoder().decode(stdout), /^(simulate .*|\{.*"type":"start".*\})\n$/);
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.deepEqual(sandboxes(), before);
  });
}

function sandboxes(): string[] {
  const hierarchy = discover();
  const { dir } = openCgroup(hierarchy, hierarchy.own!)!;
  return [...Deno.readDirSync(dir)].map(({ name }) => name).filter((n) => n.startsWith("oomkit-"));
}
