/** Directories laid out like a v1 or v2 memory hierarchy, with all the files that a kernel has. */

/** Contents by file name; a number becomes a line, `undefined` omits the file. */
export type Files = Readonly<Record<string, string | number | undefined>>;

const V1_UNLIMITED = "9223372036854771712\n";

const V1_FILES: Files = {
  "cgroup.procs": "",
  "memory.usage_in_bytes": 0,
  "memory.max_usage_in_bytes": 0,
  "memory.limit_in_bytes": V1_UNLIMITED,
  "memory.soft_limit_in_bytes": V1_UNLIMITED,
  "memory.failcnt": 0,
  "memory.kmem.usage_in_bytes": 0,
  "memory.kmem.tcp.usage_in_bytes": 0,
  "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
  "memory.stat": "cache 0\nrss 0\nshmem 0\ninactive_file 0\nactive_file 0\n" +
    `hierarchical_memory_limit ${V1_UNLIMITED}` +
    "total_cache 0\ntotal_rss 0\ntotal_shmem 0\ntotal_inactive_file 0\ntotal_active_file 0\n",
};

const EVENTS = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n";
const STALL = "avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";

/** The files that the root of a v2 hierarchy has too; only its children have the others. */
const V2_ROOT_FILES: Files = {
  "cgroup.controllers": "cpu io memory pids\n",
  "cgroup.procs": "",
  "memory.stat": "anon 0\nfile 0\nkernel 0\nshmem 0\ninactive_file 0\nactive_file 0\n",
};

const V2_FILES: Files = {
  ...V2_ROOT_FILES,
  "cgroup.events": "populated 0\nfrozen 0\n",
  "memory.current": 0,
  "memory.peak": 0,
  "memory.max": "max\n",
  "memory.high": "max\n",
  "memory.low": 0,
  "memory.min": 0,
  "memory.swap.current": 0,
  "memory.swap.max": "max\n",
  "memory.events": EVENTS,
  "memory.events.local": EVENTS,
  "memory.oom.group": 0,
  "memory.pressure": `some ${STALL}full ${STALL}`,
};

export interface Tree extends Disposable {
  readonly dir: string;
  /** Adds a cgroup with all its files; its parent must exist. */
  add(path: string, files?: Files): void;
  write(path: string, file: string, content: string | number): void;
  remove(path: string): void;
}

/**
 * @param cgroups files by path, parents first, that replace those of an idle cgroup. "/" always exists.
 */
export function makeTree(version: 1 | 2, cgroups: Readonly<Record<string, Files>> = {}): Tree {
  const dir = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "oomkit-test-tree-" }));
  const place = (path: string) => path === "/" ? dir : `${dir}${path}`;
  const write = (path: string, file: string, content: string | number) =>
    Deno.writeTextFileSync(
      `${place(path)}/${file}`,
      typeof content === "number" ? `${content}\n` : content,
    );
  const idle = (path: string) => version === 1 ? V1_FILES : path === "/" ? V2_ROOT_FILES : V2_FILES;
  const add = (path: string, files: Files = {}) => {
    if (path !== "/") Deno.mkdirSync(place(path));
    for (const [file, content] of Object.entries({ ...idle(path), ...files })) {
      if (content !== undefined) write(path, file, content);
    }
  };
  for (const [path, files] of Object.entries({ "/": {}, ...cgroups })) add(path, files);
  return {
    dir,
    add,
    write,
    remove: (path) => Deno.removeSync(place(path), { recursive: true }),
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}
