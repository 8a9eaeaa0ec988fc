/** `/proc/meminfo` (proc(5)): the whole machine's memory, also when it is read inside a container. */

import { parseKilobytes } from "./kilobytes.ts";

const KEYS = {
  total: "MemTotal",
  free: "MemFree",
  available: "MemAvailable",
  buffers: "Buffers",
  cached: "Cached",
  swapTotal: "SwapTotal",
  swapFree: "SwapFree",
  activeFile: "Active(file)",
  inactiveFile: "Inactive(file)",
  shmem: "Shmem",
  slabReclaimable: "SReclaimable",
} as const;

/** Bytes. */
export type Meminfo = { readonly [key in keyof typeof KEYS]?: number };

export function parseMeminfo(text: string): Meminfo {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) values.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const meminfo: { -readonly [key in keyof Meminfo]: number } = {};
  for (const [field, key] of Object.entries(KEYS)) {
    const bytes = parseKilobytes(values.get(key));
    if (bytes !== undefined) meminfo[field as keyof Meminfo] = bytes;
  }
  return meminfo;
}
