/** Real memory cgroups below the cgroup of the tests, removed after use with everything in them. */

import { isThere } from "./is_there.ts";

export interface RealCgroup extends AsyncDisposable {
  readonly version: 1 | 2;
  /** As the kernel names it. */
  readonly path: string;
  readonly dir: string;
  read(file: string): string;
  write(file: string, text: string | number): void;
  /** v1 `memory.limit_in_bytes`, v2 `memory.max`. */
  limit(bytes: number): void;
  /** A child cgroup, removed together with this one. On v2 this one must not contain processes then. */
  child(name: string): RealCgroup;
}

interface Own {
  readonly version: 1 | 2;
  readonly path: string;
  readonly dir: string;
}

/** The cgroup of the tests, found without the code under test; or why it cannot be found. */
function findOwn(): Own | string {
  const lines = Deno.readTextFileSync("/proc/self/cgroup").split("\n");
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n");
  const v1 = mounts.find((line) => / - cgroup \S+ \S*\bmemory\b/.test(line));
  const v2 = mounts.find((line) => / - cgroup2 /.test(line));
  const mount = (v1 ?? v2)?.split(" ");
  if (mount === undefined) return "no cgroup file system is mounted";
  const own = v1
    ? lines.find((line) => /^\d+:(?:[^:]*,)?memory[,:]/.test(line))
    : lines.find((line) => line.startsWith("0::"));
  if (own === undefined || mount[3] !== "/") return "the own cgroup is not visible";
  const path = own.replace(/^\d+:[^:]*:/, "");
  return { version: v1 ? 1 : 2, path, dir: `${mount[4]}${path === "/" ? "" : path}` };
}

/** Why no memory cgroup can be created here; `undefined` when one can. */
export function whyNoRealCgroup(): string | undefined {
  if (Deno.build.os !== "linux") return "this is not Linux";
  const own = findOwn();
  if (typeof own === "string") return own;
  if (Deno.uid() !== 0) return "only root can create cgroups";
  if (own.version === 1) return undefined;
  const enabled = Deno.readTextFileSync(`${own.dir}/cgroup.subtree_control`).split(/\s+/);
  return enabled.includes("memory")
    ? undefined
    : "the memory controller is not enabled for children";
}

let made = 0;

/** @param name becomes part of `oomkit-test-NAME-PID-N`. */
export function makeRealCgroup(name: string): RealCgroup {
  const own = findOwn();
  if (typeof own === "string") throw new Error(`cannot create a cgroup: ${own}`);
  if (made === 0) removeAbandoned(own.dir);
  return make(own, `oomkit-test-${name}-${Deno.pid}-${++made}`);
}

/** Removes the empty cgroups of test runs that were killed. */
function removeAbandoned(parent: string): void {
  for (const name of directoriesIn(parent)) {
    const [, pid] = /^oomkit-test-.+-(\d+)-\d+$/.exec(name) ?? [];
    if (pid !== undefined && !isThere(`/proc/${pid}`)) removeIfEmpty(`${parent}/${name}`);
  }
}

function removeIfEmpty(dir: string): void {
  for (const name of directoriesIn(dir)) removeIfEmpty(`${dir}/${name}`);
  try {
    Deno.removeSync(dir);
  } catch {
    // It contains a process, or it is gone.
  }
}

function make(parent: Own, name: string): RealCgroup {
  const dir = `${parent.dir}/${name}`;
  const self = {
    version: parent.version,
    path: `${parent.path === "/" ? "" : parent.path}/${name}`,
    dir,
  };
  const write = (file: string, text: string | number) =>
    Deno.writeTextFileSync(`${dir}/${file}`, String(text), { create: false });
  Deno.mkdirSync(dir);
  return {
    ...self,
    write,
    read: (file) => Deno.readTextFileSync(`${dir}/${file}`),
    limit: (bytes) => write(self.version === 1 ? "memory.limit_in_bytes" : "memory.max", bytes),
    child(childName) {
      if (self.version === 2) write("cgroup.subtree_control", "+memory");
      return make(self, childName);
    },
    [Symbol.asyncDispose]: () => removeCgroup(dir),
  };
}

/** Kills everything in the subtree, waits for that, and removes it; harmless when it is gone. */
export async function removeCgroup(dir: string): Promise<void> {
  for (const name of directoriesIn(dir)) await removeCgroup(`${dir}/${name}`);
  const deadline = performance.now() + 120_000;
  for (;;) {
    try {
      for (const pid of Deno.readTextFileSync(`${dir}/cgroup.procs`).split("\n")) {
        if (Number(pid) > 0) killIfThere(Number(pid));
      }
      return Deno.removeSync(dir);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      // EBUSY until the last process is gone, of which nothing notifies.
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Sets an extended attribute: setxattr(2). */
export function setAttribute(path: string, name: string, value: string): void {
  const parameters = ["buffer", "buffer", "buffer", "usize", "i32"] as const;
  const libc = Deno.dlopen("libc.so.6", { setxattr: { parameters, result: "i32" } });
  const encoder = new TextEncoder();
  const text = encoder.encode(value);
  const result = libc.symbols.setxattr(
    encoder.encode(`${path}\0`),
    encoder.encode(`${name}\0`),
    text,
    BigInt(text.length),
    0,
  );
  libc.close();
  if (result !== 0) throw new Error(`cannot set ${name} of ${path}`);
}

function directoriesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter((e) => e.isDirectory).map((e) => e.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function killIfThere(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has exited since it was read.
  }
}
