/** The machine itself, guarded: only in the emulated machine, which is filled. */

import assert from "node:assert/strict";
import {
  isAlive,
  isKillAction,
  killActionsOf,
  restoreWatchdogOf,
  startGuarded,
  until,
} from "../helpers/guarded.ts";
import { isThere } from "../helpers/is_there.ts";
import { machineKills, meminfo, startAllocator, whyNotFilled } from "../helpers/filled_machine.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import type { Json } from "../helpers/event_stream.ts";

const why = whyNotFilled();
const RUNS = 3;
/** The emulated machine fills its memory as fast as a real one, and reads much more slowly. */
const WIDE = ["--margin-ratio", "0.2", "--max-margin", "1G"];

const isArmedMachine = (event: Json) => event.type === "guard_armed" && event.cgroup === "/";

/** Prints how close it was: the figures of the last kill. */
function printFigures(
  what: string,
  { usage_before: usage, limit, signal_ms, exit_ms, freed }: Json,
) {
  // deno-lint-ignore no-console
  console.log(
    `${what}: killed with ${((limit - usage) / MIB).toFixed(1)} MiB available, ` +
      `signalled in ${signal_ms} ms, exited in ${exit_ms} ms, freed ${
        (freed / MIB).toFixed(0)
      } MiB`,
  );
}

kernelTest(
  "the guard kills the process that fills the machine before the kernel does, and spares a larger one that is ignored",
  async () => {
    const before = machineKills();
    const words = ["--machine", "--policy", "process", "--ignore", "^tail -c", ...WIDE];
    await using guarded = await startGuarded(words);
    await guarded.next(isArmedMachine);
    // Larger than what the other one can reach: the kernel would kill it first.
    await using cgroup = makeRealCgroup("ignored");
    const bytes = Math.floor(0.45 * meminfo("MemAvailable"));
    await using ignored = await startHungryProcess(cgroup, { maxBytes: 2 * bytes });
    await ignored.feed(bytes);
    for (let run = 0; run < RUNS; run++) {
      const allocator = startAllocator();
      const { signal } = await allocator.status;
      assert.equal(machineKills(), before, "the kernel has killed");
      const action = await guarded.next((event) =>
        isKillAction(event) && event.victim?.pid === allocator.pid
      );
      // A slow machine can take more than the 5 s after which a victim is reported as survived.
      assert.deepEqual([action.signal, signal], ["SIGKILL", "SIGKILL"]);
      assert.equal(action.cgroup, "/");
      printFigures(`run ${run + 1}`, {
        ...action,
        limit: meminfo("MemTotal") - meminfo("Hugetlb"),
      });
    }
    assert.ok(isAlive(ignored.pid));
    const killed = killActionsOf(await guarded.stop()).map(({ victim }) => victim.pid);
    assert.equal(new Set(killed).size, RUNS);
  },
  { why },
);

