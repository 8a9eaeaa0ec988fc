/**
 * A machine that is short of memory, CPU and disk, for the emulated machine only.
 */

import { isAlive, pidsOf, until } from "./guarded.ts";
import { isThere } from "./is_there.ts";
import { makeRealCgroup, type RealCgroup } from "./real_cgroup.ts";

/** Why this machine must not be starved; `undefined` in the emulated one. */
export function whyNotStarved(): string | undefined {
  if (!isThere("/guest/settings")) return "only the emulated machine may be starved";
  return isThere("/dev/vda") ? undefined : "the emulated machine has no disk";
}

export interface Starving extends AsyncDisposable {
  /**
   * Takes all memory except for `leave` bytes, and drops all page cache, that of programs too.
   *
   * @param kept bytes of page cache that the kernel counts as available but does not drop
   */
  squeeze(leave: number, kept: number): void;
  /** Free bytes, without reclaim. */
  free(): number;
}

const BUSY_PER_CORE = 4;
const MIB = 1024 ** 2;
const BALLAST = "/mnt/ballast";
/** With less available memory the kernel may kill processes of the whole machine. */
const MIN_AVAILABLE_BYTES = 24 * MIB;

export function starve(): Starving {
  const cgroup = makeRealCgroup("starve");
  const loop = (script: string) => enter(cgroup, `while :; do ${script}; done`);
  const children = [
    ...Array.from({ length: BUSY_PER_CORE * navigator.hardwareConcurrency }, () => loop(":")),
    // The pages are dropped again, or the reads would be served from memory.
    loop("dd if=/dev/vda of=/dev/null bs=64k count=64; echo 1 >/proc/sys/vm/drop_caches"),
    loop("dd if=/dev/zero of=/disk/junk bs=64k count=32 conv=fsync"),
  ];
  run("mount", "-t", "tmpfs", "-o", "size=100%", "ballast", "/mnt");
  return {
    free: () => inMeminfo("MemFree"),
    squeeze(leave, kept) {
      // First down to the minimum, so that the kernel drops pages that can be read again; then up to `leave`.
      remove(BALLAST);
      const ballastBytes = inMeminfo("MemAvailable") - kept - MIN_AVAILABLE_BYTES;
      fill(BALLAST, ballastBytes);
      Deno.writeTextFileSync("/proc/sys/vm/drop_caches", "3");
      Deno.truncateSync(
        BALLAST,
        Math.max(0, ballastBytes - Math.max(0, leave - inMeminfo("MemFree"))),
      );
    },
    async [Symbol.asyncDispose]() {
      run("umount", "-l", "/mnt");
      // A process that waits for the disk exits once the disk has answered.
      await until("no process starves the machine any more", () => {
        const pids = pidsOf(cgroup);
        pids.filter(isAlive).forEach((pid) => Deno.kill(pid, "SIGKILL"));
        return pids.length === 0;
      });
      await Promise.all(children.map(({ status }) => status));
      await cgroup[Symbol.asyncDispose]();
      remove("/disk/junk");
    },
  };
}

function enter({ dir }: RealCgroup, script: string): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", `echo 0 >"$0/cgroup.procs"; ${script}`, dir],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

/** In pieces, so that the kernel reclaims page cache for each. */
function fill(path: string, bytes: number): void {
  using file = Deno.openSync(path, { write: true, create: true });
  const piece = new Uint8Array(MIB);
  for (let left = bytes; left > 0 && inMeminfo("MemFree") > MIN_AVAILABLE_BYTES / 2; left -= MIB) {
    file.writeSync(piece);
  }
}

/** Bytes. */
function inMeminfo(name: string): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)![1]);
}

function run(program: string, ...args: string[]): void {
  const { success, stderr } = new Deno.Command(program, { args }).outputSync();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is not there.
  }
}
