/** Runs workloads, each in a cgroup of its own, in turn without a guard and below one. */

import { fileURLToPath } from "node:url";
import { type Cgroup, isThere, readPeak } from "../../core/cgroup/cgroup.ts";
import { tryReadText } from "../../core/cgroup/files.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { O_RDWR, openFd } from "../../core/kernel/fd.ts";
import { libc } from "../../core/kernel/libc.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { delay, withDeadline } from "../../core/timing.ts";
import {
  delegateMemory,
  forbidSwap,
  makeChild,
  MIB,
  removeAbandoned,
  scriptParent,
  setLimit,
} from "../cgroups.ts";
import { isThere as isFileThere } from "../files.ts";
import { endProgram, type Program, type ReportedEvent, startProgram } from "../soak/program.ts";
import { Mistake, note } from "../terminal.ts";
import type { Result, Run } from "./results.ts";
import { PRELUDE, type Workload } from "./workloads.ts";

const PREFIX = "oomkit-harmless-";
/** The longest takes 10 s in an emulated machine. */
const MAX_RUN_MS = 90_000;
const MAX_MS_TO_ARM = 60_000;
/** Ends the guard when this program is killed. */
const LONGEST = "2h";

const SYS_FADVISE64 = Deno.build.arch === "x86_64" ? 221n : 223n;
const POSIX_FADV_DONTNEED = 4n;

const isBundled = import.meta.url.endsWith(".js");
const memoryProgram = fileURLToPath(
  new URL(isBundled ? "../memory/memory_program.js" : "./memory_program.ts", import.meta.url),
);

interface Machine {
  readonly version: 1 | 2;
  readonly hasSwap: boolean;
  /** v1 counts memory and swap together. */
  readonly limitsSwap: boolean;
}

export function machineOf({ dir, hierarchy }: Cgroup): Machine {
  const { number } = hierarchy.version;
  const file = number === 1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max";
  return {
    version: number,
    hasSwap: (tryReadText("/proc/swaps") ?? "").trim().split("\n").length > 1,
    limitsSwap: isFileThere(`${dir}/${file}`),
  };
}

/** Why a workload cannot run here; `undefined` when it can. */
export function obstacleTo({ only, swap }: Workload, machine: Machine): string | undefined {
  if (only !== undefined && only !== machine.version) return `only on v${only}`;
  if (swap === undefined) return undefined;
  if (!machine.hasSwap) return "this machine has no swap";
  if (swap !== "free" && !machine.limitsSwap) return "this kernel does not limit swap";
  return undefined;
}

export class Harmless implements AsyncDisposable {
  readonly machine: Machine;
  readonly #top: Cgroup;
  readonly #alone: Cgroup;
  readonly #guarded: Cgroup;
  readonly #directory: string;
  readonly #memory: string;
  readonly #guard: Program;
  /** Why the guard cannot be relied on, once that is so. */
  #broken: string | undefined;
  #count = 0;

  private constructor(top: Cgroup, executable: string, recording: string | undefined) {
    this.#top = top;
    delegateMemory(top);
    [this.#alone, this.#guarded] = ["alone", "guarded"].map((name) => {
      const made = makeChild(top, name);
      delegateMemory(made);
      return made;
    }) as [Cgroup, Cgroup];
    this.machine = machineOf(this.#guarded);
    this.#directory = Deno.makeTempDirSync({ prefix: PREFIX });
    this.#memory = Deno.makeTempDirSync({ prefix: PREFIX, dir: "/dev/shm" });
    const words = ["--json", "-r", this.#guarded.path, "--policy", "process", "--for", LONGEST];
    if (recording !== undefined) words.push("--record", recording);
    const env = { OOMKIT_STATE_DIR: `${this.#directory}/state` };
    Deno.mkdirSync(env.OOMKIT_STATE_DIR, { mode: 0o700 });
    this.#guard = startProgram("guard", executable, words, env, {
      line() {},
      stderrLine: (_, line) => note(`guard: ${line}`),
      broken: (_, line) => void (this.#broken = `it prints ${line}`),
    });
  }

