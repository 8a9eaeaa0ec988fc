/** The sentence that says who would die. */

import type { OomForecast } from "../core/cgroup/fate.ts";
import type { Inspection } from "../core/cgroup/inspection.ts";
import { printable } from "./output.ts";

export function fateSentence(
  forecast: OomForecast,
  { cgroup, ancestry }: Pick<Inspection, "cgroup" | "ancestry">,
): string {
  const when = occasion(forecast, cgroup.path, ancestry.certain);
  if (forecast.oomKillerDisabled) {
    return `${when}, nobody is killed: the kernel's killer is switched off there, and whoever needs memory waits.`;
  }
  if (forecast.victim === undefined) return nobody(forecast, when);
  const { process } = forecast.victim;
  const where = process.cgroup === cgroup.path
    ? ""
    : process.cgroup === "/"
    ? ", in the root cgroup"
    : `, in ${printable(process.cgroup)}`;
  const hedge = forecast.scope === "hidden" || (forecast.processList?.hiddenProcesses ?? 0) > 0
    ? ", or somebody who cannot be seen from here"
    : "";
  const along = forecast.group && forecast.group.processes > 1
    ? `, and with it all ${forecast.group.processes} processes of ${
      printable(forecast.group.path)
    } (oom.group)`
    : "";
  return `${when}, the kernel would kill pid ${process.pid} (${
    printable(process.comm)
  })${where}${along}${hedge}.`;
}

function occasion({ scope, owner }: OomForecast, path: string, certain: boolean): string {
  switch (scope) {
    case "cgroup":
      return owner === path ? "If its limit is hit" : `If the limit of ${printable(owner!)} is hit`;
    case "hidden":
      return "If the limit of its hidden ancestor is hit";
    case "machine":
      return certain
        ? "No limit here: if the machine runs out"
        : "If a hidden ancestor or the machine runs out";
  }
}

function nobody({ scope, processList }: OomForecast, when: string): string {
  if (processList && processList.hiddenProcesses > 0) {
    return `${when}, it cannot be told who would die: no process there can be seen from here.`;
  }
  if (scope === "machine") return `${when}, it cannot be told from here who would die.`;
  return processList?.processes.length === 0
    ? `${when}, nobody would die: no process is there.`
    : `${when}, nobody would die: every process there is protected.`;
}
