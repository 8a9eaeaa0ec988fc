/**
 * The race on a machine that is itself out of memory, CPU and disk. It is not won each time (docs/reliability.md), so that it is
 * run only when `OOMKIT_STARVATION_RUNS` says how often; the figures are printed:
 *
 *     scripts/guest --disk 512 --memory 1536 --env OOMKIT_STARVATION_RUNS=20 tests/kernel/starvation_test.ts
 */

import assert from "node:assert/strict";
import { isKillAction, kernelKills, startGuarded } from "../helpers/guarded.ts";
import { eatToDeath, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import type { Json } from "../helpers/event_stream.ts";
import { starve, whyNotStarved } from "../helpers/starved_machine.ts";

const RUNS = Number(Deno.env.get("OOMKIT_STARVATION_RUNS") ?? 0);
const LIMIT = 64 * MIB;
/** Beside what the cgroup takes, for the kernel itself. */
const LEAVE = LIMIT + 16 * MIB;
/** Who is told of a new cgroup has much to read again from a disk that is busy. */
const SILENCE_MS = 300_000;
const why = whyNotStarved();

/** Bytes of files that are mapped and in memory; faults that waited for the disk. */
function pagesOf(pid: number): { readonly file: number; readonly faults: number } {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    file: 1024 * Number(/^RssFile:\s+(\d+) kB/m.exec(status)![1]),
    faults: Number(fields[9]),
  };
}

/** As deploy/systemd/oomkit-guard.service has it. */
const MEMORY_MIN = 128 * MIB;

/**
 * @param isProtected its own cgroup has memory.min, so that what is mapped of its files stays.
 * @returns how many were won.
 */
async function race(mode: string, isProtected = false): Promise<number> {
  // Its own copy on the disk: what lies in the machine's first root never leaves memory.
  const program = "/disk/oomkit";
  Deno.copyFileSync(oomkit()[0]!, program);
  let wins = 0;
  try {
    await using parent = makeRealCgroup("starved");
    const words = ["--policy", "process", "--mode", mode, "-r", parent.path];
    // A guard needs somebody to guard.
    const first = parent.child("first");
    first.limit(LIMIT);
    await using home = makeRealCgroup("home");
    if (isProtected) home.write("memory.min", MEMORY_MIN);
    // Whoever reads a page of a file first is charged for it.
    new Deno.Command("sync").outputSync();
    Deno.writeTextFileSync("/proc/sys/vm/drop_caches", "3");
    const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
    await using guarded = await startGuarded(words, {
      program: ["sh", "-c", enter, home.dir, program],
      heartbeatAge: SILENCE_MS,
    });
    await using machine = starve();
    for (let run = 0; run < RUNS; run++) {
      const cgroup = parent.child(`run-${run}`);
      cgroup.limit(LIMIT);
      await guarded.next(({ type, cgroup: path }) =>
        type === "guard_armed" && path === cgroup.path
      );
      machine.squeeze(LEAVE, isProtected ? pagesOf(guarded.pid).file : 0);
      const before = pagesOf(guarded.pid);
      await eatToDeath(cgroup);
      const kills = kernelKills(cgroup);
      const isDeedThere = (event: Json) => isKillAction(event) && event.cgroup === cgroup.path;
      const action = kills === 0 ? await guarded.next(isDeedThere) : undefined;
      const reads = pagesOf(guarded.pid).faults - before.faults;
      const hasWon = action?.outcome === "killed";
      if (hasWon) wins++;
      const after = action ? `struck after ${action.signal_ms} ms` : "the kernel was first";
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
      `on a machine without memory, CPU and disk ${mode} still wins`,
      async () => assert.equal(await race(mode), RUNS),
      { only, why },
    );
  }
  kernelTest(
    "on a machine without memory, CPU and disk throttle wins where the guard's own memory is protected",
    async () => assert.equal(await race("throttle", true), RUNS),
    { only: 2, why },
  );
  kernelTest(
    "on a machine without memory, CPU and disk a guard that only notifies is there for the race",
    async () => void await race("notify"),
    { only: 1, why },
  );
}
