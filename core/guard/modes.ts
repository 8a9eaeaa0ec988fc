/** How to be in time in one cgroup, and the change that it takes. */

import type { Journal } from "../act/journal.ts";
import { type Cgroup, isThere, readOutline } from "../cgroup/cgroup.ts";
import { OomkitError } from "../errors.ts";
import type { GuardedLimit } from "./limit.ts";
import { deadlyLevel, type GuardPlan, type Mode } from "./plan.ts";
import { isWithin } from "./scope.ts";

export interface Modes {
  /** What is asked for there. */
  wanted(limit: GuardedLimit, plan: GuardPlan): Mode;
  /** Changes the cgroup as `mode` asks for; the mode that it is in then. */
  settle(measured: Cgroup, mode: Mode, threshold: number): Mode;
  /** False when somebody has undone what the mode needs, as systemd does when it is reloaded. */
  isAsSet(measured: Cgroup, mode: Mode): boolean;
}

/** The kernel rounds to pages, of which these are the largest (arm64); so what is set is what is read. */
const PAGE = 65536;

export function createModes(
  journal: Journal,
  refuse: (cgroup: Cgroup, wanted: string, using: string, reason: string) => void,
): Modes {
  /** Why it cannot be set up there. */
  const obstacle = (measured: Cgroup, mode: Mode, threshold: number): string | undefined => {
    const { dir, inode, hierarchy: { own } } = measured;
    if (mode === "hold" && own !== undefined && isWithin(own, measured.path)) {
      return "oomkit runs in it, and would be held as well";
    }
    const file = fileOf(mode);
    const other = journal.holder(dir, file);
    if (other !== undefined) return `the guard with pid ${other} has changed ${file}`;
    if (mode === "tripwire" && !journal.isOurs(dir, file)) {
      const high = readOutline(measured)?.limits.high ?? Infinity;
      if (high <= threshold) return `its own memory.high of ${high} slows it down before`;
    }
    try {
      const value = mode === "hold" ? "1" : String(Math.floor(threshold / PAGE) * PAGE);
      const refused = journal.change(dir, inode, file, value);
      return refused === undefined ? undefined : `${dir}/${file}: ${refused}`;
    } catch (error) {
      // It cannot be recorded, and so must not be changed.
      if (error instanceof OomkitError) return error.message;
      throw error;
    }
  };

  return {
    wanted({ measured }, plan) {
      if (plan.dryRun) return "notify";
      if (plan.mode !== "auto") return plan.mode;
      const isV2 = measured.hierarchy.dialect.version === 2;
      // Nothing is changed for what only tells; and the soft limit of v2 is the very file that it would take.
      const isDeadly = deadlyLevel(plan.actions) !== undefined;
      return isV2 && isDeadly && !plan.softLimit ? "tripwire" : "notify";
    },
    settle(measured, mode, threshold) {
      if (mode === "notify") return mode;
      const reason = obstacle(measured, mode, threshold);
      if (reason === undefined) return mode;
      if (isThere(measured)) refuse(measured, mode, "notify", reason);
      return "notify";
    },
    isAsSet: ({ dir }, mode) => mode === "notify" || journal.isOurs(dir, fileOf(mode)),
  };
}

const fileOf = (mode: Mode) => mode === "tripwire" ? "memory.high" : "memory.oom_control";
