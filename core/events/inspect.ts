/**
 * What `inspect` found, as one JSON document; documented in docs/schema/inspect.schema.json.
 *
 * What is not known is `null`. A limit is `null` too when it is not known, else `{bytes, unlimited}`: "no limit" is
 * `{bytes: null, unlimited: true}`.
 */

import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { identify } from "../cgroup/identity.ts";
import type { OomForecast } from "../cgroup/oom_forecast.ts";
import type { Inspection, Members } from "../cgroup/inspection.ts";
import type { Machine } from "../cgroup/machine.ts";
import { type CgroupTree, flatten } from "../cgroup/subtree.ts";
import type { Verdict } from "../policy/check.ts";
import { type Headroom, reclaimable, workingSet } from "../policy/limits.ts";
import type { Counters, Limits, MemoryStats, Pressure, PressureLine } from "../snapshot.ts";
import { timestamp } from "./event.ts";

export interface Finding {
  /** Path; absent for a target that could not even be found. */
  readonly cgroup?: string | undefined;
  /** What was asked: `min-headroom`, `max-usage`, or a requirement. */
  readonly check: string;
  readonly verdict: Verdict;
  readonly message: string;
}

export interface Checked {
  readonly verdict: Verdict;
  readonly summary: string;
  readonly findings: readonly Finding[];
}

export interface Found {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly hierarchy: Hierarchy;
  readonly machine: Machine;
  readonly targets: readonly { readonly inspection: Inspection; readonly tree?: CgroupTree }[];
  readonly checked?: Checked;
}

export function inspectDocument({ at, hierarchy, machine, targets, checked }: Found) {
  return {
    v: 2,
    ts: timestamp(at),
    host: hostOf(machine, hierarchy),
    hierarchy: {
      version: hierarchy.version.number,
      mount: hierarchy.mount,
      root: hierarchy.root,
      own: hierarchy.own ?? null,
      kernel: hierarchy.kernel,
      writable: hierarchy.writable,
      hybrid: hierarchy.hybrid,
      hidden: hierarchy.hidden,
    },
    check: checked ? { ...checked, findings: checked.findings.map(findingOf) } : null,
    targets: targets.map(({ inspection, tree }) => targetOf(inspection, tree)),
  };
}

const findingOf = ({ cgroup, ...finding }: Finding) => ({ cgroup: cgroup ?? null, ...finding });

function hostOf({ kernel, hostname, memory, pressure, oomKill }: Machine, hierarchy: Hierarchy) {
  return {
    kernel,
    hostname: hostname ?? null,
    cgroup_version: hierarchy.version.number,
    memory_total: memory.total ?? null,
    memory_available: memory.available ?? null,
    swap_total: memory.swapTotal ?? null,
    swap_free: memory.swapFree ?? null,
    oom_kill: oomKill ?? null,
    pressure: pressureOf(pressure),
  };
}

function targetOf(found: Inspection, tree: CgroupTree | undefined) {
  const {
    cgroup,
    snapshot,
    ancestry,
    members,
    forecast,
    invalidFiles: invalid_files,
    limitations,
  } = found;
  return {
    cgroup: cgroup.path,
    directory: cgroup.dir,
    inode: cgroup.inode,
    ...identityOf(cgroup.path),
    usage: snapshot.usage ?? null,
    working_set: workingSet(snapshot) ?? null,
    reclaimable: reclaimable(snapshot) ?? null,
    peak: snapshot.peak ?? null,
    memory: memoryOf(snapshot.stats),
    limits: limitsOf(snapshot.limits),
    effective_limit: {
      ...limitOf(ancestry.limit.bytes),
      owner: ancestry.limit.owner ?? null,
      certain: ancestry.certain,
    },
    effective_high: ancestry.high ?? null,
    ancestry: ancestry.chain.map(({ path, limit, usage }) => ({
      cgroup: path,
      limit: limitOf(limit),
      usage: usage ?? null,
    })),
    headroom: headroomOf(ancestry.headroom),
    working_set_headroom: headroomOf(ancestry.workingSetHeadroom),
    counters: { local: countersOf(snapshot.local), subtree: countersOf(snapshot.subtree) },
    pressure: pressureOf(snapshot.pressure),
    oom_group: snapshot.oomGroup ?? null,
    oom_kill_disabled: snapshot.oomKillDisabled ?? null,
    under_oom: snapshot.underOom ?? null,
    processes: members?.processes.map(processOf) ?? null,
    processes_total: members?.total ?? null,
    processes_hidden: members?.hiddenProcesses ?? null,
    oom_forecast: forecast ? toJsonForecast(forecast) : null,
    tree: tree ? [...flatten(tree)].map(rowOf) : null,
    invalid_files,
    limitations: limitations,
  };
}

