/**
 * What was measured before: docs/benchmarks.jsonl has a line for each bench and machine, the last run that was recorded there
 * (`--record`). Those before it are in the history of the repository.
 */

import type { Row, Summary, Table } from "./statistics.ts";

/** Where and of what a run was. */
export interface Conditions {
  /** Of the sources; with a `+` where they were changed since. */
  readonly commit: string;
  /** What `oomkit --version` says. */
  readonly program: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly deno: string;
}

export interface RecordedRow extends Summary {
  readonly what: string;
  readonly unit: string;
}

export interface BenchRecord extends Conditions {
  readonly bench: string;
  /** RFC 3339. */
  readonly at: string;
  /** Of the machine, over the last minute, as it began. */
  readonly load: number;
  readonly rows: readonly RecordedRow[];
}

/** One that differs by less than this says nothing, however close together its runs are. */
const LEAST_NOISE = 0.1;

/** @param text of docs/benchmarks.jsonl. */
export function parseRecords(text: string): BenchRecord[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** With `added` in the place of the last one of the same bench on the same machine. */
export function withRecord(records: readonly BenchRecord[], added: BenchRecord): BenchRecord[] {
  const others = records.filter((each) => each.bench !== added.bench || !isSame(each, added));
  return [...others, added].sort((a, b) => a.bench < b.bench ? -1 : a.bench > b.bench ? 1 : 0);
}

/** The last of that bench on a machine like this one, else on any other. */
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
 * How many times the last one it is. Worse is what is more, by more than either run's own spread from median to p95, and by
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

/** For each row `1.02 ×`, with `!` where it is worse; empty where it is new. */
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

/** What the column of the last run is compared with, in one line. */
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
