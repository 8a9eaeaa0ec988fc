/** The pids in cgroup.procs. */

import { type Fd, openIn, readInto } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { wholeLines } from "../parse/cgroupfs.ts";
import { type Cgroup, tryReadControl } from "./cgroup.ts";

/**
 * The pids as listed, in no promised order and possibly repeated; 0 stands for a process outside this pid namespace. A last line
 * without its newline is skipped: it may be the beginning of a longer pid.
 */
export const parsePids = (text: string): number[] =>
  wholeLines(text).filter((line) => /^\d+$/.test(line)).map(Number);

/** The pids that this pid namespace knows. */
export const pidsIn = (text: string): Set<number> =>
  new Set(parsePids(text).filter((pid) => pid > 0));

/** The pids in `cgroup` itself; none when it cannot be read. */
export const tryListPids = (cgroup: Cgroup): Set<number> =>
  pidsIn(tryReadControl(cgroup, "cgroup.procs") ?? "");

const buffer = new Uint8Array(64 * 1024);
const LINE_FEED = 0x0a;

/** The same by the directory of a cgroup, without making text of it: called between a wake-up and a kill. */
export function pidsInCgroup(cgroupFd: Fd): ReadonlySet<number> {
  const pids = new Set<number>();
  try {
    // Opened each time: an open cgroup.procs of v1 keeps listing the pids of when it was opened.
    using file = openIn(cgroupFd, "cgroup.procs");
    let number = 0;
    for (let n = readInto(file, buffer) ?? 0; n > 0; n = readInto(file, buffer) ?? 0) {
      for (let at = 0; at < n; at++) {
        const byte = buffer[at]!;
        if (byte !== LINE_FEED) {
          number = number * 10 + byte - 0x30;
          continue;
        }
        pids.add(number);
        number = 0;
      }
    }
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
  }
  return pids;
}
