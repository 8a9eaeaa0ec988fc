/** `oomkit guard` when its output is not read, and after an uncaught exception. */

import assert from "node:assert/strict";
import {
  changingModeOf,
  feedWhileItLives,
  isChanged,
  kernelKills,
  makeStateDirectory,
  type StateDirectory,
  until,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";

const LIMIT = 64 * MIB;

/** Events that fill a pipe quickly. */
const MANY_EVENTS = "--warn 1 --critical 2 --on-warn signal --repeat --cooldown 1ms --json".split(
  " ",
);

interface Unread extends AsyncDisposable {
  kill(signal: Deno.Signal): void;
  /** Resolves when it has exited. */
  ended(): Promise<{ readonly code: number; readonly stderr: string }>;
  /** Closes the read end of its stdout, which was never read. */
  hangUp(): Promise<void>;
}

async function startUnread(
  cgroup: RealCgroup,
  state: StateDirectory,
  { flags = [], program = oomkit(), ignore = "." }: {
    flags?: string[];
    program?: readonly string[];
    ignore?: string;
  } = {},
): Promise<Unread> {
  cgroup.limit(LIMIT);
  const [command, ...args] = program;
  const words = [
    "--policy",
    "process",
    "--ignore",
    ignore,
    "--mode",
    changingModeOf(cgroup),
    ...flags,
  ];
  const child = new Deno.Command(command!, {
    args: [...args, "guard", ...words, cgroup.path],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...state.env },
  }).spawn();
  let stderr = "";
  const read = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) stderr += text;
  })();
  let isOpen = true;
  const self: Unread = {
    kill: (signal) => child.kill(signal),
    async ended() {
      const { code } = await child.status;
      await read;
      return { code, stderr };
    },
    async hangUp() {
      if (isOpen) await child.stdout.cancel();
      isOpen = false;
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has exited.
      }
      await self.hangUp();
      await self.ended();
    },
  };
  await until("it is armed", () => isChanged(cgroup) && /^guarding /m.test(stderr));
  return self;
}

/** Longer than it takes to fill the pipe. */
const MS_TO_FILL_PIPE = 3000;
const fillPipe = () => new Promise((resolve) => setTimeout(resolve, MS_TO_FILL_PIPE));

kernelTest(
  "a guard with unread output still enables the OOM killer again under hold, and exits on SIGTERM",
  async () => {
    await using cgroup = makeRealCgroup("unread");
    using state = makeStateDirectory();
    await using guard = await startUnread(cgroup, state, { flags: MANY_EVENTS });
    await using process = await startHungryProcess(cgroup);
    await process.feed(8 * MIB);
    await fillPipe();
    const fed = feedWhileItLives(process, 2 * LIMIT);
    await until("the kernel's OOM killer is enabled again", () => !isChanged(cgroup));
    await process.status;
    await fed;
    guard.kill("SIGTERM");
    const { code, stderr } = await guard.ended();
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^\d+ lines? (was|were) dropped \([\w ,]+\): the reader of stdout was too slow$/m,
    );
    assert.deepEqual([isChanged(cgroup), state.changes()], [false, []]);
  },
  { only: 1 },
);

kernelTest("a guard with unread output restores its changes", async () => {
  await using cgroup = makeRealCgroup("unread");
  using state = makeStateDirectory();
  await using guard = await startUnread(cgroup, state, { flags: MANY_EVENTS });
  await using process = await startHungryProcess(cgroup);
  await process.feed(8 * MIB);
  await fillPipe();
  guard.kill("SIGTERM");
  const { code, stderr } = await guard.ended();
  assert.equal(code, 0, stderr);
  assert.deepEqual([isChanged(cgroup), state.changes()], [false, []]);
});

kernelTest("a guard reports once that the reader of stdout went away, and continues", async () => {
  await using cgroup = makeRealCgroup("hung-up");
  using state = makeStateDirectory();
  await using guard = await startUnread(cgroup, state, { flags: MANY_EVENTS, ignore: "^none$" });
  await guard.hangUp();
  await using process = await startHungryProcess(cgroup);
  await feedWhileItLives(process, 2 * LIMIT);
  assert.equal((await process.status).signal, "SIGKILL");
  assert.equal(kernelKills(cgroup), 0);
  guard.kill("SIGTERM");
  const { code, stderr } = await guard.ended();
  assert.equal(code, 0, stderr);
  const reports = stderr.split("\n").filter((line) =>
    line.includes("the reader of stdout went away")
  );
  assert.equal(reports.length, 1, stderr);
  assert.deepEqual([isChanged(cgroup), state.changes()], [false, []]);
});

const main = new URL("../../cli/main.ts", import.meta.url).href;
const config = new URL("../../deno.json", import.meta.url).pathname;

const faults = [
  ["exception", "setTimeout(() => { throw new Error('boom'); })"],
  ["rejection", "Promise.reject(new Error('boom'))"],
] as const;

// Needs the sources: the executable cannot be made to throw.
for (const [what, fault] of import.meta.url.endsWith(".ts") ? faults : []) {
  kernelTest(
    `after an uncaught ${what} the guard restores its changes and exits with 70`,
    async () => {
      await using cgroup = makeRealCgroup("fault");
      using state = makeStateDirectory();
      const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
      try {
        const script = `${dir}/faulty.ts`;
        const faulty = `import { main } from ${JSON.stringify(main)};
        Deno.addSignalListener("SIGUSR1", () => { ${fault}; });
        await main();`;
        Deno.writeTextFileSync(script, faulty);
        const flags = ["run", "-A", "--quiet", "--no-check", "-c", config, script];
        const program = [Deno.execPath(), ...flags];
        await using guard = await startUnread(cgroup, state, { program });
        guard.kill("SIGUSR1");
        const { code, stderr } = await guard.ended();
        assert.equal(code, 70, stderr);
        assert.match(stderr, /^guarding [^\n]+\noomkit: this is a bug: Error: boom; [^\n]+\n$/);
        assert.deepEqual([isChanged(cgroup), state.changes()], [false, []]);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}
