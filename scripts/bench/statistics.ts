/** What is said of a number of measurements, and how it is laid out. */

export interface Summary {
  readonly median: number;
  readonly p95: number;
  readonly max: number;
  readonly runs: number;
}

/** By nearest rank, so that each figure is one that was measured; the lower of two in the middle. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
  return { median: rank(0.5), p95: rank(0.95), max: rank(1), runs: sorted.length };
}

export interface Row {
  readonly what: string;
  readonly summary: Summary;
  /** Against a target, or against another row. */
  readonly remark?: string;
}

/** Rows of one unit. */
export interface Table {
  readonly title: string;
  readonly unit: string;
  readonly rows: readonly Row[];
}

/** What a bench has found: tables, and what does not fit into one. */
export interface Measured {
  readonly tables: readonly Table[];
  readonly lines: readonly string[];
  /** Not what it measures by itself, so that it does not take the place of that. */
  readonly isPart?: boolean;
}

/** Of what is measured once. */
export const once = (value: number): Summary => summarize([value]);

/** `1.02 × (target 1.5 ×: met)`, for what must not be more than its target. */
export function against(target: number, value: number, unit: string): string {
  return `${figure(value)} ${unit} (target ${target} ${unit}: ${
    value <= target ? "met" : "missed"
  })`;
}

/** @param last what a row is to the same one of an earlier run; without it there is no such column. */
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

/** Three digits that count; more would pretend. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = value === 0 ? 0 : 2 - Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, Math.min(3, digits)));
}

export const mebibytes = (bytes: number): string => `${figure(bytes / 1024 ** 2)} MiB`;
