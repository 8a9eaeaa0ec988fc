/** What is no reason to kill on a guarded machine: only in the emulated one. Its memory, swap and clock are changed. */

import assert from "node:assert/strict";
import { killActionsOf, startGuarded } from "../helpers/guarded.ts";
import { HOURS, takeClock } from "../helpers/clock_steps.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { machineKills, meminfo, startAllocator, whyNotFilled } from "../helpers/filled_machine.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { isThere } from "../helpers/is_there.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { meminfoOf } from "../helpers/meminfo.ts";
import { diskSwap, swapUsed, whyNoDiskSwap, whyNoZram, zramSwap } from "../helpers/swap.ts";
import type { EventStream, Json } from "../helpers/event_stream.ts";

const why = whyNotFilled();
/** The emulated machine fills its memory as fast as a real one, and reads much more slowly. */
const KILLS = ["--machine", "--policy", "process", "--margin-ratio", "0.2", "--max-margin", "1G"];

const isArmedMachine = (event: Json) => event.type === "guard_armed" && event.cgroup === "/";
const isLevelOfMachine = (level: string) => (event: Json) =>
  event.type === "level_reached" && event.cgroup === "/" && event.level === level;

async function startOnMachine(...words: string[]): Promise<EventStream> {
  const guarded = await startGuarded([...KILLS, ...words]);
  await guarded.next(isArmedMachine);
  return guarded;
}

/** A guard that kills nothing may be one that does not work. */
async function assertKillsInTime(guarded: EventStream): Promise<void> {
  const before = machineKills();
  const allocator = startAllocator();
  await allocator.status;
  assert.equal(machineKills(), before, "the kernel has killed");
  await guarded.next((event) => event.type === "action" && event.victim?.pid === allocator.pid);
  const killed = killActionsOf(await guarded.stop()).map(({ victim }) => victim.pid);
  assert.deepEqual(new Set(killed), new Set([allocator.pid]), "and nothing before");
}

/** Binds a file or directory over one of /proc. */
function bindOver(path: string, over: string): Disposable {
  const mount = (command: string, ...args: string[]) =>
    new Deno.Command(command, { args }).outputSync().success;
  assert.ok(mount("mount", "--bind", over, path));
  return { [Symbol.dispose]: () => void mount("umount", path) };
}

kernelTest("huge pages that take half of the memory are no reason to kill", async () => {
  await using guarded = await startOnMachine();
  const pages = "/proc/sys/vm/nr_hugepages";
  Deno.writeTextFileSync(pages, String(Math.floor(meminfo("MemTotal") / 2 / (2 * MIB))));
  try {
    assert.ok(meminfo("Hugetlb") > 0.3 * meminfo("MemTotal"));
    await assertKillsInTime(guarded);
  } finally {
    Deno.writeTextFileSync(pages, "0");
  }
}, { why });

const SWAPS = [
  ["on a disk", whyNoDiskSwap, diskSwap],
  ["on zram", whyNoZram, zramSwap],
] as const;

for (const [where, why, startSwap] of SWAPS) {
  kernelTest(`while swap ${where} has room for what memory has not nothing is killed`, async () => {
    const before = machineKills();
    using _swap = startSwap(192 * MIB);
    using _held = holdAllBut(256 * MIB);
    await using guarded = await startGuarded(["--machine", "--policy", "process"]);
    await guarded.next(isArmedMachine);
    await using cgroup = makeRealCgroup("swapped");
    await using process = await startHungryProcess(cgroup);
    while (swapUsed() < 32 * MIB) await process.feed(4 * MIB);
    await guarded.next(isLevelOfMachine("imminent"));
    await guarded.next((event) => event.type === "action_skipped" && event.reason === "swap");
    assert.deepEqual(killActionsOf(await guarded.stop()), []);
    assert.equal(machineKills(), before);
  }, { why });
}

