/** What the commands do where /dev/kmsg is another file, as in LXC, LXD and kind. */

import assert from "node:assert/strict";
import { makeDirectory } from "../helpers/directory.ts";
import { allocateUntilKilled, kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { noMountNamespace, withKernelLog } from "../helpers/kernel_log.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit, runOomkit } from "../helpers/run_oomkit.ts";
import { startWatched } from "../helpers/watched.ts";

/** Shell code that makes the file, and what it is called. */
const OTHER_FILES: Readonly<Record<string, string>> = {
  "the device 1:3": "ln -s /dev/null $f",
  "the device 1:5": "ln -s /dev/zero $f",
  "a regular file": ": > $f",
  "a directory": "mkdir $f",
  "a FIFO": "mkfifo $f",
};

for (const [name, make] of Object.entries(OTHER_FILES)) {
  const reason = `/dev/kmsg is not the kernel log but ${name}`;

  kernelTest(
    `with ${name} at /dev/kmsg a watch reports degraded, and kills without names`,
    async () => {
      using directory = makeDirectory();
      await using cgroup = makeRealCgroup("kmsg");
      cgroup.limit(10 * MIB);
      await using watched = await startWatched([cgroup.path], [
        ...withKernelLog(directory.path, make),
        ...oomkit(),
      ]);
      const [degraded] = ofType(watched.events, "degraded");
      assert.equal(degraded.requested, "kernel log");
      assert.equal(degraded.reason, reason);
      await allocateUntilKilled(cgroup);
      const { victim } = await watched.next(({ type }) => type === "oom_kill");
      assert.equal(victim, null);
      await watched.stop();
    },
    { why: noMountNamespace },
  );

  kernelTest(`with ${name} at /dev/kmsg the requirement kmsg is not met`, async () => {
    using directory = makeDirectory();
    await using cgroup = makeRealCgroup("kmsg");
    const args = ["inspect", "--check", "--require", "kmsg", cgroup.path];
    const { code, stdout } = await runOomkit(args, { wrap: withKernelLog(directory.path, make) });
    assert.equal(code, 1);
    assert.ok(stdout.startsWith(`NOT OK: kmsg: ${reason}\n`), stdout);
  }, { why: noMountNamespace });
}

for (
  const args of [
    ["guard", "--json", "--for", "500ms"],
    ["simulate", "--json", "--limit", "16M"],
  ]
) {
  kernelTest(`with /dev/null at /dev/kmsg a ${args[0]} goes on without names`, async () => {
    using directory = makeDirectory();
    await using cgroup = makeRealCgroup("kmsg");
    cgroup.limit(16 * MIB);
    const targets = args[0] === "guard" ? [cgroup.path] : [];
    const { code, stdout, stderr } = await runOomkit([...args, ...targets], {
      wrap: withKernelLog(directory.path, OTHER_FILES["the device 1:3"]!),
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /"degraded".*"kernel log".*the device 1:3/);
  }, { why: noMountNamespace });
}
