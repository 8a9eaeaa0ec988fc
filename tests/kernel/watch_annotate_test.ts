/** `oomkit watch --annotate -- command`, when the kernel kills a process of the command. */

import assert from "node:assert/strict";
import { keepsPeak, kernelTest } from "../helpers/kernel_cases.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

const DIES = ["--limit", "32M", "--", "sh", "-c", "echo building; tail /dev/zero; exit 3"];

kernelTest("a killed process of a build is one error annotation on GitHub", async () => {
  const { code, stdout, stderr } = await runOomkit(["watch", "--annotate", "github", ...DIES]);
  assert.equal(code, 3, stderr);
  assert.equal(stdout, "building\n");
  const commands = stderr.split("\n").filter((line) => line.startsWith("::"));
  assert.equal(commands.length, 1, stderr);
  assert.match(
    commands[0]!,
    /^::error title=oomkit%3A out of memory::sh exited with 3; the kernel killed 1 process/,
  );
  assert.match(commands[0]!, keepsPeak ? / headroom .*%25\)$/ : /; peak unknown, 32\.0 MiB limit$/);
});

kernelTest("a killed process of a build is a section in GitLab's log", async () => {
  const { code, stderr } = await runOomkit(["watch", "--annotate", "gitlab", ...DIES]);
  assert.equal(code, 3, stderr);
  const lines = stderr.trimEnd().split("\n").slice(-3);
  assert.match(lines[0]!, /section_start:\d+:(oomkit_\d+)\r/);
  assert.match(lines[1]!, /ERROR.* oomkit: out of memory: sh exited with 3; /);
  assert.match(lines[2]!, /section_end:\d+:(oomkit_\d+)\r/);
});

kernelTest("a build that --fail-on fails is annotated with the kill", async () => {
  const args = ["watch", "--annotate", "github", "--fail-on", "oom_kill", ...DIES.slice(0, -1)];
  const { code, stderr } = await runOomkit([...args, "tail /dev/zero; true"]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^::error title=oomkit%3A out of memory::sh exited with 0; /m);
});
