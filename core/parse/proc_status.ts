/** `/proc/PID/status` (kernel: fs/proc/array.c). */

import { parseKilobytes } from "./kilobytes.ts";
import { wholeLines } from "./whole_lines.ts";

export interface ProcStatus {
  /** At most 15 bytes, and whatever the process chose. */
  readonly name?: string;
  /** One letter: R, S, D, Z, T, … */
  readonly state?: string;
  readonly ppid?: number;
  /** The real one, which is also what the kernel names in its OOM report. */
  readonly uid?: number;
  /** Outermost pid namespace first; empty where the kernel does not tell (before 4.1). */
  readonly nsPids: readonly number[];
  /** Bytes. The memory figures are absent for kernel threads and zombies, which have no address space. */
  readonly rss?: number;
  readonly swap?: number;
  readonly pageTables?: number;
  /** Bit n − 1 stands for signal n. */
  readonly caughtSignals?: bigint;
}

function parseNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function parseName(text: string): string {
  return text.replace(/\\([n\\])/g, (_, httpMessage) => httpMessage === "n" ? "\n" : "\\");
}

/** A last line without its newline is skipped: of half a SigCgt the wrong signals would be handled. */
export function parseProcStatus(text: string): ProcStatus {
  const fields = new Map<string, string>();
  for (const line of wholeLines(text)) {
    const separator = line.indexOf(":\t");
    if (separator > 0) fields.set(line.slice(0, separator), line.slice(separator + 2));
  }
  const name = fields.get("Name");
  const state = /^[A-Za-z]/.exec(fields.get("State") ?? "")?.[0];
  const ppid = parseNumber(fields.get("PPid"));
  const uid = parseNumber(fields.get("Uid")?.split("\t")[0]);
  const nsPids = fields.get("NSpid")?.split("\t").map(parseNumber) ?? [];
  const rss = parseKilobytes(fields.get("VmRSS"));
  const swap = parseKilobytes(fields.get("VmSwap"));
  const pageTables = parseKilobytes(fields.get("VmPTE"));
  const caught = fields.get("SigCgt");
  return {
    ...(name === undefined ? {} : { name: parseName(name) }),
    ...(state === undefined ? {} : { state }),
    ...(ppid === undefined ? {} : { ppid }),
    ...(uid === undefined ? {} : { uid }),
    nsPids: nsPids.filter((pid) => pid !== undefined),
    ...(rss === undefined ? {} : { rss }),
    ...(swap === undefined ? {} : { swap }),
    ...(pageTables === undefined ? {} : { pageTables }),
    ...(caught !== undefined && /^[0-9a-f]{1,32}$/.test(caught)
      ? { caughtSignals: BigInt(`0x${caught}`) }
      : {}),
  };
}
