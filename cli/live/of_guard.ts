/** The live view of `guard`. */

import type { Guarding } from "../../core/guard/guard.ts";
import { LEVELS } from "../../core/policy/bounds.ts";
import { type Live, type LiveOptions, openLive } from "./live.ts";

/** @param guarding as soon as it is there. */
export function openGuardLive(
  options: Omit<LiveOptions, "command" | "subjects">,
  guarding: () => Guarding | undefined,
): Live {
  return openLive({
    ...options,
    command: "guard",
    subjects: () =>
      (guarding()?.entries() ?? []).map(({ cgroup, measured, terms }) => ({
        cgroup,
        measured,
        limit: terms.limit,
        mode: terms.mode,
        marks: () => LEVELS.map((name) => ({ name, bytes: terms.bounds[name] })),
      })),
  });
}
