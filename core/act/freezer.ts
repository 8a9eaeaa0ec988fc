/** Stopping everything in a cgroup at once: kernel, cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst, cgroup.freeze. */

import { type Cgroup, tryReadControl, walk } from "../cgroup/cgroup.ts";
import { exists, tryReadText } from "../cgroup/files.ts";
import { parseMountinfo } from "../parse/mountinfo.ts";
import { parseProcCgroup } from "../parse/proc_cgroup.ts";

export interface Freezer {
  /** The control file. */
  readonly file: string;
  readonly frozen: string;
  readonly thawed: string;
}

/**
 * What stops everything in `cgroup`, and nothing else. On v1 that is a cgroup of another hierarchy, which takes part only
 * when all that it holds is in `cgroup` as well; `undefined` when there is none.
 */
export function freezerOf(cgroup: Cgroup): Freezer | undefined {
  if (cgroup.hierarchy.version.number === 2) {
    const file = `${cgroup.dir}/cgroup.freeze`;
    return exists(file) ? { file, frozen: "1", thawed: "0" } : undefined;
  }
  const inside = new Set(
    [...walk(cgroup)].flatMap((each) => pids(tryReadControl(each, "cgroup.procs"))),
  );
  const [first] = inside;
  if (first === undefined) return undefined;
  const dir = freezerDirectory(first);
  const stopped = dir === undefined ? [] : pids(tryReadText(`${dir}/cgroup.procs`));
  if (stopped.length === 0 || stopped.some((pid) => !inside.has(pid))) return undefined;
  return { file: `${dir}/freezer.state`, frozen: "FROZEN", thawed: "THAWED" };
}

function freezerDirectory(pid: string): string | undefined {
  const mount = parseMountinfo(tryReadText("/proc/self/mountinfo") ?? "")
    .find(({ fsType, superOptions }) => fsType === "cgroup" && superOptions.includes("freezer"));
  const line = parseProcCgroup(tryReadText(`/proc/${pid}/cgroup`) ?? "")
    .find(({ controllers }) => controllers.includes("freezer"));
  // The root freezes nobody.
  if (mount?.root !== "/" || line === undefined || line.path === "/") return undefined;
  return `${mount.mountPoint}${line.path}`;
}

const pids = (text: string | undefined) => (text ?? "").split("\n").filter((pid) => pid !== "");