function identityOf(path: string) {
  const { containerId, runtime, podUid, qos, unit } = identify(path);
  return {
    container_id: containerId ?? null,
    runtime: runtime ?? null,
    pod_uid: podUid ?? null,
    qos: qos ?? null,
    unit: unit ?? null,
  };
}

const limitOf = (bytes: number | undefined) =>
  bytes === undefined ? null : { bytes, unlimited: bytes === Infinity };

const limitsOf = (limits: Limits) => ({
  max: limitOf(limits.max),
  high: limitOf(limits.high),
  low: limitOf(limits.low),
  min: limitOf(limits.min),
  soft: limitOf(limits.soft),
  swap: limitOf(limits.swap),
  memsw: limitOf(limits.memsw),
});

const memoryOf = (stats: MemoryStats) => ({
  anon: stats.anon ?? null,
  file: stats.file ?? null,
  shmem: stats.shmem ?? null,
  kernel: stats.kernel ?? null,
  slab: stats.slab ?? null,
  slab_reclaimable: stats.slabReclaimable ?? null,
  kernel_stack: stats.kernelStack ?? null,
  page_tables: stats.pageTables ?? null,
  sock: stats.sock ?? null,
  swap: stats.swap ?? null,
  inactive_file: stats.inactiveFile ?? null,
  active_file: stats.activeFile ?? null,
  unevictable: stats.unevictable ?? null,
});

const headroomOf = (left: Headroom | undefined) =>
  left === undefined
    ? null
    : { bytes: left.bytes, percent: left.percent, limit: left.limit, owner: left.owner ?? null };

const countersOf = (counters: Counters) => ({
  max: counters.max ?? null,
  high: counters.high ?? null,
  oom: counters.oom ?? null,
  oom_kill: counters.oomKill ?? null,
  oom_group_kill: counters.oomGroupKill ?? null,
});

const pressureOf = (pressure: Pressure | undefined) =>
  pressure === undefined ? null : { some: stallOf(pressure.some), full: stallOf(pressure.full) };

const stallOf = (line: PressureLine | undefined) =>
  line === undefined
    ? null
    : { avg10: line.avg10, avg60: line.avg60, avg300: line.avg300, total_us: line.total };

const processOf = (process: Members["processes"][number]) => ({
  pid: process.pid,
  start_time: process.startTime,
  ns_pids: process.nsPids,
  comm: process.comm,
  cmdline: process.cmdline,
  state: process.state,
  cgroup: process.cgroup,
  rss: process.rss ?? null,
  swap: process.swap ?? null,
  page_tables: process.pageTables ?? null,
  oom_score: process.oomScore ?? null,
  oom_score_adj: process.oomScoreAdj ?? null,
  badness: process.badness ?? null,
});

const toJsonForecast = (forecast: OomForecast) => ({
  scope: forecast.scope,
  owner: forecast.owner ?? null,
  oom_killer_disabled: forecast.oomKillerDisabled,
  oom_total_bytes: forecast.oomTotalBytes ?? null,
  victim: forecast.victim
    ? processOf({ ...forecast.victim.process, badness: forecast.victim.badness })
    : null,
  group: forecast.group
    ? { cgroup: forecast.group.path, processes: forecast.group.processes }
    : null,
  hidden: forecast.processList?.hiddenProcesses ?? null,
});

function rowOf({ cgroup, depth, snapshot, leftOut }: CgroupTree) {
  return {
    cgroup: cgroup.path,
    depth,
    ...identityOf(cgroup.path),
    usage: snapshot.usage ?? null,
    working_set: workingSet(snapshot) ?? null,
    peak: snapshot.peak ?? null,
    limit: limitOf(snapshot.limits.max),
    counters: { local: countersOf(snapshot.local), subtree: countersOf(snapshot.subtree) },
    children_omitted: leftOut,
  };
}
