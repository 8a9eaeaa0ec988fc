/** Memory outside of V8's heap, touched page by page on purpose: what the allocator of `simulate` is made of. */

import { errno, libc, SystemCallError } from "./libc.ts";
import { type Fd } from "./fd.ts";

const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
/** More is reserved than is ever touched: it must not count against what may be committed. */
const MAP_NORESERVE = 0x4000;
const MADV_NOHUGEPAGE = 15;

/** A mapping whose pages are charged when they are first touched, to the cgroup that the toucher is in. */
export interface Pages {
  readonly size: number;
  /** Writes to every byte of [offset, offset + length). */
  touch(offset: number, length: number): void;
  free(): void;
}

function map(size: number, flags: number, fd: number): Pages {
  const address = libc().mmap(null, BigInt(size), PROT_READ_WRITE, flags, fd, 0n);
  if (address === null || Deno.UnsafePointer.value(address) === 0xffffffffffffffffn) {
    throw new SystemCallError("mmap", errno(), `${size} bytes`);
  }
  const base = Deno.UnsafePointer.value(address);
  const { memset } = libc();
  // With 2 MiB pages one touch would charge 512 pages, and a small limit would be met in one step.
  libc().madvise(address, BigInt(size), MADV_NOHUGEPAGE);
  return {
    size,
    touch(offset, length) {
      memset(base + BigInt(offset), 1, BigInt(length));
    },
    free: () => void libc().munmap(address, BigInt(size)),
  };
}

/** Anonymous pages: `anon`. Throws `SystemCallError` (ENOMEM beyond what may be overcommitted). */
export function mapAnonymous(size: number): Pages {
  return map(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

/** Shared anonymous pages: `shmem`. */
export function mapShared(size: number): Pages {
  return map(size, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

/** The pages of a file, which must be at least `size` bytes long: `file`. */
export function mapFile(file: Fd, size: number): Pages {
  return map(size, MAP_SHARED, file.number);
}

/** Gives back what the C library keeps of freed memory, of all threads: malloc_trim(3). Waits for whoever allocates, and they for it. */
export function trimHeap(): void {
  libc().malloc_trim(0n);
}
