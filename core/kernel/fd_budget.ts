/**
 * How many files may be open at once, and whether some are left: getrlimit(2), RLIMIT_NOFILE. What stays open gives way in
 * time to what is opened for a moment: a control file that cannot be opened is a cgroup that cannot be guarded.
 */

import { libc } from "./libc.ts";
import type { Fd } from "./fd.ts";

/** bits/resource.h, generic ABI: alike on x86-64 and arm64. */
const RLIMIT_NOFILE = 7;
/** What is opened for a moment: control files, who is aimed at, hooks and sockets; so much where there is enough. */
const MAX_SPARED = 1024;
const LEAST_SPARED = 128;
const SPARED_SHARE = 1 / 16;

/** What a descriptor is for: what only spares time gives way first. */
export type Purpose = "notification" | "speed";

/** struct rlimit: u64 soft, hard. */
const limits = new BigUint64Array(2);

let known: number | undefined;

/**
 * How many there may be in this process, once the limit is raised as far as that is permitted without a privilege; what is
 * started from here has as many. `Infinity` where nobody limits them, or nothing can be told.
 */
export function descriptorLimit(): number {
  known ??= raise();
  return known;
}

function raise(): number {
  const { getrlimit, setrlimit } = libc();
  if (getrlimit(RLIMIT_NOFILE, limits) !== 0) return Infinity;
  const [soft, hard] = limits as unknown as readonly [bigint, bigint];
  if (soft === hard) return counted(soft);
  limits[0] = hard;
  return counted(setrlimit(RLIMIT_NOFILE, limits) === 0 ? hard : soft);
}

/**
 * Whether one that was just opened may stay open. The kernel gives out the lowest number that is free (open(2)), so that a high
 * one means that few are left, in whatever thread they went.
 */
export function withinFdBudget(fd: Fd, purpose: Purpose): boolean {
  const limit = descriptorLimit();
  const spared = Math.min(limit / 2, MAX_SPARED, Math.max(LEAST_SPARED, limit * SPARED_SHARE));
  return fd.number < (purpose === "notification" ? limit - spared : limit / 2);
}

/** RLIM_INFINITY is the highest u64. */
function counted(limit: bigint): number {
  return limit > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(limit);
}
