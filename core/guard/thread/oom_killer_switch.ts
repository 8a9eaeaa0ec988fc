/**
 * The mode `hold-near-limit` (v1): the kernel's OOM killer is off while usage is near the limit. The monitor thread switches it,
 * because there is no time to ask the main thread; while it is off, that is on record beside the suspended processes.
 */

import { type SuspendedCgroup, SuspensionLog } from "../../control/journal.ts";
import { openControlFileIn } from "../../kernel/control_file.ts";
import { type Fd, inodeOfFd, O_WRONLY, openDirectory, openIn, writeText } from "../../kernel/fd.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { isLimitNear, MIN_HOLD_MS } from "../../policy/hold.ts";
import type { CgroupState } from "./cgroup_state.ts";
import { isOutsideFirst } from "./victim_selection.ts";

const FILE = "memory.oom_control";

/** A limit, on which several guarded cgroups may depend. */
interface HeldLimit {
  readonly record: SuspendedCgroup;
  /** Ids of the cgroups that need it. */
  readonly users: Set<number>;
}

export class OomKillerSwitch {
  /** By directory. */
  readonly #held = new Map<string, HeldLimit>();

  /** @param select called near the limit, so that it is known which process the kernel would kill. */
  constructor(
    private readonly suspensions: SuspensionLog,
    private readonly select: (state: CgroupState) => void,
  ) {}

  /**
   * Disables the OOM killer when the limit is near, and enables it when that is over. To be called at each look.
   *
   * @returns why it cannot be disabled.
   */
  update(state: CgroupState, now: number): string | undefined {
    const { hold, memory, settings: { limit, levelBytes: { critical } }, decision, schedule } =
      state;
    // A cgroup can stay full of page cache for weeks.
    const isFar = schedule.farSince !== undefined;
    const isNear = !isFar && isLimitNear(memory, { critical, limit }, hold, now);
    hold.usage = memory.usage;
    hold.at = now;
    if (isNear) {
      hold.until = now + MIN_HOLD_MS;
      this.select(state);
      if (isForKernel(state)) this.release(state);
      else if (!hold.isDisabled && !hold.isLeftToKernel) return this.#disable(state);
      return undefined;
    }
    hold.isLeftToKernel = false;
    if (now >= hold.until && (isFar || !decision.killCycle)) this.release(state);
    return undefined;
  }

  leaveToKernel(state: CgroupState): void {
    this.release(state);
    state.hold.isLeftToKernel = true;
  }

  /** Enables it, unless another cgroup depends on the same limit. */
  release(state: CgroupState): void {
    const { id, hold, limitOwner: { dir } } = state;
    if (!hold.isDisabled) return;
    hold.isDisabled = false;
    const held = this.#held.get(dir);
    held?.users.delete(id);
    if (held === undefined || held.users.size > 0) return;
    this.#held.delete(dir);
    // What could not be enabled stays on record, for the end of the guard.
    if (inDirectoryOf(state, (directory) => write(directory, "0")) === undefined) {
      this.suspensions.end([held.record]);
    }
  }

  #disable(state: CgroupState): string | undefined {
    const { id, hold, limitOwner: { dir, inode } } = state;
    const known = this.#held.get(dir);
    if (known) {
      known.users.add(id);
      hold.isDisabled = true;
      return undefined;
    }
    const record = { dir, inode, file: FILE, before: "0", set: "1" } as const;
    const refused = inDirectoryOf(state, (directory) => {
      // Another program has disabled it, and enables it by itself.
      if (isDisabledIn(directory)) return;
      this.suspensions.begin([record]);
      write(directory, "1");
      this.#held.set(dir, { record, users: new Set([id]) });
      hold.isDisabled = true;
    });
    if (refused === undefined) return undefined;
    this.suspensions.end([record]);
    hold.isLeftToKernel = true;
    return refused;
  }
}

/** Nothing is won then by a disabled OOM killer, and system calls in the guarded cgroup would fail at the limit. */
const isForKernel = ({ pinned: { selection } }: CgroupState): boolean =>
  selection !== undefined && isOutsideFirst(selection);

/** @returns why it failed; `undefined` also when the cgroup is gone. */
function inDirectoryOf(
  { files: { directory }, limitOwner: { dir, inode } }: CgroupState,
  run: (directory: Fd) => void,
): string | undefined {
  try {
    // Outside of the descriptor budget the path is all that is known of it.
    using opened = directory ? undefined : openDirectory(dir);
    if (opened === undefined || inodeOfFd(opened) === inode) run(directory?.open() ?? opened!);
    return undefined;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    const isGone = error.code === "ENOENT" || error.code === "ENODEV";
    return isGone ? undefined : `${error.call} ${FILE}: ${error.code}`;
  }
}

function isDisabledIn(directory: Fd): boolean {
  using file = openControlFileIn(directory, FILE);
  return /^oom_kill_disable 1$/m.test(file.text() ?? "");
}

function write(directory: Fd, value: "0" | "1"): void {
  using file = openIn(directory, FILE, O_WRONLY);
  writeText(file, value);
}
