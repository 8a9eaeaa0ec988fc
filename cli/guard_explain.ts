/** Who would be taken, in words. */

import { walk } from "../core/cgroup/cgroup.ts";
import { populationOf } from "../core/cgroup/processes.ts";
import type { GuardPlan } from "../core/guard/plan.ts";
import type { Scope } from "../core/guard/scope.ts";
import { matchedLine } from "../core/policy/choose.ts";
import type { Weighed } from "../core/report/event.ts";
import { print, printable, say } from "./output.ts";
import type { Style } from "./style.ts";
import { formatBytes } from "./units.ts";

/** The candidates of one action, a line each, in the order in which they would be taken. */
export function explain(candidates: readonly Weighed[], style: Style): void {
  candidates.forEach((each, at) => print(`    ${style("dim", candidateText(each, at))}`));
}

export function candidateText(each: Weighed, at: number): string {
  const { standing, pid, comm, cmdline, rss, oom_score_adj, badness, because } = each;
  const rank = standing === "spared" ? "–" : String(at + 1);
  const line = cmdline.length > 0 ? cmdline.join(" ") : comm;
  const parts = [
    standing === "spared" ? "spared" : `badness ${formatBytes(badness)}`,
    `rss ${formatBytes(rss ?? undefined)}`,
    oom_score_adj ? `oom_score_adj ${oom_score_adj}` : "",
    standing === "ordinary" || standing === "spared" ? "" : standing,
    printable(because ?? ""),
  ];
  const shown = printable(line.length > 60 ? `${line.slice(0, 59)}…` : line);
  return `${rank.padStart(2)}  pid ${pid} (${printable(comm)})  ${
    parts.filter((part) => part !== "").join(", ")
  }  ${shown}`;
}

/** An expression that fits nothing may be misspelt; better said than found out. */
export function checkPreferences({ preferences }: GuardPlan, scopes: readonly Scope[]): void {
  const all = Object.entries(preferences);
  if (all.every(([, list]) => list.length === 0)) return;
  const processes = scopes.flatMap(({ cgroup }) => populationOf(cgroup).processes);
  const texts = [
    ...processes.map(matchedLine),
    ...scopes.flatMap(({ cgroup }) => [...walk(cgroup)].map(({ path }) => path)),
  ];
  for (const [name, list] of all) {
    for (const expression of list) {
      if (texts.some((text) => expression.test(text))) continue;
      say(`--${name} ${expression.source} fits no process and no cgroup that is there now`);
    }
  }
}
