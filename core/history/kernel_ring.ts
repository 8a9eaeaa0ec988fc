/** The OOM kills of this boot that are still in the kernel's ring buffer. */

import { errorText, OomkitError } from "../errors.ts";
import { uptimeMicroseconds } from "../kernel/clock.ts";
import { KernelLogReader, openKernelLog } from "../kernel/kernel_log.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { parseLogLine } from "../parse/log_line.ts";
import { LogKills, type ReadLog } from "./log_kills.ts";

const NAME = "/dev/kmsg";

/** @param boot the id of this boot. Throws {@link OomkitError} when the log cannot be read. */
export function readKernelRing(boot: string | undefined): ReadLog {
  const log = new LogKills("kmsg", NAME);
  const uptime = uptimeMicroseconds();
  const bootedAt = Date.now() - uptime / 1000;
  let isFirst = true;
  let isComplete = true;
  let overwrites = 0;
  try {
    using reader = new KernelLogReader(openKernelLog("oldest"));
    for (let text = reader.next(); text !== undefined; text = reader.next()) {
      log.lines += 1;
      // The kernel numbers its records from 0.
      if (isFirst) isComplete = /^\d+,0,/.test(text);
      isFirst = false;
      const line = parseLogLine(text.split("\n", 1)[0]!, 0);
      if (line?.uptime === undefined) continue;
      log.add({
        ...line,
        at: bootedAt + Number(line.uptime) / 1000,
        ...boot !== undefined && { boot },
      });
      // A machine that logs all the time would keep this busy.
      if (Number(line.uptime) > uptime) break;
    }
    overwrites = reader.overwrites;
  } catch (error) {
    const why = error instanceof SystemCallError
      ? WORDS[error.code] ?? `${error.call}: ${error.code}`
      : errorText(error);
    throw new OomkitError(
      `cannot read ${NAME}: ${why}`,
      "run as root, or name a file: --file FILE",
    );
  }
  return log.end([
    ...isComplete ? [] : [{
      reason: "overwritten" as const,
      source: NAME,
      message: "its first lines of this boot were overwritten",
    }],
    ...overwrites === 0 ? [] : [{
      reason: "lost_lines" as const,
      source: NAME,
      message: "lines were overwritten while they were read",
    }],
  ]);
}

const WORDS: Readonly<Record<string, string>> = {
  EPERM: "permission denied",
  EACCES: "permission denied",
  ENOENT: "there is no such file",
};