  /** Resolves when the guard guards. */
  static async start(executable: string, recording?: string): Promise<Harmless> {
    const parent = scriptParent();
    await removeAbandoned(parent, PREFIX);
    const made = new Harmless(makeChild(parent, `${PREFIX}${Deno.pid}`), executable, recording);
    if (await made.#guard.ready) return made;
    await made[Symbol.asyncDispose]();
    throw new Mistake("the guard did not start");
  }

  /** @param progress called before each run. */
  async measure(workload: Workload, runs: number, progress: () => void): Promise<Pending> {
    const alone: Outcome[] = [];
    const guarded: Outcome[] = [];
    for (let run = 0; run < runs; run++) {
      progress();
      alone.push(await this.#runOnce(workload, this.#alone));
      guarded.push(await this.#runOnce(workload, this.#guarded));
    }
    return { workload, alone, guarded };
  }

  /** Ends the guard, so that it has reported everything. */
  async results(pending: readonly Pending[]): Promise<Result[]> {
    if (this.#guard.ended) this.#broken = `it exited with ${this.#guard.ended.code}`;
    else await endProgram(this.#guard, "SIGTERM");
    if (this.#broken) throw new Mistake(`the guard failed: ${this.#broken}`);
    const runOf = ({ path, ...rest }: Outcome): Run => {
      const events = this.#guard.events.filter((event: ReportedEvent) =>
        event.cgroup === path || event.cgroup?.startsWith(`${path}/`)
      );
      return {
        ...rest,
        guardKills: events.filter(isKill).length,
        skipped: events.filter(({ type }) => type === "action_skipped").length,
      };
    };
    return pending.map(({ workload, alone, guarded }) => ({
      workload,
      alone: alone.map(runOf),
      guarded: guarded.map(runOf),
    }));
  }

  /** The events of the guard that the run of a workload has caused. */
  eventsOf(workload: Workload): readonly ReportedEvent[] {
    const name = new RegExp(`/${workload.name}-\\d+(/|$)`);
    return this.#guard.events.filter((event: ReportedEvent) => name.test(event.cgroup ?? ""));
  }

  async #runOnce(workload: Workload, parent: Cgroup): Promise<Outcome> {
    const cgroup = makeChild(parent, `${workload.name}-${this.#count++}`);
    const directories = [this.#directory, this.#memory].map((dir) => Deno.makeTempDirSync({ dir }));
    try {
      configure(cgroup, workload);
      const cold = `${directories[0]}/cold`;
      if (workload.cold !== undefined) await makeCold(cold, workload);
      if (parent === this.#guarded) await this.#armed(cgroup);
      const started = performance.now();
      const code = await runScript(workload.script, {
        CG: cgroup.dir,
        USAGE: cgroup.hierarchy.version.usageFile,
        LIMIT: cgroup.hierarchy.version.limitFile,
        DIR: directories[0]!,
        SHM: directories[1]!,
        COLD: cold,
        DENO: Deno.execPath(),
        MEMORY: memoryProgram,
      });
      const ms = performance.now() - started;
      const kernelKills = kernelKillsIn(cgroup, Object.keys(workload.children ?? {}));
      return { path: cgroup.path, code, kernelKills, peak: readPeak(cgroup), ms };
    } finally {
      await removeCgroup(cgroup);
      for (const directory of directories) Deno.removeSync(directory, { recursive: true });
    }
  }

  async #armed({ path }: Cgroup): Promise<void> {
    const isArmed = (event: OomkitEvent) => event.type === "guard_armed" && event.cgroup === path;
    for (const end = performance.now() + MAX_MS_TO_ARM; !this.#guard.events.some(isArmed);) {
      if (performance.now() > end) throw new Mistake(`${path} is not guarded`);
      await delay(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#guard.ended) await endProgram(this.#guard, "SIGTERM");
    if (isThere(this.#top)) await removeCgroup(this.#top);
    for (const directory of [this.#directory, this.#memory]) {
      Deno.removeSync(directory, { recursive: true });
    }
  }
}

type Outcome = Omit<Run, "guardKills" | "skipped"> & { readonly path: string };

/** Runs without what the guard reports of them. */
export interface Pending {
  readonly workload: Workload;
  readonly alone: readonly Outcome[];
  readonly guarded: readonly Outcome[];
}

const isKill = (event: ReportedEvent): boolean =>
  event.type === "action" && (event.action === "process" || event.action === "container");

function configure(cgroup: Cgroup, { limit, swap, files = {}, children = {} }: Workload): void {
  setLimit(cgroup, limit * MIB);
  if (swap === undefined) forbidSwap(cgroup);
  else if (swap !== "free") limitSwap(cgroup, limit, swap);
  writeFiles(cgroup, files);
  if (Object.keys(children).length > 0) delegateMemory(cgroup);
  for (const [name, childFiles] of Object.entries(children)) {
    writeFiles(makeChild(cgroup, name), childFiles);
  }
}

function limitSwap({ dir, hierarchy }: Cgroup, limit: number, swap: number): void {
  const [file, mib] = hierarchy.version.number === 1
    ? ["memory.memsw.limit_in_bytes", limit + swap] as const
    : ["memory.swap.max", swap] as const;
  Deno.writeTextFileSync(`${dir}/${file}`, `${mib}M`);
}

function writeFiles({ dir }: Cgroup, files: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(files)) Deno.writeTextFileSync(`${dir}/${file}`, text);
}

/** v1 counts a kill in the cgroup of the process only, v2 also above. */
function kernelKillsIn(cgroup: Cgroup, children: readonly string[]): number {
  const file = cgroup.hierarchy.version.number === 1 ? "memory.oom_control" : "memory.events";
  const killsOf = (dir: string) =>
    Number(/^oom_kill (\d+)$/m.exec(tryReadText(`${dir}/${file}`) ?? "")?.[1] ?? 0);
  const own = killsOf(cgroup.dir);
  if (cgroup.hierarchy.version.number === 2) return own;
  return children.reduce((sum, name) => sum + killsOf(`${cgroup.dir}/${name}`), own);
}

/** Files on disk that are not in page cache. */
async function makeCold(path: string, { cold = 0, moreCold = 0 }: Workload): Promise<void> {
  const chunk = new Uint8Array(MIB).fill(1);
  for (let n = 0; n <= moreCold; n++) {
    using file = await Deno.open(n === 0 ? path : `${path}.${n}`, { write: true, create: true });
    for (let at = 0; at < cold; at++) file.writeSync(chunk);
    file.syncDataSync();
  }
  for (let n = 0; n <= moreCold; n++) {
    using fd = openFd(n === 0 ? path : `${path}.${n}`, O_RDWR);
    libc().syscall(SYS_FADVISE64, BigInt(fd.number), 0n, 0n, POSIX_FADV_DONTNEED);
  }
}

/** @returns its exit code; 124 when it took too long. */
async function runScript(script: string, env: Readonly<Record<string, string>>): Promise<number> {
  const child = new Deno.Command("sh", {
    args: ["-c", `${PRELUDE}${script}`],
    env: { ...env },
    stdin: "null",
    stdout: "null",
    stderr: Deno.env.has("HARMLESS_STDERR") ? "inherit" : "null",
  }).spawn();
  return await withDeadline(MAX_RUN_MS, child.status.then(({ code }) => code), () => {
    child.kill("SIGKILL");
    return 124;
  });
}
