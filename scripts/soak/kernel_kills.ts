/** Kills by the kernel, from its log: read independently of the watch that is under test. */

import { O_NONBLOCK, O_RDONLY, openFd, readInto, seekToEnd } from "../../core/kernel/fd.ts";
import { SystemCallError } from "../../core/kernel/libc.ts";

export interface KernelKill {
  readonly pid: number;
  /** Milliseconds since the epoch at which it was read. */
  readonly at: number;
}

/** Maximum size of a record; a shorter buffer gets EINVAL (kernel, Documentation/ABI/testing/dev-kmsg). */
const RECORD_MAX = 8192;

/** Throws `SystemCallError` where the log may not be read. */
export class KernelKills implements Disposable {
  /** Records that were overwritten before they could be read. */
  missed = 0;
  readonly #fd = openFd("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  readonly #buffer = new Uint8Array(RECORD_MAX);

  constructor() {
    seekToEnd(this.#fd);
  }

  /** Kills since the last call. */
  take(): KernelKill[] {
    const kills: KernelKill[] = [];
    for (let text = this.#next(); text !== undefined; text = this.#next()) {
      const pid = killedPid(text);
      if (pid !== undefined) kills.push({ pid, at: Date.now() });
    }
    return kills;
  }

  #next(): string | undefined {
    for (;;) {
      try {
        const n = readInto(this.#fd, this.#buffer);
        return n === undefined ? undefined : new TextDecoder().decode(this.#buffer.subarray(0, n));
      } catch (error) {
        if (!(error instanceof SystemCallError && error.code === "EPIPE")) throw error;
        this.missed++;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** @param record as /dev/kmsg gives it: `level,number,…;text`. */
export function killedPid(record: string): number | undefined {
  const found =
    /^\d+,[^;]*;(?:Memory cgroup out of memory|Out of memory)[^:]*: Killed process (\d+) \(/
      .exec(record);
  return found ? Number(found[1]) : undefined;
}
