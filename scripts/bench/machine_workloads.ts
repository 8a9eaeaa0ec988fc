/** What fills the machine in `bench:machine`, beside an innocent process. */

import { fileURLToPath } from "node:url";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { MIB } from "../cgroups.ts";
import { succeed } from "../command.ts";
import { startChild } from "./cleanup.ts";
import type { Load } from "./machine_load.ts";
import type { WorkloadName } from "./machine_results.ts";

/** A process that waits for its beginning, in a cgroup. */
export interface Waiting {
  readonly child: Deno.ChildProcess;
  begin(): Promise<void>;
  /** All of its memory is in use, or the process has ended. */
  readonly full: Promise<void>;
  /** Its first line, where it prints that it is ready. */
  readonly said?: () => Promise<unknown>;
}

export interface Filled {
  /** Free memory and swap, bytes. */
  readonly available: number;
  readonly swap: number;
}

export interface Workload {
  /** Bytes of the innocent process, of what is available. */
  readonly innocent: number;
  readonly needsSwap?: true;
  /** The first process holds its memory before the others begin. */
  readonly fillsFirst?: true;
  /** The processes; they wait. */
  start(cgroup: Cgroup, machine: Filled): readonly Waiting[];
  /** Files to have before. */
  prepare?(): Promise<void>;
  cleanUp?(): Promise<void>;
}

/** Enters the cgroup with the usual priority for the OOM killer. */
const ENTER = 'echo 0 >"$PROCS"; echo "$ADJ" >/proc/self/oom_score_adj; exec "$@"';

export const within = (cgroup: Cgroup, words: readonly string[], adj = 0) => ({
  words: ["sh", "-c", ENTER, "sh", ...words],
  env: { PROCS: `${cgroup.dir}/cgroup.procs`, ADJ: String(adj) },
});

const LOAD = fileURLToPath(new URL("./machine_load.ts", import.meta.url));
const DENO = [Deno.execPath(), "run", "-A", "--quiet", "--no-check", "--no-config", "--no-lock"];

export const loadWords = (load: Load): string[] => [...DENO, LOAD, JSON.stringify(load)];

/** Returns when it waits. */
export async function startLoad(cgroup: Cgroup, load: Load): Promise<Waiting> {
  const waiting = startWaiting(cgroup, loadWords(load));
  await waiting.said?.();
  return waiting;
}

/** @param isLoad prints that it is ready. */
function startWaiting(cgroup: Cgroup, words: readonly string[], isLoad = true): Waiting {
  const { words: command, env } = within(cgroup, words);
  const child = startChild(command, { stdin: "piped", stdout: "piped", stderr: "inherit", env });
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  const { promise: full, resolve } = Promise.withResolvers<void>();
  return {
    child,
    full,
    ...isLoad && { said: () => reader.read() },
    async begin() {
      await writer.write(new TextEncoder().encode("go\n")).catch(() => {});
      void reader.read().catch(() => {}).then(() => resolve());
    },
  };
}

/** A shell script that waits for a line first. */
const shell = (cgroup: Cgroup, script: string) =>
  startWaiting(cgroup, ["sh", "-c", `read line; ${script}`], false);

/** Each child fills a buffer of its block size, and then waits for a reader. */
const BOMB = "while :; do dd if=/dev/zero bs=16M 2>/dev/null | sleep 1000 & done";

export const DISK = "/disk";
const CACHED_FILE = `${DISK}/cached`;
const CACHED_SHARE = 0.55;
const TMPFS = "/tmp/oomkit-bench-tmpfs";
const SMALL = 0.08;

const LOADS: Readonly<Record<Exclude<WorkloadName, "bomb" | "cache" | "tmpfs">, Loads>> = {
  fast: ({ available }) => [{ size: 2 * available }],
  leak: ({ available }) => [
    { size: 2 * available, slow: { rate: 16 * MIB, from: 0.75 * available } },
  ],
  four: ({ available }) => Array.from({ length: 4 }, () => ({ size: 2 * available })),
  swap: ({ available, swap }) => [
    { size: available + 0.3 * swap, cycleTo: 2 * (available + swap) },
  ],
  big: ({ available }) => [{ size: 2 * available }],
};

type Loads = (machine: Filled) => readonly Load[];

const ofLoads = (loads: Loads, its: Omit<Workload, "start">): Workload => ({
  ...its,
  start: (cgroup, machine) => loads(machine).map((load) => startWaiting(cgroup, loadWords(load))),
});

export const workloads: Readonly<Record<WorkloadName, Workload>> = {
  fast: ofLoads(LOADS.fast, { innocent: SMALL }),
  leak: ofLoads(LOADS.leak, { innocent: SMALL }),
  four: ofLoads(LOADS.four, { innocent: SMALL }),
  swap: ofLoads(LOADS.swap, { innocent: SMALL, needsSwap: true }),
  big: ofLoads(LOADS.big, { innocent: 0.55 }),
  bomb: { innocent: SMALL, start: (cgroup) => [shell(cgroup, BOMB)] },
  cache: {
    innocent: SMALL,
    fillsFirst: true,
    start: (cgroup, { available }) => [
      startWaiting(cgroup, loadWords({ size: (1.1 - CACHED_SHARE) * available })),
      shell(
        cgroup,
        `while :; do head -c ${
          Math.floor(CACHED_SHARE * available)
        } ${CACHED_FILE} >/dev/null; done`,
      ),
    ],
    async prepare() {
      await succeed("dd", ["if=/dev/zero", `of=${CACHED_FILE}`, "bs=1M", "count=800"]);
      await succeed("sync", []);
    },
    cleanUp: () => Promise.resolve(Deno.removeSync(CACHED_FILE)),
  },
  tmpfs: {
    innocent: SMALL,
    // Not all of memory: with nothing left to kill the kernel panics ("System is deadlocked on memory").
    start: (cgroup, { available }) => [
      shell(
        cgroup,
        `mount -o remount,size=${available} ${TMPFS}; exec dd if=/dev/zero of=${TMPFS}/file bs=1M`,
      ),
    ],
    async prepare() {
      Deno.mkdirSync(TMPFS, { recursive: true });
      await succeed("mount", ["-t", "tmpfs", "-o", "size=1M", "tmpfs", TMPFS]);
    },
    cleanUp: () => succeed("umount", ["-l", TMPFS]),
  },
};
