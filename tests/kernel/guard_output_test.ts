/** What becomes of `oomkit guard` when nobody reads what it prints, or something is thrown where nobody catches it. */

import assert from "node:assert/strict";
import {
  feedWhileItLives,
  kernelKills,
  makeStateFolder,
  type StateFolder,
  until,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";

const LIMIT = 64 * MIB;

/** Fills a pipe within moments. */
const TALKATIVE = "--warn 1 --critical 2 --on-warn signal --repeat --cooldown 1ms --json".split(
  " ",
);
const modeOf = ({ version }: RealCgroup) => version === 1 ? "hold" : "throttle";
const isChanged = (cgroup: RealCgroup) =>
  cgroup.version === 1
    ? /^oom_kill_disable 1$/m.test(cgroup.read("memory.oom_control"))
    : cgroup.read("memory.high").trim() !== "max";

interface Unread extends AsyncDisposable {
  kill(signal: Deno.Signal): void;
  /** What it said, and how it ended. */
  ended(): Promise<{ readonly code: number; readonly stderr: string }>;
  /** Closes its stdout, of which nothing has been read. */
  hangUp(): Promise<void>;
}

async function startUnread(
  cgroup: RealCgroup,
  state: StateFolder,
  { flags = [], program = oomkit(), ignore = "." }: {
    flags?: string[];
    program?: readonly string[];
    ignore?: string;
  } = {},
): Promise<Unread> {
  cgroup.limit(LIMIT);
  const [command, ...args] = program;
  const words = ["--policy", "process", "--ignore", ignore, "--mode", modeOf(cgroup), ...flags];
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
        // It has ended by itself.
      }
      await self.hangUp();
      await self.ended();
    },
  };
  await until("it guards", () => isChanged(cgroup) && /^guarding /m.test(stderr));
  return self;
}

/** Longer than a pipe takes at that pace. */
const FULL_MS = 3000;
const fill = () => new Promise((resolve) => setTimeout(resolve, FULL_MS));

kernelTest("a guard whose output nobody reads still watches over hold, and ends", async () => {
  await using cgroup = makeRealCgroup("unread");
  using state = makeStateFolder();
  await using guard = await startUnread(cgroup, state, { flags: TALKATIVE });
  await using process = await startHungryProcess(cgroup);
  await process.feed(8 * MIB);
  await fill();
  const fed = feedWhileItLives(process, 2 * LIMIT);
  await until("the kernel's killer is let loose", () => !isChanged(cgroup));
  await process.status;
  await fed;
  guard.kill("SIGTERM");
  const { code, stderr } = await guard.ended();
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^\d+ lines? (was|were) dropped: the reader of stdout was too slow$/m);
  assert.deepEqual([isChanged(cgroup), state.changes()], [false, []]);
}, { only: 1 });

kernelTest("a guard whose output nobody reads puts back what it has changed", async () => {
  await using cgroup = makeRealCgroup("unread");
  using state = makeStateFolder();
  await using guard = await startUnread(cgroup, state, { flags: TALKATIVE });
  await using process = await startHungryProcess(cgroup);
  await process.feed(8 * MIB);
  await fill();
  guard.kill("SIGTERM");
  const { code, stderr } = await guard.ended();
  assert.equal(code, 0, stderr);
  assert.deepEqual([isChanged(cgroup), state.changes()], [false, []]);
});

kernelTest("a guard whose reader goes away says so once, and guards on", async () => {
  await using cgroup = makeRealCgroup("hung-up");
  using state = makeStateFolder();
  await using guard = await startUnread(cgroup, state, { flags: TALKATIVE, ignore: "^nobody$" });
  await guard.hangUp();
  await using process = await startHungryProcess(cgroup);
  await feedWhileItLives(process, 2 * LIMIT);
  assert.equal((await process.status).signal, "SIGKILL");
  assert.equal(kernelKills(cgroup), 0);
  guard.kill("SIGTERM");
  const { code, stderr } = await guard.ended();
  assert.equal(code, 0, stderr);
  const told = stderr.split("\n").filter((line) => line.includes("the reader of stdout went away"));
  assert.equal(told.length, 1, stderr);
  assert.deepEqual([isChanged(cgroup), state.changes()], [false, []]);
});

const main = new URL("../../cli/main.ts", import.meta.url).href;
const config = new URL("../../deno.json", import.meta.url).pathname;

const faults = [
  ["an exception", "setTimeout(() => { throw new Error('boom'); })"],
  ["a rejection", "Promise.reject(new Error('boom'))"],
] as const;

// The executable throws nothing on request; where only that is, there is nothing to test.
for (const [what, fault] of import.meta.url.endsWith(".ts") ? faults : []) {
  kernelTest(`${what} that nobody catches ends a guard in order`, async () => {
    await using cgroup = makeRealCgroup("fault");
    using state = makeStateFolder();
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
  });
}
