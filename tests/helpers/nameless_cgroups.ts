/** Cgroups with a path that is too long or a name that is not UTF-8, and their removal without naming them. */

import type { RealCgroup } from "./real_cgroup.ts";
import { until } from "./guarded.ts";

/** Enters each directory by its name alone, so that no path gets too long. */
const MAKE_DEEP = `
cd "$0" || exit 1
name=$(printf %0240d 0)
for _ in $(seq 20); do mkdir "$name" && cd -P "$name"; done
rmdir "$name"; mkdir "$name"`;

const EMPTY = `
remove() {
  cd -P "./$1" || return
  for each in */; do [ -d "./$each" ] && remove "$each"; done
  for pid in $(cat cgroup.procs); do kill -9 "$pid"; done
  cd -P .. && rmdir "./$1"
}
cd "$0" && for each in */; do remove "$each"; done`;

/** A name that is not UTF-8, for printf(1). */
const BYTES = "\\377\\233x";
const DECODED = "\udcff\udc9bx";

export interface Deep extends AsyncDisposable {
  /** A shell command that moves the shell into the innermost cgroup. */
  readonly enter: string;
}

/** Nests cgroups until the innermost have paths that are too long for the kernel. */
export function digDeep(cgroup: RealCgroup): Deep {
  shell(MAKE_DEEP, cgroup.dir);
  return {
    enter: `cd "${cgroup.dir}"; while cd -P ./0*; do :; done 2>/dev/null; echo 0 > cgroup.procs`,
    [Symbol.asyncDispose]: () => emptyOut(cgroup),
  };
}

export interface Nameless extends AsyncDisposable {
  /** As in events: `core/names.ts`. */
  readonly path: string;
  /** Its directory, for use between double quotes in a shell script. */
  readonly dir: string;
}

/** Makes a child cgroup with a name that is not UTF-8. */
export function makeNameless(cgroup: RealCgroup): Nameless {
  const dir = `${cgroup.dir}/$(printf '${BYTES}')`;
  shell(`mkdir "${dir}"`);
  return { dir, path: `${cgroup.path}/${DECODED}`, [Symbol.asyncDispose]: () => emptyOut(cgroup) };
}

/** Kills and removes everything below the cgroup. */
async function emptyOut({ dir }: RealCgroup): Promise<void> {
  await until(`nothing is left below ${dir}`, () => {
    shell(EMPTY, dir);
    // On kernfs its own two names and one for each directory in it.
    return Deno.statSync(dir).nlink === 2;
  });
}

function shell(script: string, ...args: string[]): void {
  // The shell complains about a directory with a path that it cannot name.
  new Deno.Command("sh", { args: ["-c", script, ...args], stderr: "null" }).outputSync();
}
