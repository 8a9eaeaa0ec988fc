/** The cgroups of a soak: one of its own, limited, with the guarded and the unguarded ones below it. */

import { discover } from "../../core/cgroup/hierarchy.ts";
import { type Cgroup, childrenOf, openCgroup } from "../../core/cgroup/cgroup.ts";
import { OomkitError } from "../../core/errors.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { findParent } from "../../core/simulate/sandbox.ts";
import { Mistake } from "../terminal.ts";

/** Limits of the whole soak: bytes, and processes. */
export const ROOT_LIMIT = 1536 * 1024 ** 2;
const ROOT_PIDS = 400;
const PREFIX = "oomkit-soak-";

export interface Tree {
  readonly version: 1 | 2;
  readonly path: string;
  readonly dir: string;
  /** Another cgroup.procs that a process enters, for the limit on processes (v1). */
  readonly alsoEnter: string | undefined;
  /** Creates a cgroup. A cgroup with children holds no processes here, on v1 and v2. */
  make(path: string): void;
  /** False when it is busy. */
  removeEmpty(path: string): boolean;
  dirOf(path: string): string;
  read(path: string, file: string): string;
  /** False when the kernel refuses. */
  write(path: string, file: string, text: string): boolean;
  /** v1 `memory.limit_in_bytes`, v2 `memory.max`; `undefined`: none. */
  setLimit(path: string, bytes: number | undefined): boolean;
  /** True when a guard's change is in place. */
  isChanged(path: string): boolean;
  /** The given cgroup and all below it, deepest first. */
  all(path: string): string[];
  /** Kills everything in it and removes it. */
  removeAll(): Promise<void>;
}

export async function makeTree(): Promise<Tree> {
  const parent = foundParent();
  await removeStale(parent);
  const { number: version, limitFile } = parent.hierarchy.version;
  const name = `${PREFIX}${Deno.pid}`;
  const path = `${parent.path === "/" ? "" : parent.path}/${name}`;
  const mount = parent.dir.slice(
    0,
    parent.dir.length - (parent.path === "/" ? 0 : parent.path.length),
  );
  const dirOf = (path: string) => `${mount}${path}`;
  const read = (path: string, file: string) => Deno.readTextFileSync(`${dirOf(path)}/${file}`);
  const write = (path: string, file: string, text: string) => {
    try {
      Deno.writeTextFileSync(`${dirOf(path)}/${file}`, text, { create: false });
      return true;
    } catch {
      return false;
    }
  };
  const removeEmpty = (path: string) => {
    try {
      Deno.removeSync(dirOf(path));
      return true;
    } catch (error) {
      return error instanceof Deno.errors.NotFound;
    }
  };
  const all = (path: string): string[] => {
    const children = namesIn(dirOf(path)).flatMap((name) => all(`${path}/${name}`));
    return [...children, path];
  };
  const make = (path: string) => {
    Deno.mkdirSync(dirOf(path));
    if (version === 1) return;
    const above = path.slice(0, path.lastIndexOf("/"));
    if (above !== parent.path) write(above, "cgroup.subtree_control", "+memory");
  };
  make(path);
  const own = openCgroup(parent.hierarchy, path)!;
  write(path, limitFile, String(ROOT_LIMIT));
  const pids = version === 1 ? pidsCgroup(name) : undefined;
  if (pids === undefined) write(path, "pids.max", String(ROOT_PIDS));
  return {
    version,
    path,
    dir: own.dir,
    alsoEnter: pids && `${pids}/cgroup.procs`,
    make,
    removeEmpty,
    dirOf,
    read,
    write,
    setLimit: (path, bytes) =>
      write(path, limitFile, bytes === undefined ? version === 1 ? "-1" : "max" : String(bytes)),
    isChanged: (path) =>
      version === 1
        ? /^oom_kill_disable 1$/m.test(read(path, "memory.oom_control"))
        : read(path, "memory.high").trim() !== "max",
    all,
    async removeAll() {
      await removeCgroup(own);
      if (pids !== undefined) Deno.removeSync(pids);
    },
  };
}

/** Removes what a killed soak has left. */
async function removeStale(parent: Cgroup): Promise<void> {
  const pids = pidsMount();
  for (const each of childrenOf(parent)) {
    const name = each.path.slice(each.path.lastIndexOf("/") + 1);
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length)) : NaN;
    if (!Number.isSafeInteger(pid) || isThere(`/proc/${pid}`)) continue;
    await removeCgroup(each);
    if (pids !== undefined && isThere(`${pids}/${name}`)) Deno.removeSync(`${pids}/${name}`);
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function foundParent(): Cgroup {
  try {
    const parent = findParent(discover(undefined));
    if (!("refused" in parent)) return parent;
    throw new Mistake(`cannot make cgroups to soak: ${parent.refused}`);
  } catch (error) {
    if (!(error instanceof OomkitError)) throw error;
    throw new Mistake(error.message);
  }
}

function pidsCgroup(name: string): string | undefined {
  const mount = pidsMount();
  if (mount === undefined) return undefined;
  const dir = `${mount}/${name}`;
  Deno.mkdirSync(dir);
  Deno.writeTextFileSync(`${dir}/pids.max`, String(ROOT_PIDS));
  return dir;
}

/** v1 counts processes in a hierarchy of its own; `undefined` where that is not mounted. */
function pidsMount(): string | undefined {
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .find((line) => / - cgroup \S+ \S*\bpids\b/.test(line))?.split(" ")[4];
}

function namesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter((each) => each.isDirectory).map((each) => each.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