kernelTest("a machine full of page cache has nothing killed", async () => {
  await using guarded = await startOnMachine();
  const path = `/disk/oomkit-test-${Deno.pid}`;
  const cache = () => meminfo("Active\\(file\\)") + meminfo("Inactive\\(file\\)");
  try {
    using _ = holdAllBut(256 * MIB);
    using file = Deno.openSync(path, { write: true, create: true });
    const piece = new Uint8Array(4 * MIB);
    while (cache() < meminfo("MemFree")) file.writeSync(piece);
    assert.deepEqual(killActionsOf(guarded.events), []);
  } finally {
    Deno.removeSync(path);
  }
  await assertKillsInTime(guarded);
}, { why: whyNoDiskSwap });

/** Takes memory away with huge pages, which count neither as memory nor as usage. */
function holdAllBut(bytes: number): Disposable {
  const pages = "/proc/sys/vm/nr_hugepages";
  const count = Math.floor((meminfo("MemAvailable") - bytes) / (2 * MIB));
  Deno.writeTextFileSync("/proc/sys/vm/compact_memory", "1");
  Deno.writeTextFileSync(pages, String(count));
  return { [Symbol.dispose]: () => Deno.writeTextFileSync(pages, "0") };
}

kernelTest("without PSI the guard says so, and kills in time by its polls", async () => {
  const empty = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    // Absent in a machine that was booted with psi=0.
    using _ = isThere("/proc/pressure") ? bindOver("/proc/pressure", empty) : undefined;
    await using guarded = await startOnMachine();
    await guarded.next(({ type, requested }) => type === "degraded" && requested === "PSI trigger");
    assert.match(guarded.stderr, /machine: polls only \(no PSI trigger\)/);
    await assertKillsInTime(guarded);
  } finally {
    Deno.removeSync(empty);
  }
}, { why });

kernelTest(
  "a /proc/meminfo with figures of a container and of the machine is refused",
  async () => {
    const file = Deno.makeTempFileSync({ prefix: "oomkit-test-" });
    try {
      Deno.writeTextFileSync(file, meminfoOf({ MemTotal: 1000, MemAvailable: 12_000 }));
      using _ = bindOver("/proc/meminfo", file);
      const { code, stderr } = await runOomkit(["guard", ...KILLS]);
      assert.equal(code, 2);
      assert.match(stderr, /^oomkit: cannot guard the machine: \/proc\/meminfo has no [^\n]+\n$/);
    } finally {
      Deno.removeSync(file);
    }
  },
  { why },
);

kernelTest(
  "a /proc/meminfo with half of memory in slab that cannot be reclaimed is no reason to kill",
  async () => {
    const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    const file = `${directory}/meminfo`;
    try {
      Deno.writeTextFileSync(file, meminfoOf({ MemAvailable: 5000, SUnreclaim: 8000 }));
      using _ = bindOver("/proc/meminfo", file);
      await using guarded = await startOnMachine("--poll", "10ms");
      await guarded.next(isLevelOfMachine("warn"));
      assert.deepEqual(killActionsOf(await guarded.stop()), []);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
  { why },
);

kernelTest(
  "a clock that jumps while the guard is stopped, as in a hibernation, has nothing killed",
  async () => {
    await using guarded = await startOnMachine("--on-critical", "process", "--psi", "some:1%/1s");
    using clock = takeClock();
    Deno.kill(guarded.pid, "SIGSTOP");
    clock.step(24 * HOURS);
    Deno.kill(guarded.pid, "SIGCONT");
    await assertKillsInTime(guarded);
  },
  { why },
);

kernelTest("in a pid namespace of its own the machine is refused", async () => {
  const { code, stderr } = await runOomkit(["guard", ...KILLS], {
    wrap: ["unshare", "-p", "-f", "--mount-proc"],
  });
  assert.equal(code, 2);
  assert.match(stderr, /^oomkit: cannot guard the machine: its cgroups and processes [^\n]+\n$/);
}, { why });

kernelTest("a running systemd-oomd is named at the start", async () => {
  const script = "echo systemd-oomd >/proc/self/comm; read -r line";
  const other = new Deno.Command("sh", { args: ["-c", script], stdin: "piped" }).spawn();
  try {
    await using guarded = await startOnMachine();
    assert.ok(guarded.stderr.includes(`systemd-oomd (pid ${other.pid}) also kills processes`));
  } finally {
    await other.stdin.close();
    await other.status;
  }
}, { why });
