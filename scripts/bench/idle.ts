/** Costs of watching many idle cgroups. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { MIB } from "../cgroups.ts";
import { progress } from "../terminal.ts";
import { createBenchCgroup, makeChildren } from "./cleanup.ts";
import { costsOf, cpuShare } from "./costs.ts";
import { startWatch } from "./programs.ts";
import { against, type Measured, mebibytes, row, summarize } from "./statistics.ts";

const CGROUPS = 1000;
const RUNS = 3;
/** Length of a run: the pause between two full reads of the watch, so that each run has one. */
const SECONDS = 30;
const TARGET = 0.5;

export async function idle(): Promise<Measured> {
  const parent = createBenchCgroup();
  makeChildren(parent, CGROUPS, 64 * MIB);
  const measured = [await watched(parent), await watched(parent, "--threshold", "90%")];
  const title = `idle watch of ${CGROUPS} cgroups, ${SECONDS} s each`;
  return {
    tables: [
      { title, unit: "% of a core", rows: measured.map(({ share }) => share) },
      { title: "until it is armed", unit: "ms", rows: measured.map(({ armed }) => armed) },
    ],
    lines: measured.map(({ costs }) => costs),
  };
}

async function watched(parent: Cgroup, ...options: readonly string[]) {
  const what = ["oomkit watch -r", ...options].join(" ");
  const start = performance.now();
  await using watch = await startWatch(["-r", parent.path, ...options]);
  const armed = row(what, [performance.now() - start]);
  const shares: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    progress.show(`bench: idle, ${what}`, run, RUNS);
    shares.push(await cpuShare(watch.pid, SECONDS * 1000));
  }
  const share = row(what, shares, against(TARGET, summarize(shares).median, "%"));
  const { resident, anonymous, descriptors } = costsOf(watch.pid);
  const costs = `${what}: ${mebibytes(resident)} resident, ${
    mebibytes(anonymous)
  } of it anonymous, ${descriptors} open files`;
  return { share, armed, costs };
}
