/** What the kernel would do if the limit above a cgroup were hit: which process it kills, with which group, or that allocators wait. */

import { pageSize } from "../kernel/page_size.ts";
import { omitUndefined } from "../omit_undefined.ts";
import {
  type Candidate,
  diesWithGroup,
  groupOf,
  oomTotalBytesOf,
  rankVictims,
} from "../policy/victims.ts";
import type { Scope } from "../policy/limits.ts";
import type { Process } from "../snapshot.ts";
import type { Ancestry } from "./ancestry.ts";
import { type Cgroup, openCgroup, tryReadSnapshot } from "./cgroup.ts";
import { FLAGS } from "./fields.ts";
import {
  type Hierarchy,
  inInitialPidNamespace,
  readMemoryLine,
  showsMachine,
} from "./hierarchy.ts";
import { readMeminfo } from "./machine.ts";
import {
  listProcesses,
  oomScores,
  type ProcessList,
  procHidesProcesses,
  readProcess,
} from "./processes.ts";

export interface OomForecast {
  /** Which limit is hit. */
  readonly scope: Scope;
  /** Path of the cgroup with that limit, for the scope `cgroup`. */
  readonly owner?: string;
  /** v1 `oom_kill_disable` at the owner: allocators wait there, and nothing is killed. */
  readonly oomKillerDisabled: boolean;
  readonly victim?: Candidate;
  /** v2 `memory.oom.group`: the cgroup that is killed with the victim, and its number of processes. */
  readonly group?: { readonly path: string; readonly processes: number };
  /** False if a process that is not visible may be the victim. */
  readonly isVictimCertain: boolean;
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
  const { scope, owner: path } = headroom ?? limit;
  if (scope === "system") return forecastOfMachine(hierarchy, machineWide);
  // Of an ancestor that is not visible, the visible part is ranked.
  const visible = path ?? hierarchy.root;
  const owner = openCgroup(hierarchy, visible) ?? (path === undefined ? cgroup : undefined);
  if (owner === undefined) return undefined;
  const processList = listProcesses(owner);
  const snapshot = path === undefined ? undefined : tryReadSnapshot(owner);
  const limits = snapshot?.limits ?? { max: limit.bytes };
  const oomTotalBytes = oomTotalBytesOf(limits, readMeminfo().swapTotal);
  const candidates = rank(processList.processes, oomTotalBytes);
  const isRankCertain = hierarchy.kernel && isRankKnown(processList.processes, oomTotalBytes);
  return omitUndefined({
    scope,
    owner: path,
    oomKillerDisabled: snapshot?.oomKillDisabled === true,
    ...victimOf(hierarchy, candidates, visible),
    isVictimCertain: scope === "cgroup" && processList.hiddenProcesses === 0 &&
      processList.unread.length === 0 && isRankCertain,
    candidates,
    oomTotalBytes,
    processList,
  });
}

function forecastOfMachine(hierarchy: Hierarchy, atLeast: number): OomForecast {
  const { total, swapTotal } = readMeminfo();
  // The kernel's totalpages when the machine runs out.
  const oomTotalBytes = total === undefined || swapTotal === undefined
    ? undefined
    : total + swapTotal;
  // In a container neither the machine's processes nor its other cgroups are visible.
  const isVisible = showsMachine(hierarchy);
  const candidates = isVisible ? rank(mostLikelyOfMachine(hierarchy, atLeast), oomTotalBytes) : [];
  return omitUndefined({
    scope: "system" as const,
    oomKillerDisabled: false,
    ...victimOf(hierarchy, candidates, "/"),
    isVictimCertain: isVisible && !procHidesProcesses() && oomTotalBytes !== undefined,
    candidates,
    oomTotalBytes,
  });
}

/** Only the processes with the highest oom_score, which is the same badness in thousandths. */
function mostLikelyOfMachine({ version }: Hierarchy, atLeast: number): Process[] {
  const scores = oomScores().filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  const lowest = scores[atLeast - 1]?.score ?? 0;
  return scores.filter(({ score }) => score >= lowest)
    .flatMap(({ pid }) => readProcess(pid, readMemoryLine(pid, version)?.path ?? "/") ?? []);
}

/** What the kernel's ranking of victims depends on besides the processes. */
const rankingContext = () => ({ pageSize: pageSize(), pidOneIsInit: inInitialPidNamespace() });

/** The most likely victim first; by size alone if the total is unknown, which oom_score_adj is relative to. */
export const rank = (processes: readonly Process[], oomTotalBytes: number | undefined) =>
  rankVictims(processes, oomTotalBytes ?? 0, rankingContext());

const isRankKnown = (processes: readonly Process[], oomTotalBytes: number | undefined) =>
  oomTotalBytes !== undefined || processes.every(({ oomScoreAdj }) => oomScoreAdj === 0);

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
  return cgroup !== undefined && tryReadSnapshot(cgroup, [FLAGS.oomGroup.v2]).oomGroup === true;
}
