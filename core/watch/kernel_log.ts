/** /dev/kmsg from now on: kernel, Documentation/ABI/testing/dev-kmsg. */

import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { cgroupOfKilled } from "../cgroup/whereabouts.ts";
import { type Fd, O_NONBLOCK, O_RDONLY, openFd, readInto, seekToEnd } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { joinContinuation, type KmsgRecord, parseKmsgRecord } from "../parse/kmsg.ts";
import { createKillLog, type LoggedKill } from "./kill_log.ts";

export interface KernelLog extends Disposable {
  /** To be waited for. */
  readonly fd: Fd;
  /** The kills logged since the last call. */
  read(): LoggedKill[];
}

/** A record is at most 8 KiB (CONSOLE_EXT_LOG_MAX); a shorter buffer would get EINVAL. */
const RECORD_MAX = 8192;

/**
 * Throws `SystemCallError` where it may not be read, or is not there.
 *
 * @param hierarchy in which a victim is looked for at once where the kernel left out its cgroup.
 */
export function openKernelLog(hierarchy: Hierarchy): KernelLog {
  const fd = openFd("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  seekToEnd(fd);
  const buffer = new Uint8Array(RECORD_MAX);
  const decoder = new TextDecoder();
  const kills = createKillLog();
  let last: KmsgRecord | undefined;

  /** One record; "" when there is no more, `undefined` when records were overwritten before they could be read. */
  const next = (): string | undefined => {
    try {
      const n = readInto(fd, buffer);
      return n === undefined ? "" : decoder.decode(buffer.subarray(0, n));
    } catch (error) {
      if (error instanceof SystemCallError && error.code === "EPIPE") return undefined;
      throw error;
    }
  };

  const placed = (kill: LoggedKill): LoggedKill => {
    const cgroup = kill.cgroup ?? cgroupOfKilled(kill.victim.pid, kill.victim.comm, hierarchy);
    return cgroup === undefined ? kill : { ...kill, cgroup };
  };

  return {
    fd,
    read() {
      const found: LoggedKill[] = [];
      for (let text = next(); text !== ""; text = next()) {
        const record = text === undefined ? undefined : parseKmsgRecord(text);
        // Whoever may write to /dev/kmsg could forge a kill; the kernel's own facility is 0.
        if (record?.facility !== 0) continue;
        // A long summary is written in pieces; each longer whole replaces the one before.
        last = joinContinuation(last, record);
        const kill = kills.take(last.message, last.timestamp);
        if (kill) found.push(placed(kill));
      }
      return found;
    },
    [Symbol.dispose]: fd.close,
  };
}
