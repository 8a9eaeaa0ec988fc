/** A process that is held on to, and whether it still is where it was. */

import { type Fd, openIn, readInto } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { wholeLines } from "../parse/whole_lines.ts";

export interface PinnedProcess {
  readonly pid: number;
  readonly pidfd: Fd;
  /** The directory of the cgroup that it was found in. */
  readonly cgroupFd: Fd;
}

/** The pids in the text of cgroup.procs; those outside of this pid namespace read as 0 and are left out. */
export function pidsIn(text: string): Set<number> {
  const lines = wholeLines(text).filter((line) => /^[1-9]\d*$/.test(line));
  return new Set(lines.map(Number));
}

/**
 * Whether the process that is held is in its cgroup at this moment. One that moved out is in the file no longer, and another
 * that has its pid by now is not what the pidfd holds.
 */
export function isStillMember({ cgroupFd, pid }: PinnedProcess): boolean {
  return pidsInCgroup(cgroupFd).has(pid);
}

const buffer = new Uint8Array(64 * 1024);
const LINE_FEED = 0x0a;

/** The pids in the cgroup whose directory this is; none when it is gone. */
export function pidsInCgroup(cgroupFd: Fd): ReadonlySet<number> {
  const pids = new Set<number>();
  try {
    // Opened anew: what v1 tells of pids is as old as the open file.
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
