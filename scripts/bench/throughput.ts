/**
 * What a guard costs a workload that lives on its page cache just below the limit: a file is read at random, or written over and over,
 * in a cgroup without a guard and in one with it, in turn. 1.00 is no cost.
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { delegateMemory, makeChild, MIB } from "../cgroups.ts";
import { Mistake, note, parsed, progress } from "../terminal.ts";
import { createBenchCgroup, makeBenchDirectory, startChild, unlessInterrupted } from "./cleanup.ts";
import { type RaceGuard, startRaceGuard } from "./programs.ts";
import { figure, type Measured, type Row, row } from "./statistics.ts";

const LIMIT = 128 * MIB;
/** A new cgroup contains that before the file is written: the memory of its process. */
const PROGRAM = 4 * MIB;
/** By then a mode has seen that nothing but page cache fills the cgroup (core/guard/thread/throttle_switch.ts). */
const SETTLE_MS = 5000;
const ARMED_MS = 60_000;

interface Workload {
  readonly kind: "read" | "write";
  /** Size of the file, as percent of the limit. */
  readonly percent: number;
}

const WORKLOADS: readonly Workload[] = [
  { kind: "read", percent: 90 },
  { kind: "read", percent: 95 },
  { kind: "read", percent: 97 },
  { kind: "read", percent: 99 },
  { kind: "write", percent: 125 },
];

export async function throughput(args: readonly string[]): Promise<Measured> {
  const { runs, measureMs } = optionsOf(args);
  const bench = createBenchCgroup(Infinity);
  delegateMemory(bench);
  const [alone, guarded] = ["alone", "guarded"].map((name) => {
    const made = makeChild(bench, name);
    delegateMemory(made);
    return made;
  });
  const directory = makeBenchDirectory();
  const mode = bench.hierarchy.version.number === 1 ? "hold-near-limit" : "throttle";
  await using guard = await startRaceGuard(mode, guarded!, directory);
  const rows: Row[] = [];
  for (const [at, workload] of WORKLOADS.entries()) {
    const what = `${workload.kind} a file of ${workload.percent} % of the limit`;
    const ratios: number[] = [];
    const rates: number[] = [];
    for (let run = 0; run < runs; run++) {
      progress.show(`bench: throughput, ${what}`, at * runs + run, WORKLOADS.length * runs);
      const before = await rateOf(workload, alone!, directory, measureMs);
      rates.push(before);
      ratios.push(await rateOf(workload, guarded!, directory, measureMs, guard) / before);
      await unlessInterrupted();
    }
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / runs;
    rows.push(row(what, ratios, `without: ${figure(mean * 65536 / MIB)} MiB/s`));
    note(`throughput: ${what}: ${ratios.map(figure).join(" ")}`);
  }
  const title = `page cache in ${LIMIT / MIB} MiB, ${mode}: throughput, of that without a guard`;
  return { tables: [{ title, unit: "×", rows }], lines: [] };
}

/** In 64 KiB blocks a second. */
async function rateOf(
  { kind, percent }: Workload,
  parent: Cgroup,
  directory: string,
  measureMs: number,
  guard?: RaceGuard,
): Promise<number> {
  const cgroup = makeChild(parent, `run${Math.floor(performance.now())}`, LIMIT);
  const file = `${directory}/file`;
  try {
    if (guard && !await guard.find("guard_armed", cgroup.path, ARMED_MS)) {
      throw new Mistake(`cannot measure: ${cgroup.path} is not guarded`);
    }
    const program = fileURLToPath(new URL("./page_cache_program.ts", import.meta.url));
    const bytes = Math.floor(LIMIT * percent / 100) - (percent < 100 ? PROGRAM : 0);
    const child = startChild([
      ...[Deno.execPath(), "run", "-A", "--no-check", "--no-config", program],
      ...[`${cgroup.dir}/cgroup.procs`, file, String(bytes), kind],
      ...[String(SETTLE_MS), String(measureMs)],
    ], { stdin: "null", stdout: "piped", stderr: "inherit" });
    const { stdout } = await child.output();
    const rate = Number(new TextDecoder().decode(stdout));
    if (!(rate > 0)) throw new Mistake(`cannot measure: ${kind} ${percent} % was ended`);
    return rate;
  } finally {
    Deno.removeSync(file);
    await removeCgroup(cgroup);
  }
}

function optionsOf(args: readonly string[]) {
  const options = {
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "10" },
  } as const;
  const { runs, seconds } = parsed(
    () => parseArgs({ args: [...args], options }).values,
    "throughput takes --runs and --seconds",
  );
  for (const [name, text] of Object.entries({ runs, seconds })) {
    if (!/^[1-9]\d{0,2}$/.test(text)) {
      throw new Mistake(`cannot use --${name} ${text}: it must be a whole number`);
    }
  }
  return { runs: Number(runs), measureMs: 1000 * Number(seconds) };
}