kernelTest(
  "with --policy container the cgroup of the process that fills the machine is killed, except for what is ignored",
  async () => {
    const before = machineKills();
    const words = ["--machine", "--policy", "container", "--ignore", "^cat /dev/kmsg$", ...WIDE];
    await using guarded = await startGuarded(words);
    await guarded.next(isArmedMachine);
    await using cgroup = makeRealCgroup("service");
    const enter = `echo 0 > "${cgroup.dir}/cgroup.procs"`;
    const start = (script: string) =>
      new Deno.Command("sh", {
        args: ["-c", `${enter} && ${script}`],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
    const ignored = start("exec cat /dev/kmsg");
    const innocent = start("exec sleep 1000");
    const allocator = start("exec tail /dev/zero");
    try {
      await Promise.all([allocator.status, innocent.status]);
      assert.equal(machineKills(), before, "the kernel has killed");
      const action = await guarded.next(isKillAction);
      assert.equal(action.victim.pid, allocator.pid);
      assert.equal(action.killed_cgroup, cgroup.path);
      assert.ok(isAlive(ignored.pid));
    } finally {
      ignored.kill("SIGKILL");
      await ignored.status;
    }
  },
  { why },
);

/** Of v1, where a frozen process does not exit. */
const FREEZER = "/sys/fs/cgroup/freezer";

/** A process that was sent SIGKILL and cannot exit, as one that waits for a file server that does not answer. */
async function startStuck(): Promise<AsyncDisposable> {
  const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  const dir = `${FREEZER}/oomkit-test-${child.pid}`;
  const set = (state: string) => Deno.writeTextFileSync(`${dir}/freezer.state`, state);
  Deno.mkdirSync(dir);
  Deno.writeTextFileSync(`${dir}/cgroup.procs`, String(child.pid));
  set("FROZEN");
  const isFrozen = () => Deno.readTextFileSync(`${dir}/freezer.state`) === "FROZEN\n";
  await until("it is frozen", isFrozen);
  child.kill("SIGKILL");
  return {
    async [Symbol.asyncDispose]() {
      set("THAWED");
      await child.status;
      Deno.removeSync(dir);
    },
  };
}

kernelTest(
  "a small process that was sent SIGKILL and cannot exit keeps no other one from being killed",
  async () => {
    const before = machineKills();
    await using guarded = await startGuarded(["--machine", "--policy", "process", ...WIDE]);
    await guarded.next(isArmedMachine);
    await using _ = await startStuck();
    const allocator = startAllocator();
    await allocator.status;
    assert.equal(machineKills(), before, "the kernel has killed");
    await guarded.next((event) => isKillAction(event) && event.victim?.pid === allocator.pid);
  },
  { only: 1, why: why ?? (isThere(FREEZER) ? undefined : "there is no freezer hierarchy") },
);

kernelTest(
  "files in a tmpfs and page cache up to the last tenth of memory have nothing killed",
  async () => {
    const before = machineKills();
    await using guarded = await startGuarded(["/", "--policy", "process"]);
    await guarded.next(isArmedMachine);
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    const mount = (...args: string[]) => new Deno.Command("mount", { args }).outputSync();
    assert.ok(mount("-t", "tmpfs", "-o", "size=100%", "tmpfs", directory).success);
    try {
      const piece = new Uint8Array(16 * MIB);
      using file = Deno.openSync(`${directory}/file`, { write: true, create: true });
      while (meminfo("MemAvailable") > 0.1 * meminfo("MemTotal")) file.writeSync(piece);
      await guarded.next((event) => event.type === "level_reached" && event.level === "warn");
    } finally {
      new Deno.Command("umount", { args: ["-l", directory] }).outputSync();
      Deno.removeSync(directory);
    }
    const rest = await guarded.stop();
    assert.deepEqual(killActionsOf(rest), []);
    assert.equal(machineKills(), before);
  },
  { why },
);

/** Bytes of mapped files that stay in memory. */
const lockedBytes = (pid: number): number =>
  1024 * Number(/^VmLck:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]);

kernelTest(
  "a guard of the machine keeps its program in memory, and one of a cgroup does not",
  async () => {
    await using cgroup = makeRealCgroup("small");
    cgroup.limit(64 * MIB);
    const locked: number[] = [];
    for (const target of [cgroup.path, "--machine"]) {
      await using guarded = await startGuarded([target, "--policy", "process", "--dry-run"]);
      locked.push(lockedBytes(guarded.pid));
    }
    assert.equal(locked[0], 0);
    assert.ok(locked[1]! > 40 * MIB, `${locked[1]} bytes`);
  },
  { why },
);

kernelTest(
  "a guard of the machine that may not lock memory says so, and guards all the same",
  async () => {
    const words = ["--machine", "--policy", "process", "--dry-run"];
    const wrap = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
    await using guarded = await startGuarded(words, { program: [...wrap, ...oomkit()] });
    await guarded.next(isArmedMachine);
    const degraded = await guarded.next(({ type }) => type === "degraded");
    assert.match(degraded.message, /^program locked in memory → none: mlock2: (ENOMEM|EPERM) /);
  },
  { why },
);

kernelTest(
  "the watchdog that restores for a guard is never killed for the machine, nor by the kernel",
  async () => {
    await using guarded = await startGuarded(["--machine", "--policy", "process"]);
    const watchdog = restoreWatchdogOf(guarded.pid);
    await until(
      "it is protected",
      () => Deno.readTextFileSync(`/proc/${watchdog}/oom_score_adj`).trim() === "-1000",
    );
  },
  { why },
);
