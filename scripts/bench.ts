/**
 * Measures the figures of docs/performance.md on this machine: `deno task bench [start-up] [sweep] [latency] [idle] [scale] [peers]
 * [footprint] [node] [live] [race] [throughput]`; without a name all; `machine` runs in scripts/guest, and only when it is named.
 * `--record` adds the results to docs/benchmarks.jsonl, which later runs are compared with. Other options are for `scale`,
 * `footprint`, `node`, `race`, `throughput` and `machine`: scripts/bench/scale.ts, footprint.ts, node.ts, race_results.ts,
 * throughput.ts, machine_results.ts.
 *
 * Measures the executable: run `deno task compile` first. Needs the right to make cgroups. They are called oomkit-bench-… and
 * are removed on every way out; those of a killed run by the next one.
 */

import { join } from "node:path";
import { tryReadText } from "../core/cgroup/files.ts";
import { cleanUp, cleanUpOnSignal, unlessInterrupted } from "./bench/cleanup.ts";
import { footprint } from "./bench/footprint.ts";
import { idle } from "./bench/idle.ts";
import { latency } from "./bench/latency.ts";
import { machine } from "./bench/machine.ts";
import { node } from "./bench/node.ts";
import { peers } from "./bench/peers.ts";
import { race } from "./bench/race.ts";
import {
  type BenchRecord,
  comparedWith,
  conditions,
  describeLast,
  lastOf,
  load,
  parseRecords,
  rowsOf,
  withRecord,
} from "./bench/records.ts";
import { scale } from "./bench/scale.ts";
import { startUp } from "./bench/start_up.ts";
import { type Measured, tableLines } from "./bench/statistics.ts";
import { sweep } from "./bench/sweep.ts";
import { throughput } from "./bench/throughput.ts";
import { root } from "./command.ts";
import { Mistake, note, printLine, progress, run } from "./terminal.ts";

const RECORDS = join(root, "docs/benchmarks.jsonl");

const isRecorded = Deno.args.includes("--record");
const args = Deno.args.filter((arg) => arg !== "--record");
const firstOption = args.findIndex((arg) => arg.startsWith("-"));
const named = firstOption < 0 ? args : args.slice(0, firstOption);
const options = args.slice(named.length);

/** Imported for itself alone: it imports packages, which a guest does not have (docs/performance.md). */
const live = async () => await (await import("./bench/live.ts")).live();

const withoutOptions = { "start-up": startUp, sweep, latency, idle, peers, live };
const withOptions = { scale, footprint, node, race, machine, throughput };
const benches: Readonly<Record<string, (options: readonly string[]) => Promise<Measured>>> = {
  ...withoutOptions,
  ...withOptions,
};

await run("bench", async () => {
  const all = Object.keys(benches).join(", ");
  if (options.includes("--help")) {
    printLine(`usage: deno task bench [NAME…] [--record] [OPTION…]\nnames: ${all}`);
    return 0;
  }
  // The machine is only for scripts/guest.
  const names = named.length === 0
    ? Object.keys(benches).filter((name) => name !== "machine")
    : named;
  const unknown = names.find((name) => benches[name] === undefined);
  if (unknown !== undefined) {
    throw new Mistake(`cannot measure "${unknown}": it must be one of ${all}`);
  }
  if (options.length > 0 && !names.every((name) => name in withOptions)) {
    const known = Object.keys(withOptions).join(", ");
    throw new Mistake(`cannot use ${options[0]}: name what it is for, one of ${known}`);
  }
  cleanUpOnSignal();
  const { commit, program, kernel, cpu, cores, deno } = await conditions();
  printLine(
    `${program}\nLinux ${kernel}, ${cpu}, ${cores} cores, load ${load().toFixed(2)}; ` +
      `measured by Deno ${deno}, sources at ${commit}`,
  );
  for (const [at, name] of names.entries()) {
    progress.show(`bench: ${name}`, at, names.length);
    await cleanUp();
    try {
      const before = load();
      await printResult(name, await benches[name]!(options), before);
    } catch (error) {
      await unlessInterrupted();
      throw error;
    } finally {
      await cleanUp();
    }
  }
  return 0;
});

async function printResult(bench: string, { tables, lines, isPart }: Measured, before: number) {
  const records = parseRecords(tryReadText(RECORDS) ?? "");
  const here = await conditions();
  const last = lastOf(records, bench, here);
  for (const { title, unit, rows } of tables) {
    printLine(`\n${tableLines(title, unit, rows, comparedWith(last, unit)).join("\n")}`);
  }
  for (const line of [...lines, describeLast(last, here)]) printLine(line);
  if (!isRecorded) return;
  if (isPart) {
    return note(`bench: ${bench} is not recorded: with these options it is another measurement`);
  }
  const at = new Date().toISOString();
  const record: BenchRecord = { bench, at, ...here, load: before, rows: rowsOf(tables) };
  const text = withRecord(records, record).map((each) => `${JSON.stringify(each)}\n`);
  Deno.writeTextFileSync(RECORDS, text.join(""));
  note(`bench: ${bench} is recorded in ${RECORDS}`);
}
