/**
 * The mode `throttle` (v2): memory.high is set while the limit may be near. A cgroup that stays full of page cache would lose the
 * margin for weeks, and its writers would wait for memory.high; there it is lifted, until other memory grows.
 *
 * The monitor thread does it, because there is no time to ask the main thread. The change stays on record meanwhile: undoing it finds the
 * original value in place.
 */

import { walkAccessible } from "../../cgroup/cgroup.ts";
import { tryReadText } from "../../cgroup/files.ts";
import { writeInBackground } from "../../control/background_write.ts";
import { openControlFileIn } from "../../kernel/control_file.ts";
import { type Fd, inodeOfFd, O_WRONLY, openDirectory, openIn, writeText } from "../../kernel/fd.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { isThrottledAt } from "../../policy/levels.ts";
import { type CgroupState, reportHead } from "./cgroup_state.ts";
import type { Report } from "./protocol.ts";

const FILE = "memory.high";
/** It is lifted after this long (milliseconds; an estimate, many times the interval of the looks). */
const MIN_MS_FAR = 2000;
/** Protection by memory.min is looked for this often (milliseconds). */
const MS_BETWEEN_ATTEMPTS = 10_000;

export class ThrottleSwitch {
  constructor(private readonly report: (report: Report) => void) {}

  /** Lifts memory.high or sets it again. To be called after each look. */
  update(state: CgroupState, now: number): void {
    const { settings: { mode, memoryHigh, levelBytes, limit }, schedule, memory, throttle } = state;
    if (mode !== "throttle" || memoryHigh === undefined) return;
    // Others may depend on the same limit.
    if (state.scope !== state.limitOwner) return;
    const { farSince } = schedule;
    if (throttle.isLifted) {
      // Below the level that costs nothing; above it the kernel reclaims first, which takes milliseconds.
      if (farSince === undefined) {
        this.#set(state, memoryHigh.before, memoryHigh.set, writeInBackground);
      }
      return;
    }
    const isThrottled = isThrottledAt(memory.usage, limit, levelBytes);
    if (isThrottled && now - (farSince ?? now) >= MIN_MS_FAR && now >= throttle.retryAt) {
      throttle.retryAt = now + MS_BETWEEN_ATTEMPTS;
      if (!hasProtectedMemory(state)) this.#set(state, memoryHigh.set, memoryHigh.before, writeNow);
    }
  }

  /** Where another program has changed it, it stays, and the main thread finds out. */
  #set(
    state: CgroupState,
    from: string,
    to: string,
    write: (directory: Fd, name: string, value: string) => void,
  ): void {
    const { files, limitOwner: { dir, inode }, throttle } = state;
    const isLift = write === writeNow;
    try {
      using opened = files.directory ? undefined : openDirectory(dir);
      if (opened !== undefined && inodeOfFd(opened) !== inode) return;
      const directory = files.directory?.open() ?? opened!;
      const isOurs = read(directory) === from;
      if (isOurs) write(directory, FILE, to);
      else if (isLift) return;
    } catch (error) {
      // Removed, or no descriptors: as it was.
      if (!(error instanceof SystemCallError)) throw error;
      return;
    }
    throttle.isLifted = isLift;
    this.report({ type: "throttle", ...reportHead(state), isLifted: isLift });
  }
}

function read(directory: Fd): string | undefined {
  using file = openControlFileIn(directory, FILE);
  return file.text()?.trim();
}

function writeNow(directory: Fd, name: string, value: string): void {
  using file = openIn(directory, name, O_WRONLY);
  writeText(file, value);
}

/** By memory.min of a cgroup below: page cache that the kernel counts as reclaimable, and does not reclaim. */
function hasProtectedMemory({ limitOwner }: CgroupState): boolean {
  for (const { dir, path } of walkAccessible(limitOwner)) {
    if (path === limitOwner.path) continue;
    if ((tryReadText(`${dir}/memory.min`)?.trim() ?? "0") !== "0") return true;
  }
  return false;
}
