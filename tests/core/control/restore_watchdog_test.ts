import assert from "node:assert/strict";
import { startRestoreWatchdog } from "../../../core/control/restore_watchdog.ts";
import { childrenOf, isAlive, until } from "../../helpers/guarded.ts";

const restoreWatchdog = new URL("../../../core/control/restore_watchdog.ts", import.meta.url).href;

/** Starts a minder, says its pid, and ends in its own way. */
async function endAfterMinding(dir: string, ending: string): Promise<number> {
  const script = `${dir}/script.ts`;
  Deno.writeTextFileSync(
    script,
    `import { startRestoreWatchdog } from ${JSON.stringify(restoreWatchdog)};
    console.log(startRestoreWatchdog(["sh", "-c", "echo released > '${dir}/released'"]).pid);
    setTimeout(() => { ${ending} });`,
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", "--no-config", script],
    stdin: "null",
    stderr: "null",
  }).output();
  return Number(new TextDecoder().decode(stdout));
}

const released = (dir: string) => {
  try {
    return Deno.readTextFileSync(`${dir}/released`) === "released\n";
  } catch {
    return false;
  }
};

for (
  const [how, ending] of [
    ["is killed", 'Deno.kill(Deno.pid, "SIGKILL")'],
    ["ends by an exception that nobody catches", 'throw new Error("boom")'],
    ["exits", "Deno.exit(2)"],
  ] as const
) {
  Deno.test(`a minder releases when who started it ${how}, and is gone then`, async () => {
    const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      const pid = await endAfterMinding(dir, ending);
      await until("it has released", () => released(dir));
      await until("it is gone", () => !isAlive(pid));
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

Deno.test("a minder that is dismissed does nothing more, and leaves nobody behind", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const started = startRestoreWatchdog(["touch", `${dir}/released`])!;
    assert.deepEqual([isAlive(started.pid), childrenOf(started.pid)], [true, []]);
    await started.dismiss();
    assert.throws(() => Deno.statSync(`/proc/${started.pid}`), Deno.errors.NotFound);
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a minder that somebody has ended can be dismissed as well", async () => {
  const started = startRestoreWatchdog(["true"])!;
  Deno.kill(started.pid, "SIGKILL");
  await until("it is gone", () => !isAlive(started.pid));
  await started.dismiss();
});
