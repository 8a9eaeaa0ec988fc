/**
 * The race between guard and kernel on a machine that is short of memory, CPU and disk. The guard does not win each time
 * (docs/reliability.md), so that the test runs only with `OOMKIT_STARVATION_RUNS`, the number of runs; it prints figures:
 *
 *     scripts/guest --disk 512 --memory 1536 --env OOMKIT_STARVATION_RUNS=20 tests/kernel/starvation_test.ts
 */

import assert from "node:assert/strict";
import { isArmed, isKillAction, kernelKills, startGuarded } from "../helpers/guarded.ts";
import { allocateUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import type { Json } from "../helpers/event_stream.ts";
import { starve, whyNotStarved } from "../helpers/starved_machine.ts";

const RUNS = Number(Deno.env.get("OOMKIT_STARVATION_RUNS") ?? 0);
const LIMIT = 64 * MIB;
/** Bytes left free: what the cgroup needs, and some for the kernel itself. */
const FREE_BYTES = LIMIT + 16 * MIB;
/** After a new cgroup the guard reads many pages again from a busy disk. */
const MAX_MS_BETWEEN_EVENTS = 300_000;
const why = whyNotStarved();

/** Bytes of mapped files in memory, and page faults that waited for the disk. */
function pagesOf(pid: number): { readonly file: number; readonly faults: number } {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    file: 1024 * Number(/^RssFile:\s+(\d+) kB/m.exec(status)![1]),
    faults: Number(fields[9]),
  };
}

/** The value in deploy/systemd/oomkit-guard.service. */
const MEMORY_MIN = 128 * MIB;

/**
 * @param isProtected whether the guard's own cgroup has memory.min, which keeps its mapped files in memory
 * @returns how many runs the guard won
 */
async function race(mode: string, isProtected = false): Promise<number> {
  // A copy on the disk: files of the initramfs never leave memory.
  const program = "/disk/oomkit";
  Deno.copyFileSync(oomkit()[0]!, program);
  let wins = 0;
  try {
    await using parent = makeRealCgroup("starved");
    const words = ["--policy", "process", "--mode", mode, "-r", parent.path];
    // A guard needs a cgroup with a limit to start.
    const first = parent.child("first");
    first.limit(LIMIT);
    await using home = makeRealCgroup("home");
    if (isProtected) home.write("memory.min", MEMORY_MIN);
    // The cgroup that reads a page of a file first is charged for it.
    new Deno.Command("sync").outputSync();
    Deno.writeTextFileSync("/proc/sys/vm/drop_caches", "3");
    const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
    await using guarded = await startGuarded(words, {
      program: ["sh", "-c", enter, home.dir, program],
      timeout: MAX_MS_BETWEEN_EVENTS,
    });
    await using machine = starve();
    for (let run = 0; run < RUNS; run++) {
      const cgroup = parent.child(`run-${run}`);
      cgroup.limit(LIMIT);
      await guarded.next(isArmed(cgroup));
      machine.squeeze(FREE_BYTES, isProtected ? pagesOf(guarded.pid).file : 0);
      const before = pagesOf(guarded.pid);
      await allocateUntilKilled(cgroup);
      const kills = kernelKills(cgroup);
      const isKillThere = (event: Json) => isKillAction(event) && event.cgroup === cgroup.path;
      const action = kills === 0 ? await guarded.next(isKillThere) : undefined;
      const reads = pagesOf(guarded.pid).faults - before.faults;
      const hasWon = action?.outcome === "killed";
      if (hasWon) wins++;
      const after = action ? `signalled in ${action.signal_ms} ms` : "the kernel killed first";
      // deno-lint-ignore no-console
      console.log(
        `${mode}${isProtected ? ", memory.min" : ""}, run ${run + 1}: ${
          hasWon ? "won" : "lost"
        }, ${after}; ` +
          `${
            (before.file / MIB).toFixed(1)
          } MiB of its files in memory before, ${reads} reads from disk since`,
      );
    }
  } finally {
    Deno.removeSync(program);
  }
  return wins;
}

if (RUNS > 0) {
  for (const [mode, only] of [["throttle", 2], ["hold", 1]] as const) {
    kernelTest(
      `on a machine short of memory, CPU and disk, the guard kills before the kernel in ${mode} mode`,
      async () => assert.equal(await race(mode), RUNS),
      { only, why },
    );
  }
  kernelTest(
    "on a machine short of memory, CPU and disk, a guard with memory.min kills before the kernel in throttle mode",
    async () => assert.equal(await race("throttle", true), RUNS),
    { only: 2, why },
  );
  kernelTest(
    "on a machine short of memory, CPU and disk, a guard in notify mode completes the race",
    async () => void await race("notify"),
    { only: 1, why },
  );
}
