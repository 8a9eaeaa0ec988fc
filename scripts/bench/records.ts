/**
 * Recorded runs: docs/benchmarks.jsonl has a line for each benchmark and machine, the last run that was recorded there
 * (`--record`). Earlier ones are in the history of the repository.
 */

import { tryReadText } from "../../core/cgroup/files.ts";
import { executable, git } from "../command.ts";
import { versionOf } from "./start_up.ts";
import type { Row, Summary, Table } from "./statistics.ts";

type Conditions = Awaited<ReturnType<typeof conditions>>;

/** The machine and the build of a run. */
export async function conditions() {
  const commit = await git("rev-parse", "--short", "HEAD") ?? "unknown";
  const changes = await git("status", "--porcelain", "core", "cli", "scripts");
  const cpu: string = /^model name\s*:\s*(.*)$/m.exec(tryReadText("/proc/cpuinfo") ?? "")?.[1] ??
    Deno.build.arch;
  return {
    /** With a `+` when the sources differ from it. */
    commit: changes ? `${commit}+` : commit,
    program: versionOf(executable),
    kernel: Deno.osRelease(),
    cpu,
    cores: navigator.hardwareConcurrency,
    deno: Deno.version.deno,
  };
}

/** Load average of the last minute. */
export const load = (): number => Deno.loadavg()[0]!;

interface RecordedRow extends Summary {
  readonly what: string;
  readonly unit: string;
}

export interface BenchRecord extends Readonly<Conditions> {
  readonly bench: string;
  /** RFC 3339. */
  readonly at: string;
  /** Load average of the last minute at the beginning. */
  readonly load: number;
  readonly rows: readonly RecordedRow[];
}

/** A smaller difference means nothing, however close together the runs are. */
const LEAST_NOISE = 0.1;

/** @param text of docs/benchmarks.jsonl. */
export function parseRecords(text: string): BenchRecord[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** With `added` in place of the last record of the same benchmark on the same machine. */
export function withRecord(records: readonly BenchRecord[], added: BenchRecord): BenchRecord[] {
  const others = records.filter((each) => each.bench !== added.bench || !isSame(each, added));
  return [...others, added].sort((a, b) => a.bench < b.bench ? -1 : a.bench > b.bench ? 1 : 0);
}

/** The last record of that benchmark on a machine like this one, else on any machine. */
export function lastOf(
  records: readonly BenchRecord[],
  bench: string,
  here: Conditions,
): BenchRecord | undefined {
  const all = records.filter((each) => each.bench === bench)
    .toSorted((a, b) => a.at < b.at ? -1 : 1);
  return all.findLast((each) => isSame(each, here)) ?? all.at(-1);
}

/** One kernel on one kind of CPU. */
function isSame(a: Conditions, b: Conditions): boolean {
  return a.kernel === b.kernel && a.cpu === b.cpu && a.cores === b.cores;
}

export function rowsOf(tables: readonly Table[]): RecordedRow[] {
  return tables.flatMap(({ unit, rows }) =>
    rows.map(({ what, summary }) => ({ what, unit, ...summary }))
  );
}

/**
 * The ratio to the last record. Worse: larger by more than the spread from median to p95 of either run, and by
 * more than a tenth.
 */
export function compared(now: Summary, last: Summary): { ratio: number; isWorse: boolean } {
  const noise = Math.max(
    now.p95 - now.median,
    last.p95 - last.median,
    LEAST_NOISE * Math.abs(last.median),
  );
  return { ratio: now.median / last.median, isWorse: now.median - last.median > noise };
}

/** For each row `1.02 ×`, with `!` when it is worse; empty when it is new. */
export function comparedWith(
  last: BenchRecord | undefined,
  unit: string,
): ((row: Row) => string) | undefined {
  return last && (({ what, summary }) => {
    const before = last.rows.find((each) => each.what === what && each.unit === unit);
    if (before === undefined || before.median === 0) return "";
    const { ratio, isWorse } = compared(summary, before);
    return `${ratio.toFixed(2)} ×${isWorse ? "!" : " "}`;
  });
}

/** One line about the run that the last column compares with. */
export function describeLast(last: BenchRecord | undefined, here: Conditions): string {
  if (last === undefined) return "last: nothing recorded yet (--record)";
  const others = (["kernel", "cpu", "cores", "deno"] as const)
    .filter((name) => last[name] !== here[name])
    .map((name) => `${name} ${last[name]}`);
  const elsewhere = others.length === 0 ? "" : `, with another ${others.join(", another ")}`;
  return `last: ${last.at.slice(0, 16)}Z, commit ${last.commit}, load ${
    last.load.toFixed(2)
  }${elsewhere}; ! worse by more than noise`;
}
