/** Costs of watching many idle cgroups. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { createBenchCgroup, makeChildren } from "./cgroups.ts";
import { costsOf, cpuSeconds } from "./process_costs.ts";
import { against, type Measured, mebibytes, type Row, summarize } from "./statistics.ts";
import { startWatch } from "./watching.ts";
import { progress } from "../progress.ts";

const CGROUPS = 1000;
const RUNS = 3;
/** Length of a run: the pause between two full reads of the watch, so that each run has one. */
const SECONDS = 30;
const TARGET = 0.5;

export async function idle(): Promise<Measured> {
  const parent = createBenchCgroup();
  for (const { dir, hierarchy } of makeChildren(parent, CGROUPS)) {
    Deno.writeTextFileSync(`${dir}/${hierarchy.version.limitFile}`, String(64 * 1024 ** 2));
  }
  const plain = await watched(parent, "oomkit watch -r", []);
  const thresholds = await watched(parent, "oomkit watch -r --threshold 90%", [
    "--threshold",
    "90%",
  ]);
  const title = `idle watch of ${CGROUPS} cgroups, ${SECONDS} s each`;
  return {
    tables: [
      { title, unit: "% of a core", rows: [plain.row, thresholds.row] },
      { title: "until it is armed", unit: "ms", rows: [plain.armed, thresholds.armed] },
    ],
    lines: [plain, thresholds].map(({ row, costs }) => `${row.what}: ${costs}`),
  };
}

async function watched(parent: Cgroup, what: string, args: readonly string[]) {
  const start = performance.now();
  await using watch = await startWatch(["-r", parent.path, ...args]);
  const armedAfter = performance.now() - start;
  const shares: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    progress.show(`bench: idle, ${what}`, run, RUNS);
    const before = cpuSeconds(watch.pid);
    const began = performance.now();
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
    const passed = (performance.now() - began) / 1000;
    shares.push(100 * (cpuSeconds(watch.pid) - before) / passed);
  }
  const summary = summarize(shares);
  const row: Row = { what, summary, remark: against(TARGET, summary.median, "%") };
  const armed: Row = { what, summary: summarize([armedAfter]) };
  return { row, armed, costs: costsLine(watch.pid) };
}

function costsLine(pid: number): string {
  const { resident, anonymous, descriptors } = costsOf(pid);
  return `${mebibytes(resident)} resident, ${
    mebibytes(anonymous)
  } of it anonymous, ${descriptors} open files`;
}
