/** A process in the victim order of a guard, as a line. Pure. */

import type { CandidateJson } from "../../core/events/event.ts";
import type { CgroupRank } from "../../core/policy/victim_order.ts";
import { formatBytes } from "../options/units.ts";
import { printable } from "./output.ts";

export function candidateText(candidate: CandidateJson, at: number): string {
  const { preference, pid, comm, cmdline, rss, oom_score_adj, badness } = candidate;
  const isExcluded = preference === "excluded";
  const rank = isExcluded ? "–" : String(at + 1);
  const line = cmdline.length > 0 ? cmdline.join(" ") : comm;
  const parts = [
    isExcluded ? "excluded" : `badness ${formatBytes(badness)}`,
    `rss ${formatBytes(rss ?? undefined)}`,
    oom_score_adj ? `oom_score_adj ${oom_score_adj}` : "",
    preference === "none" || isExcluded ? "" : preference,
    printable(candidate.preference_reason ?? ""),
    ...candidate.cgroup_rank ? [rankText(candidate.cgroup_rank)] : [],
  ].filter((part) => part !== "");
  const shown = printable(line.length > 60 ? `${line.slice(0, 59)}…` : line);
  return `${rank.padStart(2)}  pid ${pid} (${printable(comm)})  ${parts.join(", ")}  ${shown}`;
}

function rankText({ by, place, value }: CgroupRank): string {
  const bytes = formatBytes(value);
  const amount = { pgscan: `${value} pages`, pressure: `${value}%`, swap: bytes, growth: bytes };
  return `cgroup ${place} by ${by} (${amount[by]})`;
}
