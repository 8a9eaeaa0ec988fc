/**
 * The JSON document of `inspect`; documented in docs/schema/inspect.schema.json.
 *
 * Unknown values are `null`. An unknown limit is `null` too, a known one `{bytes, unlimited}`: "no limit" is
 * `{bytes: null, unlimited: true}`.
 */

import {
  COUNTERS,
  type Field,
  FLAGS,
  LIMITS,
  SIZES,
  STATS,
  type Values,
} from "../cgroup/fields.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { identify } from "../cgroup/identity.ts";
import type { OomForecast } from "../cgroup/oom_forecast.ts";
import type { Inspection, Members } from "../cgroup/inspection.ts";
import type { Machine } from "../cgroup/machine.ts";
import { type CgroupTree, flatten } from "../cgroup/subtree.ts";
import type { Verdict } from "../policy/check.ts";
import { type Headroom, reclaimable, workingSet } from "../policy/limits.ts";
import type { Pressure, PressureLine, Snapshot } from "../snapshot.ts";
import { timestamp } from "./event.ts";

export interface Finding {
  /** Path; absent for a target that could not be found. */
  readonly cgroup?: string | undefined;
  /** `min-headroom`, `max-usage`, `target`, or a requirement. */
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
  readonly targets: readonly {
    readonly inspection: Inspection;
    readonly tree?: CgroupTree;
    /** The cgroups of the tree in the requested order. */
    readonly sorted?: readonly CgroupTree[];
  }[];
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
      own_cgroup: hierarchy.own ?? null,
      cgroupfs: hierarchy.kernel,
      writable: hierarchy.writable,
      hybrid: hierarchy.hybrid,
      hidden_ancestors: hierarchy.hidden,
    },
    check: checked ? { ...checked, findings: checked.findings.map(findingOf) } : null,
    targets: targets.map(({ inspection, tree, sorted }) =>
      targetOf(inspection, sorted ?? (tree && [...flatten(tree)]))
    ),
  };
}

const findingOf = ({ cgroup, ...finding }: Finding) => ({ cgroup: cgroup ?? null, ...finding });

function hostOf({ kernel, hostname, memory, pressure, oomKill }: Machine, hierarchy: Hierarchy) {
  return {
    kernel: kernel ?? null,
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

function targetOf(found: Inspection, tree: readonly CgroupTree[] | undefined) {
  const { cgroup, snapshot, ancestry, members, forecast } = found;
  return {
    cgroup: cgroup.path,
    directory: cgroup.dir,
    inode: cgroup.inode,
    ...identityOf(cgroup.path),
    ...fieldsOf(SIZES, snapshot),
    working_set: workingSet(snapshot) ?? null,
    reclaimable: reclaimable(snapshot) ?? null,
    memory: fieldsOf(STATS, snapshot.stats),
    limits: fieldsOf(LIMITS, snapshot.limits, limitOf),
    effective_limit: {
      ...limitOf(ancestry.limit.bytes),
      scope: ancestry.limit.scope,
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
    swap_left: found.swapLeft ?? null,
    counters: countersOf(snapshot),
    pressure: pressureOf(snapshot.pressure),
    ...fieldsOf(FLAGS, snapshot),
    processes: members?.processes.map(processOf) ?? null,
    processes_total: members?.total ?? null,
    hidden_processes: members?.hiddenProcesses ?? null,
    oom_forecast: forecast ? forecastOf(forecast) : null,
    tree: tree ? tree.map(rowOf) : null,
    invalid_files: found.invalidFiles,
    limitations: found.limitations,
  };
}

/** The fields of a table under their JSON names. */
function fieldsOf<Table extends Readonly<Record<string, Field>>, Value>(
  table: Table,
  values: Values<Table, Value>,
  toJson: (value: Value | undefined) => unknown = (value) => value ?? null,
): Record<string, unknown> {
  const shown = Object.entries(table).filter(([, { json }]) => json !== undefined);
  return Object.fromEntries(shown.map(([name, { json }]) => [json, toJson(values[name])]));
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

const headroomOf = (headroom: Headroom | undefined) =>
  headroom === undefined ? null : {
    bytes: headroom.bytes,
    percent: headroom.percent,
    limit: headroom.limit,
    scope: headroom.scope,
    owner: headroom.owner ?? null,
  };

const countersOf = ({ local, subtree }: Snapshot) => ({
  local: fieldsOf(COUNTERS, local),
  subtree: fieldsOf(COUNTERS, subtree),
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

const forecastOf = ({ victim, group, ...forecast }: OomForecast) => ({
  scope: forecast.scope,
  limit_owner: forecast.owner ?? null,
  oom_kill_disabled: forecast.oomKillerDisabled,
  oom_total_bytes: forecast.oomTotalBytes ?? null,
  victim: victim ? processOf({ ...victim.process, badness: victim.badness }) : null,
  victim_certain: forecast.isVictimCertain,
  group: group ? { cgroup: group.path, processes: group.processes } : null,
  hidden_processes: forecast.processList?.hiddenProcesses ?? null,
});

const rowOf = ({ cgroup, depth, snapshot, leftOut }: CgroupTree) => ({
  cgroup: cgroup.path,
  depth,
  ...identityOf(cgroup.path),
  usage: snapshot.usage ?? null,
  working_set: workingSet(snapshot) ?? null,
  peak: snapshot.peak ?? null,
  limit: limitOf(snapshot.limits.max),
  counters: countersOf(snapshot),
  children_omitted: leftOut,
});
