/** Statistics of measurements, and their layout. */

export interface Summary {
  readonly median: number;
  readonly p95: number;
  readonly max: number;
  readonly runs: number;
}

/** By nearest rank, so that each figure is a measured one; of two in the middle the lower. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
  return { median: rank(0.5), p95: rank(0.95), max: rank(1), runs: sorted.length };
}

export interface Row {
  readonly what: string;
  readonly summary: Summary;
  /** Comparison with a target or with another row. */
  readonly remark?: string;
}

export const row = (what: string, values: readonly number[], remark?: string): Row => ({
  what,
  summary: summarize(values),
  ...remark === undefined ? {} : { remark },
});

/** Rows of one unit. */
export interface Table {
  readonly title: string;
  readonly unit: string;
  readonly rows: readonly Row[];
}

/** The result of a benchmark: tables, and remarks that do not fit into one. */
export interface Measured {
  readonly tables: readonly Table[];
  readonly lines: readonly string[];
  /** True for a partial run, which must not replace a complete record. */
  readonly isPart?: boolean;
}

/** `1.02 × (target 1.5 ×: met)`, for a ratio that must not exceed its target. */
export function against(target: number, value: number, unit: string): string {
  return `${figure(value)} ${unit} (target ${target} ${unit}: ${
    value <= target ? "met" : "missed"
  })`;
}

/** @param last compares a row with that of the last recorded run; without it there is no such column. */
export function tableLines(
  title: string,
  unit: string,
  rows: readonly Row[],
  last?: (row: Row) => string,
): string[] {
  const width = Math.max(title.length + unit.length + 2, ...rows.map(({ what }) => what.length));
  const line = (name: string, cells: readonly string[], remark = "") =>
    `${name.padEnd(width)}${cells.map((cell) => cell.padStart(10)).join("")}  ${remark}`.trimEnd();
  return [
    line(`${title}, ${unit}`, ["median", "p95", "max", "runs", ...last ? ["last"] : []]),
    ...rows.map((row) => {
      const { what, summary: { median, p95, max, runs }, remark } = row;
      const cells = [...[median, p95, max].map(figure), String(runs)];
      return line(what, [...cells, ...last ? [last(row)] : []], remark);
    }),
  ];
}

/** Three significant digits: more would claim a precision that is not there. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = value === 0 ? 0 : 2 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, Math.min(3, digits)));
}

export const mebibytes = (bytes: number): string => `${figure(bytes / 1024 ** 2)} MiB`;
