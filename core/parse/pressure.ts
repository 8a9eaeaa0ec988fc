/** Pressure stall information: `memory.pressure` and `/proc/pressure/memory`. */

import type { Pressure, PressureLine } from "../snapshot.ts";
import { wholeLines } from "./whole_lines.ts";

const LINE = /^(some|full) avg10=(\d+\.\d+) avg60=(\d+\.\d+) avg300=(\d+\.\d+) total=(\d{1,20})$/;

/**
 * `undefined` where no line can be read: the file exists and is empty (or fails with EOPNOTSUPP) on kernels where PSI is
 * compiled in but not switched on. A last line without its newline is torn, and its `total` cannot be trusted.
 */
export function parsePressure(text: string): Pressure | undefined {
  const pressure: { some?: PressureLine; full?: PressureLine } = {};
  for (const line of wholeLines(text)) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, kind, avg10, avg60, avg300, total] = match;
    pressure[kind as "some" | "full"] ??= {
      avg10: Number(avg10),
      avg60: Number(avg60),
      avg300: Number(avg300),
      total: BigInt(total!),
    };
  }
  return pressure.some === undefined && pressure.full === undefined ? undefined : pressure;
}
