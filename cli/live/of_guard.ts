/** The live view of `guard`. */

import type { Guard } from "../../core/guard/guard.ts";
import { LEVELS } from "../../core/policy/levels.ts";
import { type Live, type LiveOptions, openLive } from "./live.ts";

/** @param guarding as soon as it is there. */
export function openGuardLive(
  options: Omit<LiveOptions, "command" | "subjects">,
  guarding: () => Guard | undefined,
): Live {
  return openLive({
    ...options,
    command: "guard",
    subjects: () =>
      (guarding()?.guardedCgroups() ?? []).map(({ cgroup, limitOwner: measured, settings }) => ({
        cgroup,
        measured,
        limit: settings.limit,
        mode: settings.mode,
        marks: () => LEVELS.map((name) => ({ name, bytes: settings.levelBytes[name] })),
      })),
  });
}
