/** Reading the usage of many cgroups in turn: files kept open against files opened at each read. */

import { type OpenControlFile, openControlFile } from "../../core/kernel/control_file.ts";
import { libc } from "../../core/kernel/libc.ts";
import { createBenchCgroup, makeChildren } from "./cleanup.ts";
import { allocatedBy } from "./costs.ts";
import { against, figure, type Measured, row, summarize } from "./statistics.ts";

const CGROUPS = 1000;
const RUNS = 100;
/** One sweep takes 60 ms. */
const ASYNC_RUNS = 30;
const KEPT_TARGET = 1.6;
/** Bytes of garbage per file; a BigInt is larger. */
const HEAP_TARGET = 1;

export async function sweep(): Promise<Measured> {
  const cgroups = makeChildren(createBenchCgroup(), CGROUPS);
  const usage = cgroups.map(({ dir, hierarchy }) => `${dir}/${hierarchy.version.usageFile}`);
  const stat = cgroups.map(({ dir }) => `${dir}/memory.stat`);

  const readNaively = () => {
    for (const path of usage) Number(Deno.readTextFileSync(path));
  };
  const naive = await measure(RUNS, readNaively);
  const later = await measure(ASYNC_RUNS, async () => {
    for (const path of usage) Number(await Deno.readTextFile(path));
  });
  const naiveStat = await measure(RUNS, () => {
    for (const path of stat) Deno.readTextFileSync(path);
  });
  const { floor, kept, garbage } = await keptOpen(usage, keptUsage);
  const keptStat = await keptOpen(stat, (files) =>
    measure(RUNS, () => {
      for (const file of files) file.text();
    }));

  const times = (own: number[], other: number[]) => summarize(own).median / summarize(other).median;
  const ratio = (own: number[], other: number[], what: string) =>
    `${times(own, other).toFixed(2)} × ${what}`;
  const target = `${against(KEPT_TARGET, times(kept, floor), "× the floor")}; ${
    ratio(kept, naive, "the naive way")
  }`;
  const rows = [
    row("usage, pread(2) alone, kept open", floor, "the floor: the same FFI, nothing parsed"),
    row("usage, kept open", kept, target),
    row("usage, Deno.readTextFileSync", naive, "the naive way"),
    row("usage, await Deno.readTextFile", later, ratio(later, naive, "the naive way")),
    row("memory.stat, kept open", keptStat, ratio(keptStat, naiveStat, "the naive way")),
    row("memory.stat, Deno.readTextFileSync", naiveStat, "the naive way"),
  ];
  return {
    tables: [{ title: `one read, in a sweep of ${CGROUPS} cgroups`, unit: "µs", rows }],
    lines: [
      `left on V8's heap by a sweep of usage, kept open, for each file: ${
        against(HEAP_TARGET, garbage, "bytes")
      } (${figure(allocatedBy(readNaively, 20) / CGROUPS)} by the naive way)`,
    ],
  };
}

/** Both in turn, so that other load affects both alike. */
async function keptUsage(files: readonly OpenControlFile[]) {
  const { pread } = libc();
  const buffer = new Uint8Array(4096);
  const size = BigInt(buffer.length);
  const read = () => {
    for (const file of files) file.number();
  };
  const readAlone = () => {
    for (const { fd } of files) pread(fd.number, buffer, size, 0n);
  };
  const floor: number[] = [];
  const kept: number[] = [];
  for (let run = 0; run < RUNS / 10; run++) {
    floor.push(...await measure(10, readAlone));
    kept.push(...await measure(10, read));
  }
  return { floor, kept, garbage: allocatedBy(read, 2 * RUNS) / CGROUPS };
}

/** Opens the files for the time of `use`. */
export async function keptOpen<Result>(
  paths: readonly string[],
  use: (files: readonly OpenControlFile[]) => Result | Promise<Result>,
): Promise<Result> {
  const files = paths.map(openControlFile);
  try {
    return await use(files);
  } finally {
    for (const file of files) file.close();
  }
}

/** Microseconds per read, averaged over each sweep. The first sweeps warm up V8. */
async function measure(runs: number, action: () => void | Promise<void>): Promise<number[]> {
  const times: number[] = [];
  for (let run = -5; run < runs; run++) {
    const start = performance.now();
    await action();
    if (run >= 0) times.push(1000 * (performance.now() - start) / CGROUPS);
  }
  return times;
}
