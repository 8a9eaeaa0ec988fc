/**
 * How many files may be open (getrlimit(2), RLIMIT_NOFILE) and which may stay open. Some descriptors stay free for files that are
 * opened for a moment: if a control file cannot be opened, its cgroup cannot be guarded.
 */

import type { Fd } from "./fd.ts";
import { libc } from "./libc.ts";

/** bits/resource.h, generic ABI: the same on x86-64 and arm64. */
const RLIMIT_NOFILE = 7;
/** Kept free for what is opened for a moment: control files, pidfds of victims, hooks and sockets. */
const MAX_RESERVED = 1024;
const MIN_RESERVED = 128;
const RESERVED_SHARE = 1 / 16;

/** What a descriptor is for: one that only saves time is given up first. */
type Purpose = "notification" | "speed";

/** struct rlimit: u64 soft, hard. */
const limits = new BigUint64Array(2);

let known: number | undefined;

/**
 * The limit of this process, raised as far as is possible without privilege; child processes inherit it. `Infinity` if there is
 * none or it is unknown.
 */
export function descriptorLimit(): number {
  known ??= raise();
  return known;
}

function raise(): number {
  const { getrlimit, setrlimit } = libc();
  if (getrlimit(RLIMIT_NOFILE, limits) !== 0) return Infinity;
  const [soft, hard] = limits as unknown as readonly [bigint, bigint];
  if (soft === hard) return toNumber(soft);
  limits[0] = hard;
  return toNumber(setrlimit(RLIMIT_NOFILE, limits) === 0 ? hard : soft);
}

/**
 * Whether a descriptor that was just opened may stay open. The kernel assigns the lowest free number (open(2)), so a high number
 * means that few are left, whichever thread uses them.
 */
export function withinFdBudget(fd: Fd, purpose: Purpose): boolean {
  const limit = descriptorLimit();
  const reserved = Math.min(
    limit / 2,
    MAX_RESERVED,
    Math.max(MIN_RESERVED, limit * RESERVED_SHARE),
  );
  return fd.number < (purpose === "notification" ? limit - reserved : limit / 2);
}

/** RLIM_INFINITY is the highest u64. */
const toNumber = (limit: bigint): number =>
  limit > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(limit);
