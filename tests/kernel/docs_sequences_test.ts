/** Every block of commands in README.md and docs/ in which one command works with another is run as it is written. */

import assert from "node:assert/strict";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";

const root = new URL("../..", import.meta.url).pathname;

interface Sequence {
  readonly document: string;
  readonly text: string;
}

/** Blocks with a command in the background: the others are examples that stand alone. */
const sequences: Sequence[] = ["README.md", ...documentsIn("docs")].flatMap((document) =>
  [...Deno.readTextFileSync(`${root}${document}`).matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
    .flatMap(([, text]) => / &$/m.test(text!) ? [{ document, text: text! }] : [])
);

function documentsIn(directory: string): string[] {
  return [...Deno.readDirSync(`${root}${directory}`)]
    .flatMap(({ name }) => name.endsWith(".md") ? [`${directory}/${name}`] : []).toSorted();
}

interface Effect {
  readonly stdout: string;
  readonly stderr: string;
  /** A file that the commands have written. */
  read(name: string): string;
}

/** By a command of the sequence: what it is there for. Its exit status 0 is checked too. */
const EFFECTS: readonly (readonly [command: string, check: (effect: Effect) => void])[] = [
  ["--expect user_kill", ({ stdout, read }) => {
    assert.match(stdout, /^verdict +the kernel's OOM killer killed pid/m);
    assert.match(
      stdout,
      /^verdict +user space was faster: pid \d+ was killed before an OOM kill$/m,
    );
    assert.match(read("guard.log"), / {2}action {2}.* killed by SIGKILL /);
  }],
  ["--expect survived", ({ stdout }) => {
    assert.match(stdout, /^verdict +the kernel killed nothing: pid \d+ survived until the time/m);
    assert.match(stdout, / received SIGUSR1$/m);
    assert.match(stdout, / {2}action {2}.* {2}SIGUSR1 at warn sent to 1 process/);
  }],
  ["--fake /tmp/tree", ({ stdout }) => {
    assert.match(stdout, /^verdict +the kernel's OOM killer killed pid/m);
    assert.match(stdout, /^limit +20\.0 MiB, its own$/m);
  }],
  ["--replay run.jsonl.gz", ({ stdout }) => {
    assert.match(stdout, /^verdict +user space was faster/m);
    assert.match(stdout, /earlier than recorded$/m);
  }],
];

for (const { document, text } of sequences) {
  const found = EFFECTS.filter(([command]) => text.includes(command));
  const name = `${document}: ${text.split("\n").findLast((line) => line.startsWith("oomkit"))}`;
  kernelTest(name, async () => {
    assert.equal(found.length, 1, `what is the effect of this?\n${text}`);
    await using cgroup = makeRealCgroup("docs");
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      const program = oomkit().map((word) => `'${word}'`).join(" ");
      Deno.writeTextFileSync(`${directory}/oomkit`, `#!/bin/sh\nexec ${program} "$@"\n`, {
        mode: 0o755,
      });
      // In a cgroup of its own where that can have children; nothing else on the machine is guarded or written.
      const isAlone = cgroup.version === 1;
      const parent = isAlone ? cgroup.path : cgroup.path.slice(0, cgroup.path.lastIndexOf("/"));
      const script = text.replaceAll("'/**/", `'${parent}/`).replaceAll("/tmp/", `${directory}/`);
      const enter = isAlone ? `echo 0 > "${cgroup.dir}/cgroup.procs"\n` : "";
      const { code, stdout, stderr } = await new Deno.Command("sh", {
        args: ["-ec", `trap 'kill $! 2>/dev/null || true' EXIT\n${enter}${script}`],
        cwd: directory,
        stdin: "null",
        env: { NO_COLOR: "1", PATH: `${directory}:${Deno.env.get("PATH")}` },
      }).output();
      const decoder = new TextDecoder();
      const effect = { stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
      const said = `${effect.stdout}\n${effect.stderr}`;
      assert.equal(code, 0, said);
      try {
        found[0]![1]({
          ...effect,
          read: (name) => Deno.readTextFileSync(`${directory}/${name}`),
        });
      } catch (error) {
        throw new Error(said, { cause: error });
      }
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}

Deno.test("each effect is that of a sequence in the documents", () => {
  for (const [command] of EFFECTS) {
    assert.ok(sequences.some(({ text }) => text.includes(command)), command);
  }
});
