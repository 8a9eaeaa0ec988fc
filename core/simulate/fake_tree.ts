/** The files of a cgroup as a kernel would show them, from a few numbers. Pure. */

import { errnoOf } from "../kernel/libc.ts";
import { reasonOf } from "../control/write.ts";
import { OomkitError } from "../errors.ts";
import { createTemporaryFolder } from "./folder.ts";
import { isGone, parseSandboxName, sandboxName, self } from "./sandbox.ts";

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

/* A directory laid out like a memory hierarchy, with one cgroup in it whose numbers move. */

export interface FakeTree {
  /** For `--root`. */
  readonly dir: string;
  /** Writes what has changed. */
  update(state: FakeState): void;
  /** Removes what was made, and nothing else; harmless when it is gone. */
  remove(): void;
}

/** The cgroup whose numbers move, and one that stands still beside it. */
export const FAKE_CGROUP = "/app";
const IDLE_CGROUP = "/idle";
/** Tells whose tree it is, in the same words as a sandbox's name. */
const MARK = ".oomkit";

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

/**
 * @param dir is made if it is not there; without it a temporary one.
 * Throws {@link OomkitError} when `dir` is no directory, has something else in it, or belongs to a tree that is still kept up.
 */
export function createFakeTree(version: 1 | 2, state: FakeState, dir?: string): FakeTree {
  const made: string[] = [];
  const files = new Map<string, FakeFile>();
  const root = dir ?? createTemporaryFolder();
  if (dir === undefined || claim(root)) made.push(root);

  const write = (folder: string, contents: FakeFiles) => {
    for (const [name, text] of Object.entries(contents)) {
      const path = `${folder}/${name}`;
      const file = files.get(path);
      if (file) file.write(text);
      else files.set(path, openFakeFile(path, text));
    }
  };
  const { childFiles, rootFiles } = FILES[version];
  const update = (now: FakeState) => {
    const usage = now.usage + IDLE.usage;
    write(root, rootFiles({ ...now, usage, limit: Infinity, pids: [] }));
    write(`${root}${FAKE_CGROUP}`, childFiles(now));
  };
  const remove = () => {
    for (const [path, file] of files) {
      file.close();
      discard(path);
    }
    files.clear();
    for (const path of made.toReversed()) discard(path);
  };

  try {
    const owner = self();
    const mark = `${root}/${MARK}`;
    Deno.writeTextFileSync(mark, owner ? `${sandboxName("oomkit-sim", owner)}\n` : "\n");
    made.push(mark);
    for (const path of [FAKE_CGROUP, IDLE_CGROUP]) {
      Deno.mkdirSync(`${root}${path}`, { recursive: true });
      made.push(`${root}${path}`);
    }
    write(`${root}${IDLE_CGROUP}`, childFiles(IDLE));
    update(state);
  } catch (error) {
    remove();
    throw new OomkitError(`cannot make a fake tree in ${root}: ${reasonOf(error)}`);
  }
  return { dir: root, update, remove };
}

/** Makes sure that `dir` is ours to fill; true when it was made for that. */
function claim(dir: string): boolean {
  const fail = (why: string): never => {
    throw new OomkitError(
      `cannot make a fake tree in ${dir}: ${why}`,
      "name a folder that is empty or not there",
    );
  };
  try {
    Deno.mkdirSync(dir);
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return fail("the folder to make it in is not there");
    if (errno !== "EEXIST") return fail(reasonOf(error));
  }
  if (!Deno.statSync(dir).isDirectory) return fail("it is a file");
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  if (names.length === 0) return false;
  const owner = names.includes(MARK)
    ? parseSandboxName(Deno.readTextFileSync(`${dir}/${MARK}`).trim())?.owner
    : undefined;
  const observer = self();
  if (owner === undefined) return fail("it is not empty");
  if (observer === undefined || !isGone(owner, observer)) {
    return fail(`pid ${owner.pid} is keeping one up there`);
  }
  // Left behind by a run that was killed: everything that is written here is overwritten.
  return false;
}

interface FakeFile {
  write(text: string): void;
  close(): void;
}

const encoder = new TextEncoder();
/** A number grows by a few digits at most while a tree is kept up. */
const SPARE = 8;

/**
 * A file that a reader never finds torn, though it is only rewritten and never replaced, which is what a reader who keeps
 * it open needs: each time one write of the same length over the old bytes. What is left of it is empty lines, which every
 * reader of such files skips; a truncation would show half-empty files, and a shorter text the end of the old one.
 */
function openFakeFile(path: string, first: string): FakeFile {
  const file = Deno.openSync(path, { write: true, create: true });
  let length = first.length + SPARE * (first.split("\n").length - 1) + SPARE;
  let last: string | undefined;
  const write = (text: string) => {
    if (text === last) return;
    last = text;
    length = Math.max(length, text.length);
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(encoder.encode(text.padEnd(length, "\n")));
  };
  write(first);
  // Longer only where a killed run left more; nobody reads it before it is complete.
  file.truncateSync(length);
  return { write, close: () => file.close() };
}

function discard(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Gone already, or somebody put something of his own into the folder: that stays.
  }
}

/** The control files of a cgroup and of the root, by version. */
const FILES = {
  1: { childFiles: v1Files, rootFiles: v1Files },
  2: { childFiles: v2Files, rootFiles: v2RootFiles },
} as const;
