/**
 * What the workloads of `deno task harmless` do that no shell can: anonymous memory of each kind, locked and lazily freed pages,
 * mapped files, full pipes. It enters the cgroup after its warm-up, as the allocator of `simulate` does
 * (core/simulate/allocator.ts), so that little but these steps is charged there. Steps are arguments, in MiB:
 *
 *     memory_program.ts PROCS_FILE anon:24 hold:500 free until:/dir/go
 */

import { openControlFile } from "../../core/kernel/control_file.ts";
import { O_RDWR, openFd } from "../../core/kernel/fd.ts";
import { check, errno, libc, SystemCallError } from "../../core/kernel/libc.ts";
import { dieWithParent } from "../../core/kernel/process.ts";
import { MIB } from "../cgroups.ts";
import { isThere } from "../files.ts";
import { type Step, stepOf } from "./steps.ts";

const SIGKILL = 9;
const PAGE = 4096;
const HUGE_PAGE = 2 * MIB;
const CHUNK = MIB / 4;
const WARM_UP_ROUNDS = 2000;
const MAX_WAIT_MS = 60_000;

const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MADV_DONTNEED = 4;
const MADV_FREE = 8;
const MADV_HUGEPAGE = 14;
const MADV_NOHUGEPAGE = 15;
const O_NONBLOCK = 0o4000n;

/** Not wrapped by the symbols of core/kernel/libc.ts. */
const SYSTEM_CALLS = Deno.build.arch === "x86_64"
  ? { mlock: 149n, pipe2: 293n }
  : { mlock: 228n, pipe2: 59n };

function call(name: keyof typeof SYSTEM_CALLS, ...args: [bigint, bigint]): void {
  const result = Number(libc().syscall(SYSTEM_CALLS[name], ...args, 0n, 0n));
  if (result === -1) throw new SystemCallError(name, errno(), args.join(", "));
}

const never = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms: number) => void Atomics.wait(never, 0, 0, ms);

/** A mapping that stays until the program ends or a step frees it. */
class Mapping {
  readonly #pointer: Deno.PointerObject;
  readonly #base: bigint;

  constructor(readonly size: number, flags: number, fd = -1, advice = MADV_NOHUGEPAGE) {
    // Room to align: without alignment the kernel uses small pages at both ends.
    const room = advice === MADV_HUGEPAGE ? HUGE_PAGE : 0;
    const length = BigInt(size + room);
    const pointer = libc().mmap(null, length, PROT_READ_WRITE, flags | MAP_NORESERVE, fd, 0n);
    if (pointer === null || Deno.UnsafePointer.value(pointer) === 0xffffffffffffffffn) {
      throw new SystemCallError("mmap", errno(), `${size} bytes`);
    }
    libc().madvise(pointer, length, advice);
    const step = BigInt(Math.max(room, 1));
    this.#base = (Deno.UnsafePointer.value(pointer) + step - 1n) / step * step;
    this.#pointer = Deno.UnsafePointer.create(this.#base)!;
  }

