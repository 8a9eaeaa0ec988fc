/** Kills by the kernel, from its log: read independently of the watch that is under test. */

import { O_NONBLOCK, O_RDONLY, openFd, readInto, seekToEnd } from "../../core/kernel/fd.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";

export interface KernelKill {
  readonly pid: number;
  /** Milliseconds since the epoch at which it was read. */
  readonly at: number;
}

interface KernelKills extends Disposable {
  /** Kills since the last call. */
  take(): KernelKill[];
  /** Records that were overwritten before they could be read. */
  readonly missed: number;
}

/** Maximum size of a record; a shorter buffer gets EINVAL (kernel, Documentation/ABI/testing/dev-kmsg). */
const RECORD_MAX = 8192;

/** Throws `SystemCallError` where it may not be read. */
export function openKernelKills(): KernelKills {
  const fd = openFd("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  seekToEnd(fd);
  const buffer = new Uint8Array(RECORD_MAX);
  const decoder = new TextDecoder();
  let missed = 0;
  const next = (): string | undefined => {
    for (;;) {
      try {
        const n = readInto(fd, buffer);
        return n === undefined ? undefined : decoder.decode(buffer.subarray(0, n));
      } catch (error) {
        if (!(error instanceof SystemCallError && error.code === "EPIPE")) throw error;
        missed++;
      }
    }
  };
  return {
    get missed() {
      return missed;
    },
    take() {
      const kills: KernelKill[] = [];
      for (let text = next(); text !== undefined; text = next()) {
        const pid = killedPid(text);
        if (pid !== undefined) kills.push({ pid, at: Date.now() });
      }
      return kills;
    },
    [Symbol.dispose]: fd.close,
  };
}

/** @param record as /dev/kmsg gives it: `level,number,…;text`. */
export function killedPid(record: string): number | undefined {
  const found =
    /^\d+,[^;]*;(?:Memory cgroup out of memory|Out of memory)[^:]*: Killed process (\d+) \(/
      .exec(record);
  return found ? Number(found[1]) : undefined;
}
