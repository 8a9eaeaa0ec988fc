/** Memory that a filler fills, and shared memory in which its log survives when it is killed. */

import { O_RDWR, openFd } from "../../core/kernel/fd.ts";
import { errno, libc, SystemCallError } from "../../core/kernel/libc.ts";

export const HUGE_PAGE = 2 * 1024 ** 2;

const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MADV_HUGEPAGE = 14;
const MADV_NOHUGEPAGE = 15;

/** @returns a function that writes to every byte of [offset, offset + length); the first touch charges it. */
export function mapPages(size: number, isHuge: boolean): (offset: number, length: number) => void {
  // Without alignment the kernel uses small pages at both ends.
  const pointer = map(size + HUGE_PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  libc().madvise(pointer, BigInt(size + HUGE_PAGE), isHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  const huge = BigInt(HUGE_PAGE);
  const base = (Deno.UnsafePointer.value(pointer) + huge - 1n) / huge * huge;
  const { memset } = libc();
  return (offset, length) => memset(base + BigInt(offset), 1, BigInt(length));
}

/**
 * Shared by both processes, and kept when one is killed: the number of finished steps, then microseconds since the epoch and
 * usage in bytes of each, from the third number on. An unfinished step has only its beginning.
 */
export function mapLog(path: string): Float64Array<ArrayBuffer> {
  const { size } = Deno.statSync(path);
  using fd = openFd(path, O_RDWR);
  const pointer = map(size, MAP_SHARED, fd.number);
  return new Float64Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size));
}

/** It stays mapped until the process ends. */
function map(size: number, flags: number, fd: number): Deno.PointerObject {
  const pointer = libc().mmap(null, BigInt(size), PROT_READ_WRITE, flags, fd, 0n);
  if (pointer === null || Deno.UnsafePointer.value(pointer) === 0xffffffffffffffffn) {
    throw new SystemCallError("mmap", errno(), `${size} bytes`);
  }
  return pointer;
}
