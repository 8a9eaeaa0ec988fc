/** Everything that can be told about one cgroup now, and what cannot. */

import { pageSize } from "../kernel/page_size.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { rankVictims } from "../policy/victims.ts";
import type { Process, Snapshot } from "../snapshot.ts";
import { type Ancestry, readAncestry } from "./ancestry.ts";
import { type Cgroup, isThere, readControl } from "./cgroup.ts";
import { type Hierarchy, inInitialPidNamespace } from "./hierarchy.ts";
import { forecastOom, type OomForecast } from "./oom_forecast.ts";
import { listProcesses, type ProcessList } from "./processes.ts";
import { invalidReason } from "./validate.ts";

export interface Inspection {
  readonly cgroup: Cgroup;
  readonly snapshot: Snapshot;
  readonly ancestry: Ancestry;
  /** Of the cgroup and everything beneath it; absent where nobody asked for them. */
  readonly members?: Members;
  readonly forecast?: OomForecast;
  /** One line for each file that is there and cannot be understood. */
  readonly invalidFiles: readonly string[];
  /** One line for each thing that is hidden from here, and why. */
  readonly limitations: readonly string[];
}

export interface Members {
  /** The likeliest victims first, then those that the kernel spares. */
  readonly processes: readonly (Process & { readonly badness?: number })[];
  /**
   * How many there are; absent for the machine, of which only the likeliest victims were looked at, and where a cgroup does
   * not say who is in it.
   */
  readonly total?: number;
  /** Those of which nothing can be told. */
  readonly hiddenProcesses: number;
  /** Paths of the cgroups that do not say who is in them. */
  readonly unread: readonly string[];
}

/**
 * `undefined` when the cgroup is gone. Throws `OomkitError` when a control file of its own may not be read.
 *
 * @param processes how many to tell of; `Infinity` for all, 0 for none, which spares the look at who would die.
 */
export function inspect(cgroup: Cgroup, processes: number): Inspection | undefined {
  const invalidFiles = new Set<string>();
  const snapshot = cgroup.hierarchy.version.snapshot((name) => {
    const text = readControl(cgroup, name);
    const damage = text === undefined ? undefined : invalidReason(name, text);
    if (damage === undefined) return text;
    invalidFiles.add(`cannot understand ${cgroup.dir}/${name}: ${damage}`);
    return undefined;
  });
  const ancestry = readAncestry(cgroup);
  const forecast = processes > 0 ? forecastOom(cgroup, ancestry, processes) : undefined;
  const members = forecast && membersOf(cgroup, forecast, processes);
  if (!isThere(cgroup)) return undefined;
  const found = omitUndefined({
    cgroup,
    snapshot,
    ancestry,
    members,
    forecast,
    invalidFiles: [...invalidFiles],
  });
  return { ...found, limitations: limitations(found) };
}

function membersOf(cgroup: Cgroup, forecast: OomForecast, most: number): Members {
  const { path } = cgroup;
  // A look at every process of a machine takes long; those that matter are known already.
  if (
    path === "/" && forecast.scope === "machine" && forecast.candidates.length > 0 &&
    most !== Infinity
  ) {
    const likeliest = forecast.candidates.map(({ process, badness }) => ({ ...process, badness }));
    return { processes: likeliest.slice(0, most), hiddenProcesses: 0, unread: [] };
  }
  const { processes, hiddenProcesses, unread } = within(path, forecast.processList) ??
    listProcesses(cgroup);
  const candidates = forecast.oomTotalBytes === undefined
    ? []
    : rankVictims(processes, forecast.oomTotalBytes, {
      pageSize: pageSize(),
      pidOneIsInit: inInitialPidNamespace(),
    });
  const ranked = candidates.map(({ process, badness }) => ({ ...process, badness }));
  const chosen = new Set(candidates.map(({ process }) => process));
  const spared = processes.filter((process) => !chosen.has(process))
    .sort((a, b) => (b.rss ?? -1) - (a.rss ?? -1));
  const shown = { processes: [...ranked, ...spared].slice(0, most), hiddenProcesses, unread };
  return unread.length > 0 ? shown : { ...shown, total: processes.length };
}

/** Its part of a population that was read already; which of the unseen are its own is not known. */
function within(path: string, processList: ProcessList | undefined): ProcessList | undefined {
  const isWhole = processList?.hiddenProcesses === 0 && processList.unread.length === 0;
  if (processList === undefined || !isWhole) return undefined;
  const beneath = path === "/" ? "/" : `${path}/`;
  const mine = ({ cgroup }: Process) => cgroup === path || cgroup.startsWith(beneath);
  return { processes: processList.processes.filter(mine), hiddenProcesses: 0, unread: [] };
}

/* What cannot be seen of a cgroup from here, and why: a container shows a part of the truth. */

/** One line each: what, then why. */
export function limitations(found: Omit<Inspection, "limitations">): string[] {
  const { cgroup, ancestry, members, forecast } = found;
  const { hierarchy } = cgroup;
  return [
    ...ancestors(hierarchy, ancestry),
    ...(hierarchy.kernel ? missingFiles(found) : [
      `whether pids mean these processes: ${hierarchy.mount} is no kernel's, so they are taken for this machine's`,
    ]),
    ...(members?.unread ?? []).map((path) => `who is in ${path}: its cgroup.procs cannot be read`),
    ...(members && members.hiddenProcesses > 0
      ? [
        `${members.hiddenProcesses} of its processes: they are outside of this pid namespace, or /proc hides them`,
      ]
      : []),
    ...(forecast?.scope === "machine" && forecast.candidates.length === 0 && hierarchy.kernel
      ? ["who would die if the machine runs out: its processes are outside of this container"]
      : []),
  ];
}

function ancestors(hierarchy: Hierarchy, { certain, unreadable }: Ancestry): string[] {
  const unread = unreadable.map((path) => `the limit of ${path}: it cannot be read`);
  if (!hierarchy.hidden) return unread;
  const why = hierarchy.root === "/"
    ? `the ancestors of /: it is the top of this cgroup namespace`
    : `the ancestors of ${hierarchy.root}: only this part of the hierarchy is mounted`;
  return [
    ...unread,
    certain
      ? `${why}; their tightest limit is known, their usage is not`
      : `${why}; one of them may have a tighter limit`,
  ];
}

function missingFiles(
  { cgroup, snapshot, invalidFiles }: Omit<Inspection, "limitations">,
): string[] {
  const { version } = cgroup.hierarchy;
  if (version.number === 1 || invalidFiles.length > 0) return [];
  if (snapshot.usage === undefined) return [usageReason(cgroup)];
  return [
    ...(snapshot.peak === undefined ? ["its peak: memory.peak came with Linux 5.19"] : []),
    ...(snapshot.pressure === undefined
      ? ["its pressure: PSI is switched off; psi=1 on the kernel command line switches it on"]
      : []),
  ];
}

function usageReason({ path, hierarchy }: Cgroup): string {
  return path === hierarchy.root && !hierarchy.hidden
    ? "the usage of the root: the kernel counts it for the machine, not for the cgroup"
    : "its usage: the memory controller is not switched on for it; an ancestor is charged";
}
