/** What `watch --annotate` tells of a command that has ended. */

import type { EventType } from "../core/report/event.ts";
import type { RunReport } from "../core/report/run.ts";
import type { Annotation } from "./annotate.ts";

/** As at the critical level of `guard`, from 90 % of the limit on: the next build may be the one that dies. */
const CLOSE = 0.1;

/**
 * @param line the verdict in words
 * @param failedBy what `--fail-on` asked for and was seen
 */
export function runAnnotation(
  report: RunReport,
  line: string,
  failedBy: readonly EventType[],
): Annotation {
  if (report.verdict === "oom_killed") return of("error", "killed for want of memory", line);
  if (failedBy.length > 0) {
    return of("error", `${failedBy.join(", ")} seen`, `${line}; --fail-on asks to fail`);
  }
  if (report.verdict === "limit_hit") return of("warning", "the memory limit was hit", line);
  if (report.verdict === "unknown") return of("warning", "memory could not be followed", line);
  const { limit, headroom } = report;
  return limit !== null && headroom !== null && headroom < CLOSE * limit
    ? of("warning", "close to the memory limit", line)
    : of("notice", "memory", line);
}

const of = (level: Annotation["level"], title: string, message: string): Annotation => ({
  level,
  title: `oomkit: ${title}`,
  message,
});
