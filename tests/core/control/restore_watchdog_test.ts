import assert from "node:assert/strict";
import {
  type RestoreWatchdog,
  startRestoreWatchdog,
} from "../../../core/control/restore_watchdog.ts";
import { childrenOf, isAlive, until } from "../../helpers/guarded.ts";

const restoreWatchdog = new URL("../../../core/control/restore_watchdog.ts", import.meta.url).href;

/** Runs a program that starts a watchdog and then ends. Returns the pid of the watchdog. */
async function endAfterStart(dir: string, ending: string): Promise<number> {
  const script = `${dir}/script.ts`;
  Deno.writeTextFileSync(
    script,
    `import { startRestoreWatchdog } from ${JSON.stringify(restoreWatchdog)};
    console.log(startRestoreWatchdog(["sh", "-c", "echo restored > '${dir}/restored'"]).pid);
    setTimeout(() => { ${ending} });`,
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", "--no-config", script],
    stdin: "null",
    stderr: "null",
  }).output();
  return Number(new TextDecoder().decode(stdout));
}

function start(restoreCommand: readonly string[]): RestoreWatchdog {
  const started = startRestoreWatchdog(restoreCommand);
  assert.ok("pid" in started);
  return started;
}

const hasRestored = (dir: string) => {
  try {
    return Deno.readTextFileSync(`${dir}/restored`) === "restored\n";
  } catch {
    return false;
  }
};

for (
  const [how, ending] of [
    ["is killed", 'Deno.kill(Deno.pid, "SIGKILL")'],
    ["ends by an uncaught exception", 'throw new Error("boom")'],
    ["exits", "Deno.exit(2)"],
  ] as const
) {
  Deno.test(`the watchdog restores when its guard ${how}, and exits`, async () => {
    const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    try {
      const pid = await endAfterStart(dir, ending);
      await until("it has restored", () => hasRestored(dir));
      await until("it is gone", () => !isAlive(pid));
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

Deno.test("a dismissed watchdog does nothing and leaves no process behind", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const started = start(["touch", `${dir}/restored`]);
    assert.deepEqual([isAlive(started.pid), childrenOf(started.pid)], [true, []]);
    await started.dismiss();
    assert.throws(() => Deno.statSync(`/proc/${started.pid}`), Deno.errors.NotFound);
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a watchdog that was killed can be dismissed as well", async () => {
  const started = start(["true"]);
  Deno.kill(started.pid, "SIGKILL");
  await until("it is gone", () => !isAlive(started.pid));
  await started.dismiss();
});

Deno.test("without a shell there is no watchdog, and a reason", () => {
  const path = Deno.env.get("PATH")!;
  Deno.env.set("PATH", "/nonexistent");
  try {
    const started = startRestoreWatchdog(["true"]);
    assert.match("failed" in started ? started.failed : "", /^cannot start sh: ./);
  } finally {
    Deno.env.set("PATH", path);
  }
});
