/** Control files of a cgroup: lines, numbers, flat keyed files and pressure. The kernel ends every line with a newline. */

import { omitUndefined } from "../omit_undefined.ts";
import type { Pressure, PressureLine } from "../snapshot.ts";

/** Drops a last line without its newline: it may be cut off, and half a number is another number. */
export function wholeLines(text: string): string[] {
  const lines = text.split("\n");
  lines.pop();
  return lines;
}

/**
 * From here on a v1 limit means "no limit". The kernel writes PAGE_COUNTER_MAX × page size (mm/page_counter.c,
 * include/linux/page_counter.h): 9223372036854771712 with 4 KiB pages, 9223372036854710272 with 64 KiB ones, and up to
 * 2^64 − 1 before 3.19. 2^62 lies below all of these and above the physical address space of any 64-bit machine.
 */
const UNLIMITED = 2 ** 62;

/** A u64 has at most 20 digits. */
const DECIMAL = /^\d{1,20}$/;

/**
 * A size in use, in bytes. 2^62 and more is unknown: a counter of the kernel that fell below zero (mm/page_counter.c,
 * page_counter_cancel, warns about it). Anything that is no decimal number is `undefined` too.
 */
export function parseSize(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  if (trimmed === undefined || !DECIMAL.test(trimmed)) return undefined;
  return knownSize(Number(trimmed));
}

/** `undefined` for what {@link parseSize} takes for unknown. */
export const knownSize = (bytes: number | undefined): number | undefined =>
  bytes === undefined || bytes >= UNLIMITED ? undefined : bytes;

/**
 * A limit in bytes; `Infinity` for `max` and for v1's unlimited. Between 2^53 and 2^62 the value is rounded. Anything else
 * is `undefined`, `-1` too: v1 accepts it as a limit but never reports it.
 */
export function parseLimit(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  if (trimmed === undefined) return undefined;
  if (trimmed === "max") return Infinity;
  if (!DECIMAL.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return value >= UNLIMITED ? Infinity : value;
}

/** Bytes that are left of a limit, negative above it; `Infinity` without one, as at the root, which has no such file. */
export function leftOf(limitText: string | undefined, usageText: string | undefined): number {
  const limit = parseLimit(limitText) ?? Infinity;
  return limit === Infinity ? Infinity : limit - (parseSize(usageText) ?? limit);
}

/** A counter, exact. */
export function parseCount(text: string | undefined): bigint | undefined {
  const trimmed = text?.trim();
  return trimmed !== undefined && DECIMAL.test(trimmed) ? BigInt(trimmed) : undefined;
}

export function parseFlag(text: string | undefined): boolean | undefined {
  const trimmed = text?.trim();
  return trimmed === "1" ? true : trimmed === "0" ? false : undefined;
}

/**
 * A flat keyed file: one `key value` a line (`memory.stat`, `memory.events`, `memory.oom_control`, `cgroup.events`). Skips
 * other lines. A repeated key keeps its first value.
 */
export function parseKeyed(text: string): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const line of wholeLines(text)) {
    const space = line.indexOf(" ");
    const key = line.slice(0, space);
    const value = line.slice(space + 1);
    if (space <= 0 || value === "" || value.includes(" ") || entries.has(key)) continue;
    entries.set(key, value);
  }
  return entries;
}

/** Bytes, from memory.stat; of the whole subtree. What the kernel does not show is absent. */
export interface ReclaimStat {
  readonly inactiveFile?: number;
  /** Page cache, inactive and active, and on v2 the reclaimable part of slab. */
  readonly reclaimable?: number;
  /** Anonymous memory and tmpfs, without what is locked: where there is swap, it can be swapped. */
  readonly swappable?: number;
  /** Dirty, or being written back. */
  readonly writeback?: number;
  /** What was ever reclaimed: on v2 `pgsteal`; on v1 `pgpgout`, which includes what processes have freed. */
  readonly reclaimed?: number;
}

/**
 * @param text of memory.stat. On v1 the rows that count the subtree, with the prefix `total_`, take precedence.
 * @param pageSize bytes; without it `reclaimed` is absent.
 */
export function parseReclaimStat(text: string, pageSize?: number): ReclaimStat {
  const rows = parseKeyed(text);
  const bytes = (key: string) => parseSize(rows.get(`total_${key}`) ?? rows.get(key));
  const sum = (...keys: readonly string[]) => {
    const all = keys.map(bytes);
    return all.includes(undefined) ? undefined : all.reduce<number>((a, b) => a + b!, 0);
  };
  const pages = bytes("pgsteal") ?? bytes("pgpgout");
  const file = sum("inactive_file", "active_file");
  return omitUndefined({
    inactiveFile: bytes("inactive_file"),
    reclaimable: file === undefined ? undefined : file + (bytes("slab_reclaimable") ?? 0),
    swappable: sum("inactive_anon", "active_anon"),
    writeback: sum("file_dirty", "file_writeback") ?? sum("dirty", "writeback"),
    reclaimed: pages === undefined || pageSize === undefined ? undefined : pages * pageSize,
  });
}

const PRESSURE_LINE =
  /^(some|full) avg10=(\d+\.\d+) avg60=(\d+\.\d+) avg300=(\d+\.\d+) total=(\d{1,20})$/;

/**
 * `memory.pressure` or `/proc/pressure/memory`. `undefined` if no line can be read: with PSI compiled in but disabled, the file
 * is empty or reading it fails with EOPNOTSUPP.
 */
export function parsePressure(text: string): Pressure | undefined {
  const pressure: { some?: PressureLine; full?: PressureLine } = {};
  for (const line of wholeLines(text)) {
    const match = PRESSURE_LINE.exec(line);
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
