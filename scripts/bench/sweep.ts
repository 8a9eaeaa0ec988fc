/** Usage of many cgroups, read one after the other: files that stay open against files that are opened each time. */

import { openKept } from "../../core/kernel/kept_file.ts";
import { makeBenchCgroup, makeChildren } from "./cgroups.ts";
import { against, type Row, summarize, tableLines } from "./statistics.ts";

const CGROUPS = 1000;
const RUNS = 100;
/** One takes 60 ms. */
const ASYNC_RUNS = 30;
const KEPT_TARGET = 1.5;

export async function sweep(): Promise<string[]> {
  const cgroups = makeChildren(makeBenchCgroup(), CGROUPS);
  const usage = cgroups.map(({ dir, hierarchy }) => `${dir}/${hierarchy.dialect.usageFile}`);
  const stat = cgroups.map(({ dir }) => `${dir}/memory.stat`);

  const naive = await measure(RUNS, () => {
    for (const path of usage) Number(Deno.readTextFileSync(path));
  });
  const later = await measure(ASYNC_RUNS, async () => {
    for (const path of usage) Number(await Deno.readTextFile(path));
  });
  const naiveStat = await measure(RUNS, () => {
    for (const path of stat) Deno.readTextFileSync(path);
  });
  const kept = await keptOpen(usage, (file) => file.number());
  const keptStat = await keptOpen(stat, (file) => file.text());

  return tableLines(`one read, in a sweep of ${CGROUPS} cgroups`, "µs", [
    compared("usage, kept open", kept, naive, KEPT_TARGET),
    compared("usage, Deno.readTextFileSync", naive, naive),
    compared("usage, await Deno.readTextFile", later, naive),
    compared("memory.stat, kept open", keptStat, naiveStat),
    compared("memory.stat, Deno.readTextFileSync", naiveStat, naiveStat),
  ]);
}

function compared(what: string, own: number[], naive: number[], target?: number): Row {
  const summary = summarize(own);
  const share = summary.median / summarize(naive).median;
  const ratio = own === naive ? "the naive way" : `${share.toFixed(2)} × the naive way`;
  const met = target === undefined ? "" : `; ${against(target, summary.median, "µs")}`;
  return { what, summary, remark: `${ratio}${met}` };
}

type KeptFile = ReturnType<typeof openKept>;

async function keptOpen(paths: readonly string[], read: (file: KeptFile) => unknown) {
  const files = paths.map(openKept);
  try {
    return await measure(RUNS, () => {
      for (const file of files) read(file);
    });
  } finally {
    for (const file of files) file.close();
  }
}

/** Microseconds of one read, on average over each sweep. The first sweeps are for V8 to get warm. */
async function measure(runs: number, action: () => void | Promise<void>): Promise<number[]> {
  const times: number[] = [];
  for (let run = -5; run < runs; run++) {
    const start = performance.now();
    await action();
    if (run >= 0) times.push(1000 * (performance.now() - start) / CGROUPS);
  }
  return times;
}
