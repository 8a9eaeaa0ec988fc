/** The page size of the running kernel: 4096 on x86-64; arm64 kernels also use 16384 and 65536. */

/** getauxval(3). */
const AT_PAGESZ = 6n;
/** Without /proc there are no processes to measure in pages. */
const FALLBACK = 4096;

let known: number | undefined;

/** Bytes. */
export const pageSize = (): number => known ??= readPageSize() ?? FALLBACK;

/** From the auxiliary vector, as sysconf(3) does: loading the C library for it would take 5 ms and more. */
function readPageSize(): number | undefined {
  try {
    const entries = new DataView(Deno.readFileSync("/proc/self/auxv").buffer);
    // struct auxv: u64 type, value
    for (let at = 0; at < entries.byteLength; at += 16) {
      if (entries.getBigUint64(at, true) !== AT_PAGESZ) continue;
      return Number(entries.getBigUint64(at + 8, true));
    }
  } catch {
    // No /proc.
  }
  return undefined;
}
