/** `oomkit history` with a journald of the test's own, which reads the kernel log of the machine. */

import assert from "node:assert/strict";
import { isThere } from "../helpers/is_there.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { allocateUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { noMountNamespace } from "../helpers/kernel_log.ts";
import { untilLogged } from "../helpers/kernel_log_rate.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

const JOURNALD = "/lib/systemd/systemd-journald";

/** Without audit, which is one for the whole machine. */
const CONFIG = "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=yes\n";

/** Runs the rest of the command line where /run has only the journal of the present kernel log. */
const withJournal = (directory: string, pid: number): string[] => [
  "unshare",
  "-m",
  "bash",
  "-c",
  `mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind ${directory} /etc/systemd &&
   { ${JOURNALD} & } && journald=$! && for _ in {1..100}; do
     journalctl -q --no-pager _TRANSPORT=kernel 2>&1 | grep -q "Killed process ${pid} " && break; sleep 0.1
   done; "$0" "$@"; code=$?; kill $journald; wait; exit $code`,
];

kernelTest(
  "a kill that the kernel log and the journal have is one kill, with both as its sources",
  async () => {
    await using cgroup = makeRealCgroup("journal");
    cgroup.limit(10 * MIB);
    await untilLogged(1);
    const { pid } = await allocateUntilKilled(cgroup);
    using directory = makeDirectory();
    Deno.writeTextFileSync(`${directory.path}/journald.conf`, CONFIG);
    for (const args of [[], ["--since", "10m"]]) {
      const { code, stdout, stderr } = await runOomkit(
        ["history", "--json", cgroup.path, ...args],
        { wrap: withJournal(directory.path, pid) },
      );
      assert.equal(code, 0, stderr);
      const { kills: [kill, ...others], logs } = JSON.parse(stdout);
      assert.deepEqual(others, []);
      assert.equal(kill.victim.pid, pid);
      assert.deepEqual(kill.sources, ["journal", "/dev/kmsg"]);
      assert.ok(Math.abs(Date.parse(kill.ts) - Date.now()) < 60_000, kill.ts);
      assert.deepEqual(
        logs.map(({ kind, boots }: { kind: string; boots: number }) => [kind, boots]),
        [["journal", 1], ["kmsg", 1]],
      );
    }
  },
  {
    why: noMountNamespace ?? (isThere(JOURNALD) ? undefined : "systemd-journald is not installed"),
  },
);
