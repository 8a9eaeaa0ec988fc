/**
 * A process that takes the memory of the machine: what it is to do is its argument, as JSON. It prints `ready`, and begins when a line
 * arrives. Unlike the allocator of `simulate` it does not ask to be killed first.
 */

import { mapAnonymous, type Pages } from "../../core/kernel/mapped_pages.ts";
import { dieWithParent } from "../../core/kernel/process.ts";

/** Sizes are bytes. */
export interface Load {
  readonly size: number;
  /** Bytes per second, from a size on; absent: as fast as possible. */
  readonly slow?: { readonly rate: number; readonly from: number };
  /** Writes all of it again and again, and a fortieth more each time, up to this size. */
  readonly cycleTo?: number;
}

const SIGKILL = 9;
const STEP = 256 * 1024;
const GROWTH = 1 / 40;
const never = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms: number) => void Atomics.wait(never, 0, 0, ms);

function fill(pages: Pages, to: number, slow?: Load["slow"]): void {
  for (let offset = 0; offset + STEP <= to; offset += STEP) {
    pages.touch(offset, STEP);
    if (slow && offset >= slow.from) sleep(1000 * STEP / slow.rate);
  }
}

if (import.meta.main) {
  const { size, slow, cycleTo = size }: Load = JSON.parse(Deno.args[0]!);
  dieWithParent(SIGKILL);
  const pages = mapAnonymous(Math.ceil(Math.max(size, cycleTo)));
  Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
  if (Deno.stdin.readSync(new Uint8Array(8)) !== null) {
    fill(pages, size, slow);
    for (let to = size; to < cycleTo; to = Math.min(cycleTo, to + GROWTH * size)) fill(pages, to);
    Deno.stdout.writeSync(new TextEncoder().encode("full\n"));
    // Until the parent closes the pipe.
    Deno.stdin.readSync(new Uint8Array(8));
  }
}
