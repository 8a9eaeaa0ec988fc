import assert from "node:assert/strict";

const root = new URL("../..", import.meta.url).pathname;

/** A pid in use by no process: its process has ended and was waited for. */
async function endedPid(): Promise<number> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return child.pid;
}

Deno.test("what a killed benchmark left is removed by the next one, and nothing else", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const names = {
      left: `oomkit-bench-${await endedPid()}-x`,
      running: `oomkit-bench-${Deno.pid}-x`,
      foreign: "oomkit-bench-mine",
    };
    for (const name of Object.values(names)) {
      Deno.mkdirSync(`${directory}/${name}/deep`, { recursive: true });
    }
    const script =
      `import { makeBenchDirectory, removeBenchDirectories } from "${root}scripts/bench/cleanup.ts";
      makeBenchDirectory();
      removeBenchDirectories();`;
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", "--quiet", script],
      env: { TMPDIR: directory },
    }).output();
    assert.ok(success);
    const there = [...Deno.readDirSync(directory)].map(({ name }) => name).filter((name) =>
      name.startsWith("oomkit-")
    );
    assert.deepEqual(there.sort(), [names.foreign, names.running].sort());
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
