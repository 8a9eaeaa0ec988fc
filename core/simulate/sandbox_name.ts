/** The names of our own cgroups: they tell who made them, so that a later run knows which were left behind. */

import { parseProcStat } from "../parse/proc_stat.ts";
import { readLink, tryReadText } from "../cgroup/files.ts";

export type SandboxPrefix = "oomkit-sim" | "oomkit-run";

/** Who made a sandbox. A pid alone comes back; with the start time and the namespace it does not. */
export interface Owner {
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly startTime: bigint;
  /** Inode of the pid namespace in which `pid` counts. */
  readonly namespace: number;
}

const NAME = /^(oomkit-(?:sim|run))-(\d{1,10})-(\d{1,20})-(\d{1,10})(?:\.\d+)?$/;

/** @param sequence tells several sandboxes of one process apart; 0 for the first. */
export function sandboxName(prefix: SandboxPrefix, owner: Owner, sequence = 0): string {
  const name = `${prefix}-${owner.pid}-${owner.startTime}-${owner.namespace}`;
  return sequence === 0 ? name : `${name}.${sequence}`;
}

/** `undefined` for a name that is not ours. */
export function parseSandboxName(
  name: string,
): { readonly prefix: SandboxPrefix; readonly owner: Owner } | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const [, prefix, pid, startTime, namespace] = match;
  return {
    prefix: prefix as SandboxPrefix,
    owner: { pid: Number(pid), startTime: BigInt(startTime!), namespace: Number(namespace) },
  };
}

/** This process; `undefined` without /proc. */
export function self(): Owner | undefined {
  const stat = parseProcStat(tryReadText("/proc/self/stat") ?? "");
  const namespace = /^pid:\[(\d+)\]$/.exec(readLink("/proc/self/ns/pid") ?? "")?.[1];
  if (stat === undefined || namespace === undefined) return undefined;
  return { pid: stat.pid, startTime: stat.startTime, namespace: Number(namespace) };
}

/**
 * Whether `owner` has ended. A pid of another namespace cannot be looked up from here, so it counts as alive: better a
 * cgroup too many than somebody's running simulation killed.
 */
export function isGone(owner: Owner, observer: Owner): boolean {
  if (owner.namespace !== observer.namespace) return false;
  const stat = parseProcStat(tryReadText(`/proc/${owner.pid}/stat`) ?? "");
  if (stat === undefined || stat.startTime !== owner.startTime) return true;
  return stat.state === "Z" || stat.state === "X";
}
