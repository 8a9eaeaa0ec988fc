/** Cgroups that no path or no text can name, and their removal, which must not name them either. */

import type { RealCgroup } from "./real_cgroup.ts";
import { until } from "./guarded.ts";

/** Each directory is entered by its name alone, so that no path has to be as long as the whole. */
const DIG = `
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

/** A name that is no UTF-8, for printf(1). */
const BYTES = "\\377\\233x";
const AS_TOLD = "\udcff\udc9bx";

export interface Deep extends AsyncDisposable {
  /** Takes a shell into the innermost. */
  readonly enter: string;
}

/** Makes cgroups in one another, of which the innermost have no path that the kernel would take. */
export function digDeep(cgroup: RealCgroup): Deep {
  shell(DIG, cgroup.dir);
  return {
    enter: `cd "${cgroup.dir}"; while cd -P ./0*; do :; done 2>/dev/null; echo 0 > cgroup.procs`,
    [Symbol.asyncDispose]: () => emptyOut(cgroup),
  };
}

export interface Nameless extends AsyncDisposable {
  /** As events tell of it: `core/names.ts`. */
  readonly path: string;
  /** Its directory, as it can stand between double quotes in a shell's script. */
  readonly dir: string;
}

/** Makes a cgroup in another whose name is no UTF-8. */
export function makeNameless(cgroup: RealCgroup): Nameless {
  const dir = `${cgroup.dir}/$(printf '${BYTES}')`;
  shell(`mkdir "${dir}"`);
  return { dir, path: `${cgroup.path}/${AS_TOLD}`, [Symbol.asyncDispose]: () => emptyOut(cgroup) };
}

/** Ends and removes what is beneath. */
async function emptyOut({ dir }: RealCgroup): Promise<void> {
  await until(`nothing is left beneath ${dir}`, () => {
    shell(EMPTY, dir);
    // On kernfs its own two names and one for each directory in it.
    return Deno.statSync(dir).nlink === 2;
  });
}

function shell(script: string, ...args: string[]): void {
  // What the shell says of a directory whose path it cannot tell is of no interest.
  new Deno.Command("sh", { args: ["-c", script, ...args], stderr: "null" }).outputSync();
}
