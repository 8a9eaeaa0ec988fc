/** What a benchmark makes: cgroups, directories and child processes. All go on every way out; those of a killed run with the next one. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { withDeadline } from "../../core/timing.ts";
import {
  delegateMemory,
  isAbandoned,
  makeChild,
  MIB,
  removeAbandoned,
  scriptParent,
} from "../cgroups.ts";
import { isThere } from "../files.ts";
import { endingSignals, progress } from "../terminal.ts";

const PREFIX = "oomkit-bench-";

/** Prefix of the names of directories. */
export const directoryPrefix = `${PREFIX}${Deno.pid}-`;

/** @param limit bytes; `Infinity`: none. */
export function createBenchCgroup(limit = 256 * MIB): Cgroup {
  return makeChild(scriptParent(), `${PREFIX}${Deno.pid}`, limit);
}

/** `count` cgroups below `parent`, all with the memory controller. @param from the number of the first. */
export function makeChildren(parent: Cgroup, count: number, limit?: number, from = 0): Cgroup[] {
  delegateMemory(parent);
  return Array.from({ length: count }, (_, n) => makeChild(parent, `n${from + n}`, limit));
}

/** In memory: writeback to a disk would disturb the measurement. */
const SHARED_MEMORY = "/dev/shm";

export function makeBenchDirectory(inMemory = false): string {
  const dir = inMemory && isThere(SHARED_MEMORY) ? { dir: SHARED_MEMORY } : {};
  return Deno.makeTempDirSync({ prefix: directoryPrefix, ...dir });
}

/** This run's directories, and those of earlier runs that were killed. */
export function removeBenchDirectories(): void {
  const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
  for (const parent of new Set([SHARED_MEMORY, temporary]).values().filter(isThere)) {
    for (const { name } of [...Deno.readDirSync(parent)]) {
      const pid = /^oomkit-bench-(\d+)-/.exec(name)?.[1];
      if (pid && isAbandoned(pid)) Deno.removeSync(`${parent}/${name}`, { recursive: true });
    }
  }
}

const running = new Map<Deno.ChildProcess, Deno.Signal>();

/** @param ending the signal that ends the child when the benchmark ends. */
export function startChild(
  [program, ...args]: readonly string[],
  options: Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr" | "env">,
  ending: Deno.Signal = "SIGKILL",
): Deno.ChildProcess {
  const child = new Deno.Command(program!, { args, ...options }).spawn();
  running.set(child, ending);
  void child.status.then(() => running.delete(child));
  return child;
}

export function endChild(child: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): void {
  try {
    child.kill(signal);
  } catch {
    // It has exited by itself.
  }
}

/** False on a timeout. */
export const within = (ms: number, done: Promise<unknown>): Promise<boolean> =>
  withDeadline(ms, done.then(() => true), () => false);

const removals: (() => Promise<void>)[] = [];

/** For cgroups of another hierarchy. */
export function removeAtEnd(remove: () => Promise<void>): void {
  removals.push(remove);
}

/** All child processes must exit, or the cgroups could not be removed. */
export async function cleanUp(): Promise<void> {
  for (const [child, signal] of running) endChild(child, signal);
  await removeAbandoned(scriptParent(), PREFIX);
  for (const remove of removals.splice(0)) await remove();
  removeBenchDirectories();
}

let isInterrupted = false;

export function cleanUpOnSignal(): void {
  for (const signal of endingSignals) {
    Deno.addSignalListener(signal, () => {
      isInterrupted = true;
      progress.end();
      void cleanUp().finally(() => Deno.exit(130));
    });
  }
}

/** Never resolves after a signal: a measurement fails when its cgroups go, and the clean-up ends the process. */
export async function unlessInterrupted(): Promise<void> {
  if (isInterrupted) await new Promise(() => {});
}
