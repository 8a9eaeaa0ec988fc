/**
 * Fills a cgroup until it is killed, and logs the time of each step in memory that outlives it. What the
 * allocator of `simulate` does to be small applies here too (core/simulate/allocator.ts); in addition it can fill most of
 * a cgroup at full speed and only the rest slowly, and can use 2 MiB pages.
 */

import { microseconds } from "../../core/kernel/clock.ts";
import { type OpenControlFile, openControlFile } from "../../core/kernel/control_file.ts";
import { O_RDWR, openFd } from "../../core/kernel/fd.ts";
import { errno, libc, SystemCallError } from "../../core/kernel/libc.ts";
import { dieWithParent } from "../../core/kernel/process.ts";

/** Sizes are bytes. */
export interface Filling {
  /** This process exits with that one. */
  readonly parent: number;
  readonly procsFile: string;
  readonly usageFile: string;
  readonly log: string;
  readonly most: number;
  readonly isHuge: boolean;
  /** Bytes per second, only from the given usage on. */
  readonly slow?: { readonly rate: number; readonly from: number };
}

/** Takes about 13 µs at full speed, which is the precision of the time of the last page. */
export const STEP = 32 * 1024;
const SIGKILL = 9;
const WARM_UP_ROUNDS = 4000;
const PAGE = 4096;
/** A shorter sleep is too inexact. */
const SHORTEST_SLEEP_MS = 1;

const HUGE_PAGE = 2 * 1024 ** 2;
const PRIO_PROCESS = 0;
const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MADV_HUGEPAGE = 14;
const MADV_NOHUGEPAGE = 15;

interface UsageHistory {
  readonly touch: (offset: number, length: number) => void;
  readonly usage: OpenControlFile;
  readonly log: Float64Array;
  readonly step: number;
  readonly most: number;
  readonly slow: Filling["slow"];
}

function fill(course: UsageHistory): void {
  const { step, most, slow } = course;
  let used = 0;
  let due = 0;
  for (let offset = 0; offset + step <= most; offset += step) {
    if (slow && used >= slow.from) due = pace(due, step, slow.rate);
    used = step === HUGE_PAGE ? takeHuge(course, offset, used) : take(course, offset, step);
  }
}

/** Logs the beginning as well: the process may be killed before the end. Returns the usage after the step. */
function take({ touch, usage, log }: UsageHistory, offset: number, length: number): number {
  const entry = log[0]! + 1;
  log[2 * entry] = microseconds();
  touch(offset, length);
  const used = usage.number() ?? 0;
  log[2 * entry] = microseconds();
  log[2 * entry + 1] = used;
  log[0] = entry;
  return used;
}

/** One byte faults in the whole huge page, unless there is no room for it: then the kernel uses small pages. */
function takeHuge(course: UsageHistory, offset: number, before: number): number {
  let used = take(course, offset, 1);
  if (used - before >= HUGE_PAGE / 2) return used;
  for (let at = 0; at < HUGE_PAGE; at += STEP) used = take(course, offset + at, STEP);
  return used;
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** @returns the time of the next step, by `performance.now()`. */
function pace(due: number, step: number, rate: number): number {
  const each = 1000 * step / rate;
  if (due === 0) return performance.now() + each;
  const left = due - performance.now();
  if (left >= SHORTEST_SLEEP_MS) Atomics.wait(never, 0, 0, left);
  else while (performance.now() < due);
  return due + each;
}

/** Runs all code and grows the heap first, so that only the pages are charged to the cgroup. */
function warmUp(usage: OpenControlFile, log: Float64Array): void {
  const bytes = WARM_UP_ROUNDS / 8 * PAGE;
  for (let round = 0; round < 8; round++) {
    log.fill(0);
    const touch = mapPages(bytes, false);
    const slow = { rate: 1024 ** 4, from: round % 2 === 0 ? 0 : Infinity };
    fill({ touch, usage, log, step: PAGE, most: bytes, slow });
  }
  log.fill(0);
  Atomics.wait(never, 0, 0, SHORTEST_SLEEP_MS);
}

/** @returns a function that writes to every byte of [offset, offset + length); the first touch charges it. */
function mapPages(size: number, isHuge: boolean): (offset: number, length: number) => void {
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

if (import.meta.main) {
  const filling: Filling = JSON.parse(Deno.args[0]!);
  const { parent, procsFile, usageFile, log: path, most, isHuge, slow } = filling;
  if (dieWithParent(SIGKILL) !== parent) Deno.exit(1);
  // The first victim, should the whole machine run out of memory instead.
  Deno.writeTextFileSync("/proc/self/oom_score_adj", "1000");
  const log = mapLog(path);
  const usage = openControlFile(usageFile);
  warmUp(usage, log);
  const touch = mapPages(most, isHuge);
  const step = isHuge ? HUGE_PAGE : STEP;
  // From here on it races, with the usual priority; on Linux each thread has its own.
  for (const { name: tid } of Deno.readDirSync("/proc/self/task")) {
    libc().setpriority(PRIO_PROCESS, Number(tid), 0);
  }
  Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
  if (Deno.stdin.readSync(new Uint8Array(8)) !== null) {
    Deno.writeTextFileSync(procsFile, "0");
    fill({ touch, usage, log, step, most, slow });
    Atomics.wait(never, 0, 0, 60_000);
  }
}
