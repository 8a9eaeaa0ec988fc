/** What the kernel would do if the limit above a cgroup were hit: which process it kills, with which group, or that allocators wait. */

import { omitUndefined } from "../omit_undefined.ts";
import {
  type Candidate,
  diesWithGroup,
  groupOf,
  oomTotalBytesOf,
  rankVictims,
} from "../policy/victims.ts";
import type { Ancestry } from "./ancestry.ts";
import { type Cgroup, openCgroup, tryReader } from "./cgroup.ts";
import { FLAGS } from "./fields.ts";
import { type Hierarchy, onHost } from "./hierarchy.ts";
import { machineCandidates, machineOomTotalBytes, rankingContext, readMeminfo } from "./machine.ts";
import { listProcesses, type ProcessList } from "./processes.ts";

export interface OomForecast {
  /** Which limit is hit: a visible cgroup's, that of an ancestor that is not visible, or without a limit the machine's memory. */
  readonly scope: "cgroup" | "hidden_ancestor" | "system";
  /** Path of the cgroup with that limit, for the scope `cgroup`. */
  readonly owner?: string;
  /** v1 `oom_kill_disable` at the owner: allocators wait there, and nothing is killed. */
  readonly oomKillerDisabled: boolean;
  readonly victim?: Candidate;
  /** v2 `memory.oom.group`: the cgroup that is killed with the victim, and its number of processes. */
  readonly group?: { readonly path: string; readonly processes: number };
  /** All visible processes that the kernel would choose from; the victim first. */
  readonly candidates: readonly Candidate[];
  /** totalpages of oom_badness, in bytes. */
  readonly oomTotalBytes?: number;
  /** All processes of the owner; absent for the machine. The victim may be one of the hidden ones. */
  readonly processList?: ProcessList;
}

/**
 * Repeats the kernel's choice for the limit that is hit next. If that limit is an ancestor's, the victim may be in any of the
 * ancestor's cgroups. `undefined` if the owner is gone.
 *
 * @param machineWide the number of candidates wanted for the machine, of which reading all processes takes long.
 */
export function forecastOom(
  cgroup: Cgroup,
  { headroom, limit }: Ancestry,
  machineWide: number,
): OomForecast | undefined {
  const { hierarchy } = cgroup;
  const owner = headroom ? headroom.owner : limit.owner;
  if (owner !== undefined) return forecastOfCgroup(hierarchy, owner);
  if (limit.bytes !== Infinity) return forecastOfHidden(cgroup, limit.bytes);
  return forecastOfMachine(hierarchy, machineWide);
}

function forecastOfCgroup(hierarchy: Hierarchy, path: string): OomForecast | undefined {
  const owner = openCgroup(hierarchy, path);
  if (owner === undefined) return undefined;
  const processList = listProcesses(owner);
  const snapshot = hierarchy.version.snapshot(tryReader(owner));
  const oomTotalBytes = oomTotalBytesOf(snapshot.limits, readMeminfo().swapTotal);
  return omitUndefined({
    scope: "cgroup" as const,
    owner: path,
    oomKillerDisabled: snapshot.oomKillDisabled === true,
    ...ranking(hierarchy, processList, oomTotalBytes, path),
  });
}

/** Ranks the visible part of the owner. */
function forecastOfHidden(cgroup: Cgroup, limit: number): OomForecast {
  const { hierarchy } = cgroup;
  const processList = listProcesses(openCgroup(hierarchy, hierarchy.root) ?? cgroup);
  const oomTotalBytes = oomTotalBytesOf({ max: limit }, readMeminfo().swapTotal);
  return omitUndefined({
    scope: "hidden_ancestor" as const,
    oomKillerDisabled: false,
    ...ranking(hierarchy, processList, oomTotalBytes, hierarchy.root),
  });
}

function forecastOfMachine(hierarchy: Hierarchy, atLeast: number): OomForecast {
  const oomTotalBytes = machineOomTotalBytes(readMeminfo());
  // In a container neither the machine's processes nor its other cgroups are visible.
  const isVisible = oomTotalBytes !== undefined && hierarchy.kernel && onHost();
  const candidates = isVisible ? machineCandidates(hierarchy, oomTotalBytes, atLeast) : [];
  return omitUndefined({
    scope: "system" as const,
    oomKillerDisabled: false,
    ...victimOf(hierarchy, candidates, "/"),
    candidates,
    oomTotalBytes,
  });
}

function ranking(
  hierarchy: Hierarchy,
  processList: ProcessList,
  oomTotalBytes: number | undefined,
  owner: string,
) {
  const candidates = oomTotalBytes === undefined
    ? []
    : rankVictims(processList.processes, oomTotalBytes, rankingContext());
  return { ...victimOf(hierarchy, candidates, owner), candidates, oomTotalBytes, processList };
}

function victimOf(hierarchy: Hierarchy, candidates: readonly Candidate[], owner: string) {
  const victim = candidates[0];
  if (victim === undefined) return {};
  const path = groupOf(victim.process.cgroup, owner, (at) => hasOomGroup(hierarchy, at));
  const group = path === undefined ? undefined : openCgroup(hierarchy, path);
  if (group === undefined) return { victim };
  const { processes } = listProcesses(group);
  const killed = processes.filter((process) => diesWithGroup(process, rankingContext()));
  return { victim, group: { path: group.path, processes: killed.length } };
}

function hasOomGroup(hierarchy: Hierarchy, path: string): boolean {
  const cgroup = openCgroup(hierarchy, path);
  if (cgroup === undefined) return false;
  const read = tryReader(cgroup);
  const { oomGroup } = hierarchy.version.snapshot((name) =>
    name === FLAGS.oomGroup.v2 ? read(name) : undefined
  );
  return oomGroup === true;
}
