/** Memory outside V8's heap that is touched page by page: what the allocator of `simulate` uses. */

import { errno, libc, SystemCallError } from "./libc.ts";
import { type Fd } from "./fd.ts";

const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
/** More is reserved than is touched, so it must not count as committed memory. */
const MAP_NORESERVE = 0x4000;
const MADV_NOHUGEPAGE = 15;
const MLOCK_ONFAULT = 1;

/** A mapping. Each page is charged when it is first touched, to the cgroup of the process that touches it. */
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
  // With 2 MiB pages one touch would charge 512 pages and reach a small limit in one step.
  libc().madvise(address, BigInt(size), MADV_NOHUGEPAGE);
  return {
    size,
    touch(offset, length) {
      memset(base + BigInt(offset), 1, BigInt(length));
    },
    free: () => void libc().munmap(address, BigInt(size)),
  };
}

/** Anonymous pages: `anon`. Throws `SystemCallError` (ENOMEM beyond the overcommit limit). */
export const mapAnonymous = (size: number): Pages =>
  map(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

/** Shared anonymous pages: `shmem`. */
export const mapShared = (size: number): Pages =>
  map(size, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1);

/** The pages of a file, which must be at least `size` bytes long: `file`. */
export const mapFile = (file: Fd, size: number): Pages => map(size, MAP_SHARED, file.number);

/**
 * Keeps the pages of a mapping in memory: those that are in use now, and others from their first use on (mlock2(2)).
 *
 * @param start an address. @param length bytes. @returns the errno's name if it was refused.
 */
export const lockPages = (start: bigint, length: bigint): string | undefined =>
  libc().mlock2(start, length, MLOCK_ONFAULT) === -1 ? errno() : undefined;

/** Returns freed memory of all threads to the kernel: malloc_trim(3). Blocks allocations of other threads, and waits for theirs. */
export function trimHeap(): void {
  libc().malloc_trim(0n);
}
