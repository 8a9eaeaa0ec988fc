/** The frequency of this machine's time stamp counter, which an emulated machine reads too, and cannot measure on a busy host. */

/** rdtsc; shl rdx, 32; or rax, rdx; ret. */
const READ_TSC = new Uint8Array([0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0xc3]);

const PROT_READ_WRITE_EXEC = 7;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_FAILED = 2n ** 64n - 1n;
const PAGE = 4096n;
/** The kernel corrects an error of up to one percent (arch/x86/kernel/tsc.c, tsc_refine_calibration_work). */
const MS_TO_MEASURE = 50;
const READINGS = 20;

const code = { parameters: [], result: "u64" } as const;

const libcSymbols = {
  mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  memcpy: { parameters: ["pointer", "buffer", "usize"], result: "pointer" },
} as const;

/** @returns undefined where this process may not run code that it has written (mmap fails). */
export async function tscKhz(): Promise<number | undefined> {
  const libc = Deno.dlopen("libc.so.6", libcSymbols);
  const { mmap, munmap, memcpy } = libc.symbols;
  const page = mmap(0n, PAGE, PROT_READ_WRITE_EXEC, MAP_PRIVATE_ANONYMOUS, -1, 0n);
  try {
    if (Deno.UnsafePointer.value(page) === MAP_FAILED) return undefined;
    memcpy(page, READ_TSC, BigInt(READ_TSC.length));
    const readTsc = new Deno.UnsafeFnPointer(page as Deno.PointerObject<typeof code>, code);
    const first = bestReading(() => readTsc.call());
    await new Promise((resolve) => setTimeout(resolve, MS_TO_MEASURE));
    const second = bestReading(() => readTsc.call());
    return Math.round(Number(second.ticks - first.ticks) / (second.ms - first.ms));
  } finally {
    munmap(page, PAGE);
    libc.close();
  }
}

/** The one that took the least time: during another one this process may have been preempted. */
function bestReading(readTsc: () => bigint): { readonly ticks: bigint; readonly ms: number } {
  const readings = Array.from({ length: READINGS }, () => {
    const before = performance.now();
    const ticks = readTsc();
    const after = performance.now();
    return { ticks, ms: (before + after) / 2, took: after - before };
  });
  return readings.reduce((one, other) => other.took < one.took ? other : one);
}
