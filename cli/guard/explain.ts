/** Who would be taken, in words. */

import { walk } from "../../core/cgroup/cgroup.ts";
import { listProcesses } from "../../core/cgroup/processes.ts";
import type { GuardPolicy } from "../../core/guard/policy.ts";
import type { Scope } from "../../core/guard/targets.ts";
import { matchedLine } from "../../core/policy/victims.ts";
import type { CandidateJson } from "../../core/events/event.ts";
import { print, printable, printStderr } from "../output/output.ts";
import type { Style } from "../terminal/style.ts";
import { formatBytes } from "../options/units.ts";

/** The candidates of one action, a line each, in the order in which they would be taken. */
export function explain(candidates: readonly CandidateJson[], style: Style): void {
  candidates.forEach((each, at) => print(`    ${style("dim", candidateText(each, at))}`));
}

export function candidateText(each: CandidateJson, at: number): string {
  const {
    preference,
    pid,
    comm,
    cmdline,
    rss,
    oom_score_adj,
    badness,
    preference_reason: preferenceReason,
  } = each;
  const rank = preference === "excluded" ? "–" : String(at + 1);
  const line = cmdline.length > 0 ? cmdline.join(" ") : comm;
  const parts = [
    preference === "excluded" ? "excluded" : `badness ${formatBytes(badness)}`,
    `rss ${formatBytes(rss ?? undefined)}`,
    oom_score_adj ? `oom_score_adj ${oom_score_adj}` : "",
    preference === "none" || preference === "excluded" ? "" : preference,
    printable(preferenceReason ?? ""),
  ];
  const shown = printable(line.length > 60 ? `${line.slice(0, 59)}…` : line);
  return `${rank.padStart(2)}  pid ${pid} (${printable(comm)})  ${
    parts.filter((part) => part !== "").join(", ")
  }  ${shown}`;
}

/** An expression that fits nothing may be misspelt; better said than found out. */
export function checkPreferences({ preferences }: GuardPolicy, scopes: readonly Scope[]): void {
  const all = Object.entries(preferences);
  if (all.every(([, list]) => list.length === 0)) return;
  const processes = scopes.flatMap(({ cgroup }) => listProcesses(cgroup).processes);
  const texts = [
    ...processes.map(matchedLine),
    ...scopes.flatMap(({ cgroup }) => [...walk(cgroup)].map(({ path }) => path)),
  ];
  for (const [name, list] of all) {
    for (const expression of list) {
      if (texts.some((text) => expression.test(text))) continue;
      printStderr(`--${name} ${expression.source} fits no process and no cgroup that is there now`);
    }
  }
}
