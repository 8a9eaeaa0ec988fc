/** The files of a cgroup as a kernel would show them, from a few numbers. Pure. */

export interface FakeState {
  /** Bytes. */
  readonly usage: number;
  readonly peak: number;
  /** `Infinity` for none. */
  readonly limit: number;
  readonly max: bigint;
  readonly oom: bigint;
  readonly oomKill: bigint;
  readonly pids: readonly number[];
  /** Microseconds stalled for memory. */
  readonly stalled: bigint;
}

/** Content by name. */
export type FakeFiles = Readonly<Record<string, string>>;

/** PAGE_COUNTER_MAX × 4096: what v1 writes for no limit. */
const V1_UNLIMITED = "9223372036854771712";
/** A share of usage that is page cache, so that the parts are not all one. */
const FILE_SHARE = 0.1;

const keyed = (rows: Readonly<Record<string, number | bigint | string>>) =>
  Object.entries(rows).map(([key, value]) => `${key} ${value}\n`).join("");

function parts(usage: number): { readonly anon: number; readonly file: number } {
  const file = Math.floor(usage * FILE_SHARE);
  return { anon: usage - file, file };
}

/** Of a cgroup; the root has them too. There is nothing to arm: no cgroup.event_control, no memory.pressure_level. */
export function v1Files(state: FakeState): FakeFiles {
  const { usage, peak, limit, max, oomKill, pids } = state;
  const { anon, file } = parts(usage);
  const bound = limit === Infinity ? V1_UNLIMITED : String(limit);
  const own = {
    cache: file,
    rss: anon,
    shmem: 0,
    mapped_file: 0,
    dirty: 0,
    writeback: 0,
    swap: 0,
    inactive_anon: anon,
    active_anon: 0,
    inactive_file: file,
    active_file: 0,
    unevictable: 0,
  };
  const total = Object.entries(own).map(([key, value]) => [`total_${key}`, value] as const);
  return {
    "cgroup.procs": pids.map((pid) => `${pid}\n`).join(""),
    "memory.usage_in_bytes": `${usage}\n`,
    "memory.max_usage_in_bytes": `${peak}\n`,
    "memory.limit_in_bytes": `${bound}\n`,
    "memory.soft_limit_in_bytes": `${V1_UNLIMITED}\n`,
    "memory.failcnt": `${max}\n`,
    "memory.kmem.usage_in_bytes": "0\n",
    "memory.oom_control": keyed({ oom_kill_disable: 0, under_oom: 0, oom_kill: oomKill }),
    "memory.stat": keyed({
      ...own,
      hierarchical_memory_limit: bound,
      ...Object.fromEntries(total),
    }),
    "memory.use_hierarchy": "1\n",
  };
}

function v2Stat(usage: number): string {
  const { anon, file } = parts(usage);
  return keyed({
    anon,
    file,
    kernel: 0,
    kernel_stack: 0,
    pagetables: 0,
    sock: 0,
    shmem: 0,
    inactive_anon: anon,
    active_anon: 0,
    inactive_file: file,
    active_file: 0,
    unevictable: 0,
    slab_reclaimable: 0,
    slab_unreclaimable: 0,
    slab: 0,
  });
}

/** What the root of a v2 hierarchy has: no usage, no limit. */
export function v2RootFiles({ usage }: FakeState): FakeFiles {
  return {
    "cgroup.controllers": "memory\n",
    "cgroup.subtree_control": "memory\n",
    "cgroup.procs": "",
    "memory.stat": v2Stat(usage),
  };
}

export function v2Files(state: FakeState): FakeFiles {
  const { usage, peak, limit, max, oom, oomKill, pids, stalled } = state;
  const events = keyed({ low: 0, high: 0, max, oom, oom_kill: oomKill, oom_group_kill: 0 });
  const line = `avg10=0.00 avg60=0.00 avg300=0.00 total=${stalled}\n`;
  return {
    "cgroup.controllers": "memory\n",
    "cgroup.subtree_control": "",
    "cgroup.type": "domain\n",
    "cgroup.events": keyed({ populated: pids.length > 0 ? 1 : 0, frozen: 0 }),
    "cgroup.procs": pids.map((pid) => `${pid}\n`).join(""),
    "memory.current": `${usage}\n`,
    "memory.peak": `${peak}\n`,
    "memory.max": limit === Infinity ? "max\n" : `${limit}\n`,
    "memory.high": "max\n",
    "memory.low": "0\n",
    "memory.min": "0\n",
    "memory.swap.current": "0\n",
    "memory.swap.max": "0\n",
    "memory.oom.group": "0\n",
    "memory.stat": v2Stat(usage),
    "memory.events": events,
    "memory.events.local": events,
    "memory.pressure": `some ${line}full ${line}`,
  };
}
