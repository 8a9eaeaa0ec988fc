/** What it costs to watch many cgroups in which nothing happens. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { makeBenchCgroup, makeChildren } from "./cgroups.ts";
import { against, figure, type Row, summarize, tableLines } from "./statistics.ts";
import { startWatch } from "./watching.ts";

const CGROUPS = 1000;
const RUNS = 3;
/** Of one run. As long as the pause between two sweeps of the watch, so that each run holds one. */
const SECONDS = 30;
const TARGET = 0.5;
/** What /proc counts in, on every architecture (kernel: USER_HZ). */
const TICKS_PER_SECOND = 100;

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
  return { row, costs: `armed after ${figure(armedAfter)} ms, ${costsOf(watch.pid)}` };
}

/** User and system time of all threads, the ended ones as well: proc(5), fields 14 and 15. */
function cpuSeconds(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function costsOf(pid: number): string {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const mebibytes = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
    return `${figure(Number(kilobytes) / 1024)} MiB`;
  };
  const descriptors = [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
  return `${mebibytes("VmRSS")} resident, ${
    mebibytes("RssAnon")
  } of it anonymous, ${descriptors} open files`;
}
