/** The deed itself. With `dryRun` everything is done but the last call. */

import { type Cgroup, isThere, isThreaded, tryReadControl, walk } from "../cgroup/cgroup.ts";
import { inodeOf } from "../cgroup/files.ts";
import { writeControl } from "./control.ts";
import { type Freezer, freezerOf } from "./freezer.ts";
import { type Fd, inodeOfFd, O_WRONLY, openDirectory, openIn, writeText } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import { pidsIn, type PinnedProcess } from "./held.ts";
import type { FrozenCgroup, SuspensionLog } from "./pauses.ts";

export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCONT = 18;
export const SIGSTOP = 19;

/** Why it was not done; `undefined` when it was. `gone` is an ordinary outcome: try the next one. */
export type Failure = "gone" | { readonly reason: string } | undefined;

/** @param present the pids that are in its cgroup at this moment: who has moved out is not struck. */
export function signalProcess(
  { pid, pidfd }: PinnedProcess,
  present: ReadonlySet<number>,
  signal: number,
  dryRun: boolean,
): Failure {
  if (!present.has(pid)) return "gone";
  try {
    if (!signalPidfd(pidfd, dryRun ? 0 : signal)) return "gone";
  } catch (error) {
    if (error instanceof SystemCallError) return { reason: `${error.call}: ${error.code}` };
    throw error;
  }
  return undefined;
}

/**
 * Ends everything in a cgroup and beneath. v2 has a file for it, against which no fork helps (cgroup.kill, Linux 5.14);
 * elsewhere this is one round, to be repeated until {@link isEmpty}.
 *
 * @param freeze stop them all first, which keeps a fork bomb from being faster; where that is on record meanwhile.
 * @param untouchable pids that are left alone.
 */
export function killCgroup(
  cgroup: Cgroup,
  signal: number,
  dryRun: boolean,
  protectedPids: ReadonlySet<number>,
  freeze: SuspensionLog | false,
): Failure {
  try {
    using directory = openDirectory(cgroup.dir);
    if (inodeOfFd(directory) !== cgroup.inode) return "gone";
    if (signal === SIGKILL && holdsNone(cgroup, protectedPids)) {
      using file = openIn(directory, "cgroup.kill", O_WRONLY);
      if (!dryRun) writeText(file, "1");
      return undefined;
    }
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    // v1, or older than 5.14.
    if (error.code !== "ENOENT") return { reason: `${error.call} cgroup.kill: ${error.code}` };
  }
  const freezer = freeze && !dryRun ? freezerOf(cgroup) : undefined;
  if (!freeze || !freezer) return signalEach(cgroup, dryRun ? 0 : signal, protectedPids);
  const frozen = frozenBy(freezer);
  freeze.begin(frozen);
  writeControl(freezer.file, freezer.frozen);
  try {
    return signalEach(cgroup, signal, protectedPids);
  } finally {
    // A frozen process dies when it thaws.
    writeControl(freezer.file, freezer.thawed);
    freeze.end(frozen);
  }
}

function frozenBy({ file: path, frozen: set, thawed: before }: Freezer): FrozenCgroup[] {
  const [, dir, name] = /^(.*)\/([^/]+)$/s.exec(path)!;
  const inode = inodeOf(dir!);
  const file = name === "cgroup.freeze" ? name : "freezer.state";
  return inode === undefined ? [] : [{ dir: dir!, inode, file, before, set }];
}

/** cgroup.kill spares nobody. */
function holdsNone(cgroup: Cgroup, protectedPids: ReadonlySet<number>): boolean {
  return [...walk(cgroup)].every((each) =>
    pidsOf(each)?.every((pid) => !protectedPids.has(pid)) ?? protectedPids.size === 0
  );
}

function signalEach(cgroup: Cgroup, signal: number, protectedPids: ReadonlySet<number>): Failure {
  let failure: Failure;
  for (const each of walk(cgroup)) {
    const pinned: { readonly pid: number; readonly pidfd: Fd | undefined }[] = [];
    try {
      for (const pid of pidsOf(each) ?? []) {
        if (!protectedPids.has(pid)) pinned.push({ pid, pidfd: openPidfd(pid) });
      }
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      failure = { reason: `${error.call}: ${error.code}` };
    }
    // Held first, then asked once more who is in it: no pid can come to mean another in between.
    const still = new Set(pidsOf(each));
    for (const { pid, pidfd } of pinned) {
      if (pidfd === undefined) continue;
      try {
        if (still.has(pid)) signalPidfd(pidfd, signal);
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        failure = { reason: `${error.call}: ${error.code}` };
      } finally {
        pidfd.close();
      }
    }
  }
  return failure;
}

/** `undefined` when the cgroup is gone, and when it cannot be read. */
function pidsOf(cgroup: Cgroup): number[] | undefined {
  const text = tryReadControl(cgroup, "cgroup.procs");
  if (text === undefined && isThreaded(cgroup)) return [];
  return text === undefined || (text !== "" && !text.endsWith("\n"))
    ? undefined
    : [...pidsIn(text)];
}

/** Whether nobody is left but those that may not be touched. */
export function isEmpty(cgroup: Cgroup, protectedPids: ReadonlySet<number>): boolean {
  return [...walk(cgroup)].every((each) =>
    pidsOf(each)?.every((pid) => protectedPids.has(pid)) ?? !isThere(each)
  );
}
