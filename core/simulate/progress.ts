/**
 * The lines that an allocator writes to its parent: `what at rest…`. Those about memory are written without allocating
 * any, since they come from inside the cgroup whose last bytes are being counted.
 */

import { ANSWERED_SIGNALS, type Ending, type Progress } from "./allocation.ts";

const SPACE = 0x20;
const NEWLINE = 0x0a;
const DASH = 0x2d;
const ZERO = 0x30;

const line = new Uint8Array(96);
const USED = new TextEncoder().encode("used ");
const STARTED = new TextEncoder().encode("allocator_started ");

/** Decimal digits of a whole number; returns where they end. */
function putNumber(at: number, value: number): number {
  let divisor = 1;
  while (value / divisor >= 10) divisor *= 10;
  for (let rest = value; divisor >= 1; divisor /= 10) {
    const digit = Math.floor(rest / divisor);
    line[at++] = ZERO + digit;
    rest -= digit * divisor;
  }
  return at;
}

/** A view of a buffer that the next call overwrites. */
export function memoryLine(
  what: "allocator_started" | "used",
  at: number,
  allocated: number,
  usage: number | undefined,
): Uint8Array {
  const word = what === "used" ? USED : STARTED;
  line.set(word);
  let end = putNumber(word.length, at);
  line[end++] = SPACE;
  end = putNumber(end, allocated);
  line[end++] = SPACE;
  if (usage === undefined) line[end++] = DASH;
  else end = putNumber(end, usage);
  line[end++] = NEWLINE;
  return line.subarray(0, end);
}

/** Everything that is not about memory. */
export function progressLine(what: "ready" | "signal" | "done", at: number, rest = "") {
  const words = [what, String(at), rest].filter((word) => word !== "");
  return `${words.join(" ")}\n`;
}

/** `undefined` for what no allocator writes. */
export function parseProgress(text: string): Progress | undefined {
  const [, what, digits, rest = ""] = /^([a-z_]+) (\d{1,16})(?: (.*))?$/s.exec(text) ?? [];
  const at = Number(digits);
  switch (what) {
    case "ready":
      return rest === "" ? { what, at } : undefined;
    case "allocator_started":
    case "used": {
      const [, allocated, usage] = /^(\d{1,16}) (\d{1,16}|-)$/.exec(rest) ?? [];
      if (allocated === undefined) return undefined;
      const known = usage === "-" ? {} : { usage: Number(usage) };
      return { what, at, allocated: Number(allocated), ...known };
    }
    case "signal": {
      const signal = ANSWERED_SIGNALS.find((name) => name === rest);
      return signal && { what, at, signal };
    }
    case "done": {
      const why = (["stop", "most", "signal"] satisfies Ending[]).find((word) => word === rest);
      return why && { what, at, why };
    }
  }
  return undefined;
}
