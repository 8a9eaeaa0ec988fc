/** Ends whatever is in a cgroup of our own and removes it. */

import { delay } from "./delay.ts";
import { type Cgroup, isThere, walk } from "../cgroup/cgroup.ts";
import { errnoOf, exists } from "../cgroup/files.ts";
import { pidsOf } from "../cgroup/processes.ts";
import { OomkitError } from "../errors.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import { reasonOf, writeControl } from "../act/control.ts";

const SIGKILL = 9;
const ENOENT = 2;
const EBUSY = 16;
const ENOTEMPTY = 39;

/** A cgroup is busy until its dead have left; freeing 512 MiB takes 25 ms (docs/performance.md), a core dump longer. */
const PATIENCE_MS = 5000;
const PAUSE_MS = 2;

/**
 * Kills everything in the cgroup and beneath it, and removes all of it; harmless when it is gone, or when another has
 * taken its place. Throws {@link OomkitError} when something in it does not die.
 */
export async function removeCgroup(cgroup: Cgroup): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (isThere(cgroup)) {
    const failure = tryToRemove(cgroup);
    if (failure === undefined) return;
    if (performance.now() > deadline) {
      throw new OomkitError(
        `cannot remove ${cgroup.dir}: ${failure} after ${PATIENCE_MS / 1000} s`,
        "end what is in it and remove it with rmdir",
      );
    }
    await delay(PAUSE_MS);
  }
}

/** Why the cgroup is still there. */
function tryToRemove(cgroup: Cgroup): string | undefined {
  killAll(cgroup);
  for (const each of [...walk(cgroup)].reverse()) {
    try {
      Deno.removeSync(each.dir);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === ENOENT) continue;
      return errno === EBUSY || errno === ENOTEMPTY ? "it is busy" : reasonOf(error);
    }
  }
  return undefined;
}

/** v2 does it at once (cgroup.kill, since 5.14). Elsewhere one by one, and again, since they may have forked meanwhile. */
export function killAll(cgroup: Cgroup): void {
  if (exists(`${cgroup.dir}/cgroup.kill`)) {
    writeControl(`${cgroup.dir}/cgroup.kill`, "1");
    return;
  }
  for (const each of walk(cgroup)) {
    for (const pid of pidsOf(each) ?? []) {
      if (pid === Deno.pid) continue;
      using pidfd = openPidfd(pid);
      // Looked up again once it is held: the pid may have passed on to a process that is none of ours.
      if (pidfd && pidsOf(each)?.includes(pid)) signalPidfd(pidfd, SIGKILL);
    }
  }
}
