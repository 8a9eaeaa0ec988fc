/** What it costs to watch many cgroups in which nothing happens. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { makeBenchCgroup, makeChildren } from "./cgroups.ts";
import { costsOf, cpuSeconds } from "./process_costs.ts";
import { against, figure, mebibytes, type Row, summarize, tableLines } from "./statistics.ts";
import { startWatch } from "./watching.ts";

const CGROUPS = 1000;
const RUNS = 3;
/** Of one run. As long as the pause between two sweeps of the watch, so that each run holds one. */
const SECONDS = 30;
const TARGET = 0.5;

export async function idle(): Promise<string[]> {
  const parent = makeBenchCgroup();
  for (const { dir, hierarchy } of makeChildren(parent, CGROUPS)) {
    Deno.writeTextFileSync(`${dir}/${hierarchy.dialect.limitFile}`, String(64 * 1024 ** 2));
  }
  const plain = await watched(parent, "oomkit watch -r", []);
  const thresholds = await watched(parent, "oomkit watch -r --threshold 90%", [
    "--threshold",
    "90%",
  ]);
  return [
    ...tableLines(`idle watch of ${CGROUPS} cgroups, ${SECONDS} s each`, "% of a core", [
      plain.row,
      thresholds.row,
    ]),
    ...[plain, thresholds].map(({ row, costs }) => `${row.what}: ${costs}`),
  ];
}

async function watched(parent: Cgroup, what: string, args: readonly string[]) {
  const start = performance.now();
  await using watch = await startWatch(["-r", parent.path, ...args]);
  const armedAfter = performance.now() - start;
  const shares: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const before = cpuSeconds(watch.pid);
    const began = performance.now();
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
    const passed = (performance.now() - began) / 1000;
    shares.push(100 * (cpuSeconds(watch.pid) - before) / passed);
  }
  const summary = summarize(shares);
  const row: Row = { what, summary, remark: against(TARGET, summary.median, "%") };
  return { row, costs: `armed after ${figure(armedAfter)} ms, ${costsLine(watch.pid)}` };
}

function costsLine(pid: number): string {
  const { resident, anonymous, descriptors } = costsOf(pid);
  return `${mebibytes(resident)} resident, ${
    mebibytes(anonymous)
  } of it anonymous, ${descriptors} open files`;
}
