/**
 * The fields of a memory cgroup, one row each: where v1 and v2 keep it, its JSON name, its label in text. The table of a field
 * gives its unit.
 *
 * To add a field, add a row here and its name to docs/schema/inspect.schema.json. The rest follows from the row: the types in
 * core/snapshot.ts, what v1.ts and v2.ts read, the JSON of core/events/inspect_document.ts and the text of cli/inspect/text.ts.
 * tests/core/cgroup/fields_test.ts compares the table with the schema. Pure.
 */

/** A file that holds one value, or a key of a flat keyed file such as memory.stat. */
export type Source = string | readonly [file: string, key: string];

export interface Field {
  /** Absent where the version has no such field. */
  readonly v1?: Source;
  readonly v2?: Source;
  /** Absent for a field that no output shows. */
  readonly json?: string;
  /** Text before the value, or for a flag the text when it is set; absent for a field that only JSON shows. */
  readonly label?: string;
}

export type Fields = Readonly<Record<string, Field>>;

/** The values of a table's fields, as far as they are known. */
export type Values<Table, Value> = { readonly [name in keyof Table]?: Value };

/** Bytes in use, of the cgroup and everything below it. */
export const SIZES = {
  usage: { v1: "memory.usage_in_bytes", v2: "memory.current", json: "usage" },
  /** Since the cgroup was created or the peak was reset. v2 has the file since Linux 5.19. */
  peak: { v1: "memory.max_usage_in_bytes", v2: "memory.peak", json: "peak", label: "peak" },
} as const satisfies Fields;

/** Bytes, `Infinity` for no limit: set on the cgroup itself, but for the last one. Its ancestors may be tighter (see `EffectiveLimit`). */
export const LIMITS = {
  max: { v1: "memory.limit_in_bytes", v2: "memory.max", json: "max", label: "max" },
  /** Above it the kernel slows allocators down. */
  high: { v2: "memory.high", json: "high", label: "high" },
  low: { v2: "memory.low", json: "low", label: "low" },
  min: { v2: "memory.min", json: "min", label: "min" },
  soft: { v1: "memory.soft_limit_in_bytes", json: "soft", label: "soft" },
  /** Swap alone. */
  swap: { v2: "memory.swap.max", json: "swap", label: "swap" },
  /** Memory and swap together. */
  memsw: { v1: "memory.memsw.limit_in_bytes", json: "memsw", label: "memory+swap" },
  /** The tightest limit in the ancestry, ancestors outside the mount included. */
  hierarchical: { v1: ["memory.stat", "hierarchical_memory_limit"] },
} as const satisfies Fields;

/** A row of memory.stat with the same key in both versions. */
function inBothStats(key: string): Required<Pick<Field, "v1" | "v2">> {
  return { v1: ["memory.stat", key], v2: ["memory.stat", key] };
}

/** Bytes by kind of memory, of the cgroup and everything below it. */
export const STATS = {
  /** v1's `rss` is v2's `anon`: anonymous memory and swap cache, not the sum of resident sets. */
  anon: { v1: ["memory.stat", "rss"], v2: ["memory.stat", "anon"], json: "anon", label: "anon" },
  /** Page cache, tmpfs and shared memory included. */
  file: { v1: ["memory.stat", "cache"], v2: ["memory.stat", "file"], json: "file", label: "file" },
  /** tmpfs and shared memory: part of `file`, but not reclaimable without swap. */
  shmem: { ...inBothStats("shmem"), json: "shmem", label: "shmem" },
  /** All kernel memory. v2 has the key since 5.18; the sum of its parts is not the whole, so before that it is unknown. */
  kernel: {
    v1: "memory.kmem.usage_in_bytes",
    v2: ["memory.stat", "kernel"],
    json: "kernel",
    label: "kernel",
  },
  /** Part of `kernel`, as are the next three. */
  slab: { v2: ["memory.stat", "slab"], json: "slab", label: "slab" },
  slabReclaimable: { v2: ["memory.stat", "slab_reclaimable"], json: "slab_reclaimable" },
  kernelStack: { v2: ["memory.stat", "kernel_stack"], json: "kernel_stack", label: "stack" },
  pageTables: { v2: ["memory.stat", "pagetables"], json: "page_tables", label: "page tables" },
  /** Network buffers; not part of `kernel`. */
  sock: {
    v1: "memory.kmem.tcp.usage_in_bytes",
    v2: ["memory.stat", "sock"],
    json: "sock",
    label: "sock",
  },
  swap: { v1: ["memory.stat", "swap"], v2: "memory.swap.current", json: "swap", label: "swap" },
  inactiveFile: { ...inBothStats("inactive_file"), json: "inactive_file" },
  activeFile: { ...inBothStats("active_file"), json: "active_file" },
  unevictable: { ...inBothStats("unevictable"), json: "unevictable" },
} as const satisfies Fields;

/**
 * Times since the cgroup was created. v2 counts for the cgroup alone in memory.events.local and with everything below it in
 * memory.events, under the same keys; a counter of another v2 file has no local value. v1 counts for the cgroup alone.
 */
export const COUNTERS = {
  /** The limit was hit and the kernel had to reclaim. v1.ts adds the hits of memory.memsw.failcnt. */
  max: { v1: "memory.failcnt", v2: ["memory.events", "max"], json: "max", label: "limit hit" },
  /** Allocators were slowed down. */
  high: { v2: ["memory.events", "high"], json: "high", label: "high" },
  /** The limit was hit and reclaim failed. v1 does not count it; it only notifies. */
  oom: { v2: ["memory.events", "oom"], json: "oom", label: "oom" },
  /** Processes that the kernel killed. With `memory.oom.group` the first victim counts twice. */
  oomKill: {
    v1: ["memory.oom_control", "oom_kill"],
    v2: ["memory.events", "oom_kill"],
    json: "oom_kill",
    label: "oom_kill",
  },
  /** Times that the kernel killed a whole cgroup. */
  oomGroupKill: {
    v2: ["memory.events", "oom_group_kill"],
    json: "oom_group_kill",
    label: "oom_group_kill",
  },
} as const satisfies Fields;

/** 0 or 1. */
export const FLAGS = {
  /** The kernel kills the whole cgroup together with a victim. */
  oomGroup: {
    v2: "memory.oom.group",
    json: "oom_group",
    label: "memory.oom.group set: one kill takes the whole cgroup",
  },
  /** At the limit allocators sleep instead of being killed. */
  oomKillDisabled: {
    v1: ["memory.oom_control", "oom_kill_disable"],
    json: "oom_kill_disabled",
    label: "OOM killer disabled: allocators wait at the limit",
  },
  /** Allocators wait for memory right now. */
  underOom: { v1: ["memory.oom_control", "under_oom"], json: "under_oom", label: "under OOM now" },
} as const satisfies Fields;

const fileOf = (source: Source): string => typeof source === "string" ? source : source[0];

/** Files with one `key value` a line: the tables', and those that no row names. */
export const KEYED_FILES: ReadonlySet<string> = new Set([
  "memory.events.local",
  "cgroup.events",
  ...[SIZES, LIMITS, STATS, COUNTERS, FLAGS].flatMap(sourcesOf)
    .filter((source) => typeof source !== "string").map(fileOf),
]);

/** The files from which either version reads the fields of a table. */
export const filesOf = (table: Fields): string[] => sourcesOf(table).map(fileOf);

function sourcesOf(table: Fields): Source[] {
  return Object.values(table).flatMap(({ v1, v2 }) => [v1, v2])
    .filter((source) => source !== undefined);
}
