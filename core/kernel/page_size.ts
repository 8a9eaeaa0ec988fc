/** The page size of the running kernel: 4096 on x86-64; arm64 kernels also use 16384 and 65536. */

import { libc } from "./libc.ts";

/** glibc's number for sysconf(3). */
const _SC_PAGESIZE = 30;

let known: number | undefined;

/** Bytes. */
export function pageSize(): number {
  return known ??= Number(libc().sysconf(_SC_PAGESIZE));
}
