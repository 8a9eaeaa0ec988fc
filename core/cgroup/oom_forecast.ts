/** What happens when the limit over a cgroup is hit: who dies, who dies along, or who waits. */

import { pageSize } from "../kernel/page_size.ts";
import {
  type Candidate,
  diesWithGroup,
  groupOf,
  oomTotalBytesOf,
  rankVictims,
} from "../policy/victims.ts";
import type { Ancestry } from "./ancestry.ts";
import { type Cgroup, openCgroup, tryReader } from "./cgroup.ts";
import { type Hierarchy, inInitialPidNamespace, onHost } from "./hierarchy.ts";
import { machineCandidates, machineOomTotalBytes, readMeminfo } from "./machine.ts";
import { listProcesses, type ProcessList } from "./processes.ts";
import { omitUndefined } from "../omit_undefined.ts";

export interface OomForecast {
  /** Whose limit it is: a cgroup that can be seen, an ancestor that cannot, or the machine where there is no limit. */
  readonly scope: "cgroup" | "hidden" | "machine";
  /** Path, for the scope `cgroup`. */
  readonly owner?: string;
  /** v1 `oom_kill_disable` at the owner: allocators wait there, and nobody dies. */
  readonly oomKillerDisabled: boolean;
  readonly victim?: Candidate;
  /** v2 `memory.oom.group`: what dies together with the victim, and how many processes that is. */
  readonly group?: { readonly path: string; readonly processes: number };
  /** Everyone that the kernel would choose from, as far as can be seen; the victim first. */
  readonly candidates: readonly Candidate[];
  /** What badness was weighed against, bytes. */
  readonly oomTotalBytes?: number;
  /** Everyone at the owner, as far as can be seen; absent for the machine. The victim may be one of the unseen. */
  readonly processList?: ProcessList;
}

/**
 * Rehearses the kernel's choice for the limit that is hit next. That limit may be an ancestor's, and the victim then lies
 * in any of its cgroups. `undefined` when the owner is gone.
 *
 * @param machineWide how many candidates are wanted of an OOM of the machine, where looking at all would take long.
 */
export function forecastOom(
  cgroup: Cgroup,
  { headroom, limit }: Ancestry,
  machineWide: number,
): OomForecast | undefined {
  const owner = headroom ? headroom.owner : limit.owner;
  if (owner !== undefined) return ofCgroup(cgroup.hierarchy, owner);
  if (limit.bytes !== Infinity) return ofHidden(cgroup, limit.bytes);
  return ofMachine(cgroup.hierarchy, machineWide);
}

function ofCgroup(hierarchy: Hierarchy, path: string): OomForecast | undefined {
  const owner = openCgroup(hierarchy, path);
  if (owner === undefined) return undefined;
  const processList = listProcesses(owner);
  const snapshot = hierarchy.version.snapshot(tryReader(owner));
  const oomTotalBytes = oomTotalBytesOf(snapshot.limits, swapTotal());
  const candidates = oomTotalBytes === undefined
    ? []
    : rankVictims(processList.processes, oomTotalBytes, machine());
  return omitUndefined({
    scope: "cgroup" as const,
    owner: path,
    oomKillerDisabled: snapshot.oomKillDisabled === true,
    ...victimOf(hierarchy, candidates, path),
    candidates,
    oomTotalBytes,
    processList,
  });
}

/** Only the part of the owner that can be seen can be ranked. */
function ofHidden(cgroup: Cgroup, limit: number): OomForecast {
  const top = openCgroup(cgroup.hierarchy, cgroup.hierarchy.root) ?? cgroup;
  const processList = listProcesses(top);
  const oomTotalBytes = oomTotalBytesOf({ max: limit }, swapTotal());
  const candidates = oomTotalBytes === undefined
    ? []
    : rankVictims(processList.processes, oomTotalBytes, machine());
  return omitUndefined({
    scope: "hidden" as const,
    oomKillerDisabled: false,
    ...victimOf(cgroup.hierarchy, candidates, cgroup.hierarchy.root),
    candidates,
    oomTotalBytes,
    processList,
  });
}

function ofMachine(hierarchy: Hierarchy, atLeast: number): OomForecast {
  const oomTotalBytes = machineOomTotalBytes(readMeminfo());
  // A container sees neither the machine's processes nor its other cgroups.
  const visible = oomTotalBytes !== undefined && hierarchy.kernel && onHost();
  const candidates = visible ? machineCandidates(hierarchy, oomTotalBytes, atLeast) : [];
  return omitUndefined({
    scope: "machine" as const,
    oomKillerDisabled: false,
    ...victimOf(hierarchy, candidates, "/"),
    candidates,
    oomTotalBytes,
  });
}

function victimOf(hierarchy: Hierarchy, candidates: readonly Candidate[], owner: string) {
  const victim = candidates[0];
  if (victim === undefined) return {};
  const path = groupOf(victim.process.cgroup, owner, (at) => hasGroup(hierarchy, at));
  const whole = path === undefined ? undefined : openCgroup(hierarchy, path);
  if (whole === undefined) return { victim };
  const dying = listProcesses(whole).processes.filter((each) => diesWithGroup(each, machine()));
  return { victim, group: { path: whole.path, processes: dying.length } };
}

function hasGroup(hierarchy: Hierarchy, path: string): boolean {
  const cgroup = openCgroup(hierarchy, path);
  if (cgroup === undefined) return false;
  const peek = tryReader(cgroup);
  const snapshot = hierarchy.version.snapshot((name) =>
    name === "memory.oom.group" ? peek(name) : undefined
  );
  return snapshot.oomGroup === true;
}

const machine = () => ({ pageSize: pageSize(), pidOneIsInit: inInitialPidNamespace() });

const swapTotal = () => readMeminfo().swapTotal;
