/** A directory laid out like a memory cgroup hierarchy, with one cgroup that changes its numbers. */

import { reasonOf } from "../control/write.ts";
import { OomkitError } from "../errors.ts";
import { errnoOf } from "../kernel/libc.ts";
import { removeIfPossible } from "./remove.ts";
import { isLeftBehind, ownIdentity, parseSandboxName, sandboxName } from "./sandbox.ts";

/** Sizes are bytes. */
export interface FakeState {
  readonly usage: number;
  readonly peak: number;
  /** `Infinity` for none. */
  readonly limit: number;
  readonly max: bigint;
  readonly oom: bigint;
  readonly oomKill: bigint;
  readonly pids: readonly number[];
  /** Microseconds stalled on memory. */
  readonly stalled: bigint;
}

/** The cgroup that changes its numbers, and an idle one next to it. */
export const FAKE_CGROUP = "/app";
const IDLE_CGROUP = "/idle";
/** Names the owner of the tree in the same format as a sandbox's name. */
const OWNER_FILE = ".oomkit";

const IDLE: FakeState = {
  usage: 4 * 1024 ** 2,
  peak: 5 * 1024 ** 2,
  limit: 64 * 1024 ** 2,
  max: 0n,
  oom: 0n,
  oomKill: 0n,
  pids: [],
  stalled: 0n,
};

export class FakeTree {
  /** What was created, in order. */
  readonly #paths: string[] = [];
  readonly #files = new Map<string, FakeFile>();

  private constructor(
    private readonly version: 1 | 2,
    /** For `--root`. */
    readonly dir: string,
  ) {}

  /**
   * @param dir is created if it does not exist; absent: a temporary directory.
   * Throws {@link OomkitError} when `dir` is not a directory, has other files in it, or is in use by another run.
   */
  static create(version: 1 | 2, state: FakeState, dir?: string): FakeTree {
    const tree = new FakeTree(version, dir ?? createTemporaryDirectory());
    if (dir === undefined || claim(dir)) tree.#paths.push(tree.dir);
    try {
      tree.#build(state);
    } catch (error) {
      tree.remove();
      throw new OomkitError(`cannot create a fake tree in ${tree.dir}: ${reasonOf(error)}`);
    }
    return tree;
  }

  /** Writes what has changed. */
  update(state: FakeState): void {
    const { root, child } = FILES[this.version];
    const usage = state.usage + IDLE.usage;
    this.#write("", root({ ...state, usage, limit: Infinity, pids: [] }));
    this.#write(FAKE_CGROUP, child(state));
  }

  /** Removes what was created, and nothing else; harmless when it is gone. */
  remove(): void {
    for (const [path, file] of this.#files) {
      file.close();
      removeIfPossible(path);
    }
    this.#files.clear();
    for (const path of this.#paths.toReversed()) removeIfPossible(path);
  }

  #build(state: FakeState): void {
    const owner = ownIdentity();
    const ownerFile = `${this.dir}/${OWNER_FILE}`;
    Deno.writeTextFileSync(ownerFile, owner ? `${sandboxName("oomkit-sim", owner)}\n` : "\n");
    this.#paths.push(ownerFile);
    for (const path of [FAKE_CGROUP, IDLE_CGROUP]) {
      Deno.mkdirSync(`${this.dir}${path}`, { recursive: true });
      this.#paths.push(`${this.dir}${path}`);
    }
    this.#write(IDLE_CGROUP, FILES[this.version].child(IDLE));
    this.update(state);
  }

  #write(cgroup: string, contents: FakeFiles): void {
    for (const [name, text] of Object.entries(contents)) {
      const path = `${this.dir}${cgroup}/${name}`;
      const file = this.#files.get(path);
      if (file) file.write(text);
      else this.#files.set(path, new FakeFile(path, text));
    }
  }
}

/** A number grows by a few digits at most while a tree exists. */
const SPARE_DIGITS = 8;
const encoder = new TextEncoder();

