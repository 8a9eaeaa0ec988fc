/** The cgroups of a soak: one of its own, limited, with the guarded and the unguarded ones below it. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { tryListDirectories } from "../../core/cgroup/files.ts";
import { parentPath } from "../../core/cgroup_path.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { makeChild, MIB, removeAbandoned, scriptParent } from "../cgroups.ts";
import { isThere } from "../files.ts";

/** Limits of the whole soak: bytes, and processes. */
export const ROOT_LIMIT = 1536 * MIB;
const ROOT_PIDS = 400;
const PREFIX = "oomkit-soak-";

export class Tree {
  readonly version: 1 | 2;
  readonly path: string;
  /** Another cgroup.procs that a process enters, for the limit on processes (v1). */
  readonly alsoEnter: string | undefined;
  readonly #own: Cgroup;
  readonly #pids: string | undefined;

  constructor(parent: Cgroup) {
    const name = `${PREFIX}${Deno.pid}`;
    this.#own = makeChild(parent, name, ROOT_LIMIT);
    this.version = parent.hierarchy.version.number;
    this.path = this.#own.path;
    const mount = this.version === 1 ? pidsMount() : undefined;
    this.#pids = mount && `${mount}/${name}`;
    if (this.#pids === undefined) this.write(this.path, "pids.max", String(ROOT_PIDS));
    else {
      Deno.mkdirSync(this.#pids);
      Deno.writeTextFileSync(`${this.#pids}/pids.max`, String(ROOT_PIDS));
      this.alsoEnter = `${this.#pids}/cgroup.procs`;
    }
  }

  /** @param path of the soak's own cgroup, or below it. */
  dirOf(path: string): string {
    return this.#own.dir + path.slice(this.path.length);
  }

  /** Creates a cgroup. A cgroup with children holds no processes here, on v1 and v2. */
  make(path: string): void {
    Deno.mkdirSync(this.dirOf(path));
    if (this.version === 2) this.write(parentPath(path), "cgroup.subtree_control", "+memory");
  }

  /** False when it is busy. */
  removeEmpty(path: string): boolean {
    try {
      Deno.removeSync(this.dirOf(path));
      return true;
    } catch (error) {
      return error instanceof Deno.errors.NotFound;
    }
  }

  read(path: string, file: string): string {
    return Deno.readTextFileSync(`${this.dirOf(path)}/${file}`);
  }

  /** False when the kernel refuses. */
  write(path: string, file: string, text: string): boolean {
    try {
      Deno.writeTextFileSync(`${this.dirOf(path)}/${file}`, text, { create: false });
      return true;
    } catch {
      return false;
    }
  }

  /** v1 `memory.limit_in_bytes`, v2 `memory.max`; `undefined`: none. */
  setLimit(path: string, bytes: number | undefined): boolean {
    const none = this.version === 1 ? "-1" : "max";
    return this.write(path, this.#own.hierarchy.version.limitFile, String(bytes ?? none));
  }

  /** True when a guard's change is in place. */
  isChanged(path: string): boolean {
    return this.version === 1
      ? /^oom_kill_disable 1$/m.test(this.read(path, "memory.oom_control"))
      : this.read(path, "memory.high").trim() !== "max";
  }

  /** The given cgroup and all below it, deepest first. */
  all(path: string): string[] {
    const names = tryListDirectories(this.dirOf(path)) ?? [];
    return [...names.flatMap((name) => this.all(`${path}/${name}`)), path];
  }

  /** Kills everything in it and removes it. */
  async removeAll(): Promise<void> {
    await removeCgroup(this.#own);
    if (this.#pids !== undefined) Deno.removeSync(this.#pids);
  }
}

/** Removes what a killed soak has left first. */
export async function makeTree(): Promise<Tree> {
  const parent = scriptParent();
  const pids = pidsMount();
  for (const name of await removeAbandoned(parent, PREFIX)) {
    if (pids !== undefined && isThere(`${pids}/${name}`)) Deno.removeSync(`${pids}/${name}`);
  }
  return new Tree(parent);
}

/** v1 counts processes in a hierarchy of its own; `undefined` where that is not mounted. */
function pidsMount(): string | undefined {
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .find((line) => / - cgroup \S+ \S*\bpids\b/.test(line))?.split(" ")[4];
}
