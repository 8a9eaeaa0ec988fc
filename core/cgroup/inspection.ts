/** Everything that `inspect` shows of one cgroup, and what is not visible from here. */

import { isInSubtree } from "../cgroup_path.ts";
import { omitUndefined } from "../omit_undefined.ts";
import type { Process, Snapshot } from "../snapshot.ts";
import { whyNoPressure } from "./absence.ts";
import { type Ancestry, readAncestry } from "./ancestry.ts";
import { type Cgroup, invalidReason, isThere, readControl } from "./cgroup.ts";
import { type Hierarchy, showsMachine } from "./hierarchy.ts";
import type { Machine } from "./machine.ts";
import { forecastOom, type OomForecast, rank } from "./oom_forecast.ts";
import { listProcesses, type ProcessList } from "./processes.ts";
import { readSwapLeft } from "./swap.ts";

export interface Inspection {
  readonly cgroup: Cgroup;
  readonly snapshot: Snapshot;
  readonly ancestry: Ancestry;
  /** Bytes, see {@link readSwapLeft}; absent where the machine is unknown. */
  readonly swapLeft?: number;
  /** Of the cgroup and everything below it; absent if not requested. */
  readonly members?: Members;
  readonly forecast?: OomForecast;
  /** One line for each file that cannot be parsed. */
  readonly invalidFiles: readonly string[];
  /** One line for each thing that is not visible from here: what, then why. */
  readonly limitations: readonly string[];
}

export interface Members {
  /** The most likely victims first, then the processes that the kernel does not kill. */
  readonly processes: readonly (Process & { readonly badness?: number })[];
  /** Absent for the machine, of which only the most likely victims are read, and if a cgroup.procs is not readable. */
  readonly total?: number;
  /** The number of processes that are not visible; `undefined` where there are some that cannot be counted. */
  readonly hiddenProcesses: number | undefined;
  /** Paths of the cgroups without a readable cgroup.procs. */
  readonly unread: readonly string[];
}

/**
 * `undefined` if the cgroup is gone. Throws `OomkitError` if one of its own control files may not be read.
 *
 * @param processes the number of processes to show; `Infinity` for all. With 0 there is no forecast either.
 * @param machine of the cgroup, see {@link machineOf}.
 */
export function inspect(
  cgroup: Cgroup,
  processes: number,
  machine: Machine,
): Inspection | undefined {
  const invalidFiles = new Set<string>();
  const snapshot = cgroup.hierarchy.version.snapshot((name) => {
    const text = readControl(cgroup, name);
    const reason = text === undefined ? undefined : invalidReason(name, text);
    if (reason === undefined) return text;
    invalidFiles.add(`cannot parse ${cgroup.dir}/${name}: ${reason}`);
    return undefined;
  });
  const ancestry = readAncestry(cgroup, machine.memory);
  const forecast = processes > 0 ? forecastOom(cgroup, ancestry, processes) : undefined;
  const members = forecast && membersOf(cgroup, forecast, processes);
  if (!isThere(cgroup)) return undefined;
  const found = omitUndefined({
    cgroup,
    snapshot,
    ancestry,
    swapLeft: cgroup.hierarchy.kernel ? readSwapLeft(cgroup) : undefined,
    members,
    forecast,
    invalidFiles: [...invalidFiles],
  });
  return { ...found, limitations: limitations(found) };
}

function membersOf(cgroup: Cgroup, forecast: OomForecast, maxShown: number): Members {
  const { path } = cgroup;
  // Reading every process of a machine takes long, and the most likely victims are known already.
  if (
    path === "/" && forecast.scope === "system" && forecast.candidates.length > 0 &&
    maxShown !== Infinity
  ) {
    const mostLikely = forecast.candidates.map(({ process, badness }) => ({ ...process, badness }));
    const hiddenProcesses = forecast.isVictimCertain ? 0 : undefined;
    return { processes: mostLikely.slice(0, maxShown), hiddenProcesses, unread: [] };
  }
  const { processes, hiddenProcesses, unread } = partOf(forecast.processList, path) ??
    listProcesses(cgroup);
  const candidates = rank(processes, forecast.oomTotalBytes);
  const ranked = candidates.map(({ process, badness }) => ({ ...process, badness }));
  const eligible = new Set(candidates.map(({ process }) => process));
  const excluded = processes.filter((process) => !eligible.has(process))
    .sort((a, b) => (b.rss ?? -1) - (a.rss ?? -1));
  const shown = [...ranked, ...excluded].slice(0, maxShown);
  const members = { processes: shown, hiddenProcesses, unread };
  return unread.length > 0 ? members : { ...members, total: processes.length };
}

/** The processes at and below `path`; `undefined` if the list is not complete, because any of them may be missing. */
function partOf(list: ProcessList | undefined, path: string): ProcessList | undefined {
  if (list?.hiddenProcesses !== 0 || list.unread.length > 0) return undefined;
  return { ...list, processes: list.processes.filter(({ cgroup }) => isInSubtree(cgroup, path)) };
}

function limitations(found: Omit<Inspection, "limitations">): string[] {
  const { cgroup: { hierarchy }, ancestry, members, forecast } = found;
  return [
    ...ancestorLimitations(hierarchy, ancestry),
    ...(hierarchy.kernel ? missingFiles(found) : [
      `its machine: ${hierarchy.mount} is a copied or fake tree, so the memory of its machine is unknown`,
      "process details: its pids are looked up on this machine, where they may be of other processes",
    ]),
    ...(members?.unread ?? []).map((path) =>
      `processes of ${path}: its cgroup.procs cannot be read`
    ),
    ...(members?.hiddenProcesses === 0 || members === undefined
      ? []
      : [`${members.hiddenProcesses ?? "some"} of its processes: ${HIDDEN_PROCESSES}`]),
    ...(forecast?.scope === "system" && !showsMachine(hierarchy) && hierarchy.kernel
      ? ["the victim if the machine runs out: its processes are not all visible from here"]
      : []),
  ];
}

const HIDDEN_PROCESSES = "they are outside this pid namespace, or /proc hides them";

function ancestorLimitations(hierarchy: Hierarchy, { certain, unreadable }: Ancestry): string[] {
  const unread = unreadable.map((path) => `limit of ${path}: it cannot be read`);
  if (!hierarchy.hidden) return unread;
  const why = hierarchy.root === "/"
    ? `ancestors of /: it is the root of this cgroup namespace`
    : `ancestors of ${hierarchy.root}: only this part of the hierarchy is mounted`;
  return [
    ...unread,
    certain
      ? `${why}; their tightest limit is known, their usage is not`
      : `${why}; one of them may have a tighter limit`,
  ];
}

/** v1 has usage and peak on every kernel, and never pressure. */
function missingFiles(
  { cgroup, snapshot, invalidFiles }: Omit<Inspection, "limitations">,
): string[] {
  if (cgroup.hierarchy.version.number === 1 || invalidFiles.length > 0) return [];
  if (snapshot.usage === undefined) return [noUsageReason(cgroup)];
  return [
    ...(snapshot.peak === undefined ? ["peak: memory.peak needs Linux 5.19 or later"] : []),
    ...(snapshot.pressure === undefined ? [`pressure: ${whyNoPressure(cgroup.dir)}`] : []),
  ];
}

function noUsageReason({ path, hierarchy }: Cgroup): string {
  return path === hierarchy.root && !hierarchy.hidden
    ? "usage of the root: the kernel accounts it for the machine, not for the cgroup"
    : "usage: the memory controller is not enabled for this cgroup; an ancestor is charged";
}
