/**
 * A machine that is out of memory, CPU and disk at once. Only ever the emulated one: nothing else on it matters.
 */

import { isAlive, pidsOf, until } from "./guarded.ts";
import { isThere } from "./is_there.ts";
import { makeRealCgroup, type RealCgroup } from "./real_cgroup.ts";

/** Why this is not to be done here; `undefined` in the emulated machine. */
export function whyNotStarved(): string | undefined {
  if (!isThere("/guest/settings")) return "only the emulated machine may be starved";
  return isThere("/dev/vda") ? undefined : "the emulated machine has no disk";
}

export interface Starving extends AsyncDisposable {
  /**
   * Takes all memory but so much, and lets go of all page cache that is to be had, of programs as well.
   *
   * @param kept bytes of page cache that the kernel counts as available and yet does not let go.
   */
  squeeze(leave: number, kept: number): void;
  /** Bytes that the kernel could give at once. */
  free(): number;
}

const BUSY_PER_CORE = 4;
const MIB = 1024 ** 2;
const BALLAST = "/mnt/ballast";
/** Under it the kernel would look for somebody to kill in the whole machine. */
const BRINK = 24 * MIB;

export function starve(): Starving {
  const cgroup = makeRealCgroup("starve");
  const loop = (script: string) => enter(cgroup, `while :; do ${script}; done`);
  const children = [
    ...Array.from({ length: BUSY_PER_CORE * navigator.hardwareConcurrency }, () => loop(":")),
    // What is read is dropped again, or it would be memory.
    loop("dd if=/dev/vda of=/dev/null bs=64k count=64; echo 1 >/proc/sys/vm/drop_caches"),
    loop("dd if=/dev/zero of=/disk/junk bs=64k count=32 conv=fsync"),
  ];
  run("mount", "-t", "tmpfs", "-o", "size=100%", "ballast", "/mnt");
  return {
    free: () => inMeminfo("MemFree"),
    squeeze(leave, kept) {
      // First all but the least, so that what can be read again from the disk has to go; then so much is given back.
      remove(BALLAST);
      const most = inMeminfo("MemAvailable") - kept - BRINK;
      fill(BALLAST, most);
      Deno.writeTextFileSync("/proc/sys/vm/drop_caches", "3");
      Deno.truncateSync(BALLAST, Math.max(0, most - Math.max(0, leave - inMeminfo("MemFree"))));
    },
    async [Symbol.asyncDispose]() {
      run("umount", "-l", "/mnt");
      // Who waits for the disk is gone when it has answered.
      await until("nobody starves the machine any more", () => {
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

/** In pieces: the kernel takes back page cache for each. */
function fill(path: string, bytes: number): void {
  using file = Deno.openSync(path, { write: true, create: true });
  const piece = new Uint8Array(MIB);
  for (let left = bytes; left > 0 && inMeminfo("MemFree") > BRINK / 2; left -= MIB) {
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
