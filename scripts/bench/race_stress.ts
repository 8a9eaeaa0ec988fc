/** Load during a race, made by shells that exit by themselves when this program is gone. */

import { type Cgroup, openCgroup } from "../../core/cgroup/cgroup.ts";
import { tryReadText } from "../../core/cgroup/files.ts";
import { join } from "../../core/cgroup/hierarchy.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { Mistake } from "../terminal.ts";
import { type Condition, MIB } from "./race_cells.ts";
import { endChild, pause, startChild } from "./race_children.ts";
import type { RaceGuard } from "./race_guard.ts";

const OTHERS = 50;
const OTHER_LIMIT = 16 * MIB;
/** Above the first level, so that they occupy the guard, and below the others in every mode. */
const OTHER_MIB = 11;
const GUARDED_WITHIN_MS = 60_000;
/** Until the load runs (milliseconds). */
const SETTLE_MS = 500;

const SPIN = "while kill -0 $0; do i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done; done";
/** dd fills a buffer of its block size. The pause leaves the machine half idle: a busy machine is another condition. */
const CYCLE = `echo 0 >"$DIR/cgroup.procs" && while kill -0 $0; do
  dd if=/dev/zero of=/dev/null bs=${OTHER_MIB}M count=1; sleep $PAUSE; done`;

export function isEmulated(): boolean {
  return /^model name\s*:.*QEMU/m.test(tryReadText("/proc/cpuinfo") ?? "");
}

export async function stress(
  condition: Condition,
  cores: number,
  parent: Cgroup,
  guard: RaceGuard | undefined,
): Promise<AsyncDisposable> {
  if (condition === "busy") return await spin(2 * cores);
  if (condition === "fifty") return await cycle(parent, guard);
  return { [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function spin(count: number): Promise<AsyncDisposable> {
  const children = Array.from({ length: count }, () => shell(SPIN, {}));
  await pause(SETTLE_MS);
  return {
    async [Symbol.asyncDispose]() {
      for (const child of children) endChild(child);
      await Promise.all(children.map(({ status }) => status));
    },
  };
}

async function cycle(parent: Cgroup, guard: RaceGuard | undefined): Promise<AsyncDisposable> {
  const { hierarchy } = parent;
  const cgroups = Array.from({ length: OTHERS }, (_, n) => {
    const path = join(parent.path, `other${n}`);
    Deno.mkdirSync(`${parent.dir}/other${n}`);
    const cgroup = openCgroup(hierarchy, path)!;
    Deno.writeTextFileSync(`${cgroup.dir}/${hierarchy.version.limitFile}`, String(OTHER_LIMIT));
    return cgroup;
  });
  for (const { path } of cgroups) {
    if (guard && !await guard.find("guard_armed", path, GUARDED_WITHIN_MS)) {
      throw new Mistake(`cannot race: ${path} is not guarded`);
    }
  }
  const children = cgroups.map(({ dir }) =>
    shell(CYCLE, { DIR: dir, PAUSE: isEmulated() ? "20" : "1" })
  );
  await pause(SETTLE_MS);
  return {
    async [Symbol.asyncDispose]() {
      for (const child of children) endChild(child);
      // The shell's children are killed with their cgroup.
      for (const cgroup of cgroups) await removeCgroup(cgroup);
      await Promise.all(children.map(({ status }) => status));
    },
  };
}

function shell(script: string, env: Record<string, string>): Deno.ChildProcess {
  return startChild(["sh", "-c", script, String(Deno.pid)], {
    stdin: "null",
    stdout: "null",
    stderr: "null",
    env,
  });
}
