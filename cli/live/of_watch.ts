/** The live view of `watch`. */

import type { WatchOptions } from "../../core/watch/options.ts";
import type { Watching } from "../../core/watch/watch.ts";
import type { UsageMark } from "../terminal/usage_bar.ts";
import type { Subject } from "./poll.ts";
import { type Live, type LiveOptions, openLive } from "./live.ts";

/** @param watching as soon as it is there. */
export function openWatchLive(
  options: Omit<LiveOptions, "command" | "subjects">,
  thresholds: WatchOptions["thresholds"],
  watching: () => Watching | undefined,
): Live {
  const marks = (limit: number): readonly UsageMark[] =>
    thresholds.flatMap((each) => {
      const bytes = "bytes" in each ? each.bytes : limit * each.percent / 100;
      return Number.isFinite(bytes) ? [{ name: "watched", bytes }] : [];
    });
  const subjectOf = (cgroup: Subject["cgroup"]): Subject => ({ cgroup, measured: cgroup, marks });
  return openLive({
    ...options,
    command: "watch",
    subjects: () => (watching()?.cgroups() ?? []).map(subjectOf),
  });
}
