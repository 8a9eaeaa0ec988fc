/** A process that is held on to, and whether it still is where it was. */

import { type Cgroup, isThere, isThreaded, tryReadControl, walk } from "../cgroup/cgroup.ts";
import { exists, inodeOf, tryReadText } from "../cgroup/files.ts";
import {
  type Fd,
  inodeOfFd,
  O_WRONLY,
  openDirectory,
  openIn,
  readInto,
  writeText,
} from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import { wholeLines } from "../parse/cgroupfs.ts";
import { parseMountinfo } from "../parse/mountinfo.ts";
import { parseProcCgroup } from "../parse/procfs.ts";
import type { FrozenCgroup, SuspensionLog } from "./suspension_log.ts";
import { writeControl } from "./write.ts";

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

/* Stopping everything in a cgroup at once: kernel, cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst, cgroup.freeze. */

export interface Freezer {
  /** The control file. */
  readonly file: string;
  readonly frozen: string;
  readonly thawed: string;
}

/**
 * What stops everything in `cgroup`, and nothing else. On v1 that is a cgroup of another hierarchy, which takes part only
 * when all that it holds is in `cgroup` as well; `undefined` when there is none.
 */
export function freezerOf(cgroup: Cgroup): Freezer | undefined {
  const { freezeFile } = cgroup.hierarchy.version;
  if (freezeFile !== undefined) {
    const file = `${cgroup.dir}/${freezeFile}`;
    return exists(file) ? { file, frozen: "1", thawed: "0" } : undefined;
  }
  const inside = new Set(
    [...walk(cgroup)].flatMap((each) => pids(tryReadControl(each, "cgroup.procs"))),
  );
  const [first] = inside;
  if (first === undefined) return undefined;
  const dir = freezerDirectory(first);
  const stopped = dir === undefined ? [] : pids(tryReadText(`${dir}/cgroup.procs`));
  if (stopped.length === 0 || stopped.some((pid) => !inside.has(pid))) return undefined;
  return { file: `${dir}/freezer.state`, frozen: "FROZEN", thawed: "THAWED" };
}

function freezerDirectory(pid: string): string | undefined {
  const mount = parseMountinfo(tryReadText("/proc/self/mountinfo") ?? "")
    .find(({ fsType, superOptions }) => fsType === "cgroup" && superOptions.includes("freezer"));
  const line = parseProcCgroup(tryReadText(`/proc/${pid}/cgroup`) ?? "")
    .find(({ controllers }) => controllers.includes("freezer"));
  // The root freezes nobody.
  if (mount?.root !== "/" || line === undefined || line.path === "/") return undefined;
  return `${mount.mountPoint}${line.path}`;
}

const pids = (text: string | undefined) => (text ?? "").split("\n").filter((pid) => pid !== "");

/* The deed itself. With `dryRun` everything is done but the last call. */

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