  write(offset: number, length: number): void {
    libc().memset(this.#base + BigInt(offset), 1, BigInt(length));
  }

  /** Writes all of it, at most `rate` bytes per second. */
  fill(rate = Infinity): void {
    const started = performance.now();
    for (let offset = 0; offset < this.size; offset += CHUNK) {
      this.write(offset, Math.min(CHUNK, this.size - offset));
      const early = 1000 * offset / rate - (performance.now() - started);
      if (early >= 1) sleep(early);
    }
  }

  /** Reads one byte of each page. */
  read(): void {
    const bytes = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(this.#pointer, this.size));
    let sum = 0;
    for (let offset = 0; offset < this.size; offset += PAGE) sum += bytes[offset]!;
    if (sum < 0) throw new Error("unreachable");
  }

  advise(advice: number, offset = 0, length = this.size): void {
    const pointer = Deno.UnsafePointer.create(this.#base + BigInt(offset));
    check(libc().madvise(pointer, BigInt(length), advice), "madvise", String(advice));
  }

  lock(): void {
    call("mlock", this.#base, BigInt(this.size));
  }

  unmap(): void {
    check(libc().munmap(this.#pointer, BigInt(this.size)), "munmap", `${this.size} bytes`);
  }
}

function mapFile(path: string, bytes: number): Mapping {
  if (!isThere(path)) Deno.writeFileSync(path, new Uint8Array());
  if (Deno.statSync(path).size < bytes) Deno.truncateSync(path, bytes);
  using fd = openFd(path, O_RDWR);
  return new Mapping(bytes, MAP_SHARED, fd.number);
}

/** Each holds 64 KiB that no process reads. */
function fillPipes(count: number): void {
  const chunk = new Uint8Array(PAGE);
  for (let pipe = 0; pipe < count; pipe++) {
    const ends = new Int32Array(2);
    call("pipe2", BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(ends))), O_NONBLOCK);
    while (Number(libc().write(ends[1]!, chunk, BigInt(PAGE))) > 0);
  }
}

const mappings: Mapping[] = [];

function map(...args: ConstructorParameters<typeof Mapping>): Mapping {
  const mapping = new Mapping(...args);
  mappings.push(mapping);
  return mapping;
}

function perform({ name, amount, rate, path }: Step, usage: () => number): void {
  const bytes = Math.round(amount * MIB);
  const last = mappings.at(-1);
  switch (name) {
    case "anon":
      return map(bytes, MAP_PRIVATE_ANONYMOUS).fill(rate && rate * MIB);
    case "shared":
      return map(bytes, MAP_SHARED | 0x20).fill();
    case "huge":
      return map(bytes, MAP_PRIVATE_ANONYMOUS, -1, MADV_HUGEPAGE).fill();
    case "lazy": {
      const mapping = map(bytes, MAP_PRIVATE_ANONYMOUS);
      for (let offset = 0; offset < bytes; offset += CHUNK) {
        mapping.write(offset, CHUNK);
        mapping.advise(MADV_FREE, offset, CHUNK);
      }
      return;
    }
    case "locked": {
      const mapping = map(bytes, MAP_PRIVATE_ANONYMOUS);
      return mapping.lock();
    }
    case "reserve":
      return void map(bytes, MAP_PRIVATE_ANONYMOUS);
    case "sparse": {
      const mapping = map(bytes, MAP_PRIVATE_ANONYMOUS);
      for (let offset = 0; offset < bytes; offset += HUGE_PAGE) mapping.write(offset, 1);
      return;
    }
    case "part":
      return last!.write(0, bytes);
    case "again":
      return last!.fill();
    case "dontneed":
      return last!.advise(MADV_DONTNEED);
    case "free":
      return mappings.pop()!.unmap();
    case "write-file":
      return mapFile(path!, bytes).fill();
    case "read-file":
      return mapFile(path!, bytes).read();
    case "lock-file": {
      const mapping = mapFile(path!, bytes);
      return mapping.lock();
    }
    case "pipes":
      return fillPipes(amount);
    case "up-to": {
      const mapping = map(2 * bytes, MAP_PRIVATE_ANONYMOUS);
      for (let offset = 0; usage() < bytes; offset += CHUNK / 4) mapping.write(offset, CHUNK / 4);
      return;
    }
    case "hold":
      return sleep(amount);
    case "until":
      for (const end = performance.now() + MAX_WAIT_MS; !isThere(path!); sleep(5)) {
        if (performance.now() > end) throw new Error(`${path} did not appear`);
      }
  }
}

/** Runs the code and grows the heap first. */
function warmUp(): void {
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    const mapping = new Mapping(CHUNK, MAP_PRIVATE_ANONYMOUS);
    mapping.write(0, PAGE);
    mapping.advise(MADV_DONTNEED);
    mapping.unmap();
  }
  sleep(1);
}

if (import.meta.main) {
  dieWithParent(SIGKILL);
  const [procsFile, usageFile, ...words] = Deno.args;
  const steps = words.map(stepOf);
  const usage = openControlFile(usageFile!);
  warmUp();
  Deno.writeTextFileSync(procsFile!, "0");
  for (const step of steps) perform(step, () => usage.number() ?? Infinity);
}