/**
 * A file that a reader never sees half-written, although it is rewritten and never replaced, which a reader that keeps it open
 * needs. Each update is one write of the same length over the old bytes, padded with empty lines, which every reader of such
 * files skips. A truncation would show half-empty files, and a shorter text the end of the old one.
 */
class FakeFile {
  readonly #file: Deno.FsFile;
  #length: number;
  #text: string | undefined;

  constructor(path: string, text: string) {
    this.#file = Deno.openSync(path, { write: true, create: true });
    this.#length = text.length + SPARE_DIGITS * text.split("\n").length;
    this.write(text);
    // The file is longer only where a killed run left it longer; it has no reader before it is complete.
    this.#file.truncateSync(this.#length);
  }

  write(text: string): void {
    if (text === this.#text) return;
    this.#text = text;
    this.#length = Math.max(this.#length, text.length);
    this.#file.seekSync(0, Deno.SeekMode.Start);
    this.#file.writeSync(encoder.encode(text.padEnd(this.#length, "\n")));
  }

  close(): void {
    this.#file.close();
  }
}

/** Checks that the tree may be built in `dir`; returns whether `dir` was created for it. */
function claim(dir: string): boolean {
  const fail = (reason: string): never => {
    throw new OomkitError(
      `cannot create a fake tree in ${dir}: ${reason}`,
      "choose a directory that is empty or does not exist",
    );
  };
  try {
    Deno.mkdirSync(dir);
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return fail("its parent directory does not exist");
    if (errno !== "EEXIST") return fail(reasonOf(error));
  }
  let sandbox = "";
  try {
    if (!Deno.statSync(dir).isDirectory) return fail("it is a file");
    const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
    if (names.length === 0) return false;
    if (names.includes(OWNER_FILE)) sandbox = Deno.readTextFileSync(`${dir}/${OWNER_FILE}`).trim();
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    return fail(reasonOf(error));
  }
  const owner = parseSandboxName(sandbox)?.owner;
  if (owner === undefined) return fail("it is not empty");
  if (!isLeftBehind(sandbox)) return fail(`pid ${owner.pid} is using it for its fake tree`);
  // Left by a run that was killed: every file is overwritten.
  return false;
}

/**
 * Creates a directory that only its owner can enter, named as a sandbox is, and removes stale ones of the same user. Throws
 * {@link OomkitError} where none can be created.
 */
export function createTemporaryDirectory(): string {
  const owner = ownIdentity();
  const unique = makeUniqueDirectory();
  if (owner === undefined) return unique;
  const parent = unique.slice(0, unique.lastIndexOf("/"));
  removeStaleIn(parent);
  const named = `${parent}/${sandboxName("oomkit-sim", owner)}`;
  try {
    Deno.mkdirSync(named, { mode: 0o700 });
  } catch {
    // Every user may write to this parent: another one may know this pid and have taken the name.
    return unique;
  }
  removeIfPossible(unique);
  return named;
}

function makeUniqueDirectory(): string {
  try {
    return Deno.makeTempDirSync({ prefix: "oomkit-" });
  } catch (error) {
    throw new OomkitError(
      `cannot create a temporary directory: ${reasonOf(error)}`,
      "set TMPDIR to a writable directory",
    );
  }
}

function removeStaleIn(parent: string): void {
  try {
    for (const { name, isDirectory } of Deno.readDirSync(parent)) {
      if (isDirectory && isLeftBehind(name)) removeIfOwn(`${parent}/${name}`);
    }
  } catch {
    // A directory that may be written but not listed.
  }
}

function removeIfOwn(path: string): void {
  try {
    if (Deno.lstatSync(path).uid === Deno.uid()) Deno.removeSync(path, { recursive: true });
  } catch {
    // Another run has removed it meanwhile.
  }
}

/** Content by file name. */
type FakeFiles = Readonly<Record<string, string>>;

/** The control files of a cgroup and of the root, by version. */
const FILES = {
  1: { child: v1Files, root: v1Files },
  2: { child: v2Files, root: v2RootFiles },
} as const;

/** PAGE_COUNTER_MAX × 4096: what v1 shows for no limit. */
const V1_UNLIMITED = "9223372036854771712";
/** The share of usage that is page cache. */
const FILE_SHARE = 0.1;

const keyed = (rows: Readonly<Record<string, number | bigint | string>>) =>
  Object.entries(rows).map(([key, value]) => `${key} ${value}\n`).join("");

const zeros = (keys: string) => Object.fromEntries(keys.split(" ").map((key) => [key, 0]));
const zeroFiles = (names: string) =>
  Object.fromEntries(names.split(" ").map((name) => [name, "0\n"]));

const procs = (pids: readonly number[]) => pids.map((pid) => `${pid}\n`).join("");

function usageParts(usage: number): { readonly anon: number; readonly file: number } {
  const file = Math.floor(usage * FILE_SHARE);
  return { anon: usage - file, file };
}

/** Without cgroup.event_control and memory.pressure_level: a fake tree cannot notify. */
function v1Files(state: FakeState): FakeFiles {
  const { usage, peak, max, oomKill, pids } = state;
  const { anon, file } = usageParts(usage);
  const limit = state.limit === Infinity ? V1_UNLIMITED : String(state.limit);
  const own = {
    cache: file,
    rss: anon,
    inactive_anon: anon,
    inactive_file: file,
    ...zeros("shmem mapped_file dirty writeback swap active_anon active_file unevictable"),
  };
  const total = Object.entries(own).map(([key, value]) => [`total_${key}`, value] as const);
  return {
    "cgroup.procs": procs(pids),
    "memory.usage_in_bytes": `${usage}\n`,
    "memory.max_usage_in_bytes": `${peak}\n`,
    "memory.limit_in_bytes": `${limit}\n`,
    "memory.soft_limit_in_bytes": `${V1_UNLIMITED}\n`,
    "memory.failcnt": `${max}\n`,
    "memory.kmem.usage_in_bytes": "0\n",
    "memory.oom_control": keyed({ oom_kill_disable: 0, under_oom: 0, oom_kill: oomKill }),
    "memory.stat": keyed({
      ...own,
      hierarchical_memory_limit: limit,
      ...Object.fromEntries(total),
    }),
    "memory.use_hierarchy": "1\n",
  };
}

/** The root of a v2 hierarchy has no usage and no limit. */
function v2RootFiles({ usage }: FakeState): FakeFiles {
  return {
    "cgroup.controllers": "memory\n",
    "cgroup.subtree_control": "memory\n",
    "cgroup.procs": "",
    "memory.stat": v2Stat(usage),
  };
}

function v2Files(state: FakeState): FakeFiles {
  const { usage, peak, limit, max, oom, oomKill, pids, stalled } = state;
  const events = keyed({ low: 0, high: 0, max, oom, oom_kill: oomKill, oom_group_kill: 0 });
  const averages = `avg10=0.00 avg60=0.00 avg300=0.00 total=${stalled}\n`;
  return {
    "cgroup.controllers": "memory\n",
    "cgroup.subtree_control": "",
    "cgroup.type": "domain\n",
    "cgroup.events": keyed({ populated: pids.length > 0 ? 1 : 0, frozen: 0 }),
    "cgroup.procs": procs(pids),
    "memory.current": `${usage}\n`,
    "memory.peak": `${peak}\n`,
    "memory.max": limit === Infinity ? "max\n" : `${limit}\n`,
    "memory.high": "max\n",
    ...zeroFiles("memory.low memory.min memory.swap.current memory.swap.max memory.oom.group"),
    "memory.stat": v2Stat(usage),
    "memory.events": events,
    "memory.events.local": events,
    "memory.pressure": `some ${averages}full ${averages}`,
  };
}

function v2Stat(usage: number): string {
  const { anon, file } = usageParts(usage);
  return keyed({
    anon,
    file,
    inactive_anon: anon,
    inactive_file: file,
    ...zeros("kernel kernel_stack pagetables sock shmem active_anon active_file unevictable"),
    ...zeros("slab_reclaimable slab_unreclaimable slab"),
  });
}
