/**
 * Programs that kill when the machine runs short of memory, against the same workloads in an emulated machine, which they fill:
 * `--runs 1 --only oomkit,earlyoom,leak --seconds 40` (after which a workload that still runs is ended). `--verbose` shows what
 * each program prints. One that is not there is left out. Swap and page cache need a disk at /disk.
 */

import { type Cgroup } from "../../core/cgroup/cgroup.ts";
import { readMachine } from "../../core/cgroup/machine.ts";
import { setOwnOomScoreAdj } from "../../core/control/oom_score_adj.ts";
import { Ticker } from "../../core/simulate/ticker.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { delay } from "../../core/timing.ts";
import { delegateMemory, makeChild } from "../cgroups.ts";
import { executable, succeed } from "../command.ts";
import { isThere } from "../files.ts";
import { Mistake, note } from "../terminal.ts";
import { createBenchCgroup, endChild, unlessInterrupted, within } from "./cleanup.ts";
import { cpuSeconds, exactResident } from "./costs.ts";
import {
  machineLines,
  type MachineOptions,
  type MachineRun,
  outcomeOf,
  parseMachineOptions,
  type Tool,
  type WorkloadName,
  WORKLOADS,
} from "./machine_results.ts";
import { type Places, startTool, whyNotCompared } from "./machine_tools.ts";
import { DISK, startLoad, type Waiting, workloads } from "./machine_workloads.ts";
import { figure, type Measured, mebibytes } from "./statistics.ts";

/** Only the emulated machine of scripts/guest has it. */
const MARK = "/guest/settings";
const SWAP_MIB = 400;
const SWAP_FILE = `${DISK}/swap`;
/** After the last exit: a second victim, and memory that is still being freed. */
const AFTERWARDS_MS = 1500;
const FULL_MS = 60_000;
/** Of a fork bomb that nothing has ended: hundreds of processes. */
const REMOVAL_MS = 120_000;
const NEVER_KILLED = -1000;

export async function machine(args: readonly string[]): Promise<Measured> {
  const options = parseMachineOptions(args);
  if (!isThere(MARK)) {
    throw new Mistake(
      "cannot fill this machine: bench:machine runs in an emulated one only, by scripts/guest",
    );
  }
  setOwnOomScoreAdj(NEVER_KILLED);
  const places = makePlaces(prepareDisk());
  const version = places.top.hierarchy.version.number;
  const runs: MachineRun[] = [];
  const tools = options.tools.filter((tool) => {
    const why = whyNotCompared(tool, version);
    if (why !== undefined) note(`machine: without ${tool}: ${why}`);
    return why === undefined;
  });
  // The tools in turn, so that other load on the host affects all alike.
  for (const workload of options.workloads) {
    for (let run = 0; run < options.runs; run++) {
      for (const tool of tools) {
        await unlessInterrupted();
        runs.push(await runOnce(tool, workload, { options, places }));
        note(`machine: ${tool}, ${WORKLOADS[workload]}: ${textOf(runs.at(-1)!)}`);
      }
    }
  }
  const { memory: { total = NaN }, kernel } = readMachine();
  return {
    tables: [],
    lines: [
      "",
      `cgroup v${version}, Linux ${kernel}, ${mebibytes(total)}, ${options.runs} runs of each`,
      ...machineLines(runs),
    ],
    isPart: true,
  };
}

const textOf = (run: MachineRun) =>
  `${outcomeOf(run)}; kernel ${run.kernelKills}, ended ${run.allocatorsKilled}, ${
    mebibytes(run.available)
  } available, pause ${figure(run.pauseMs)} ms, after ${figure(run.seconds ?? NaN)} s; the tool ${
    mebibytes(run.resident)
  }, ${figure(run.cpu)} %`;

/** As systemd has it: services below system.slice. */
function makePlaces(program: string): Places {
  const top = createBenchCgroup(Infinity);
  delegateMemory(top);
  const services = makeChild(top, "system.slice");
  delegateMemory(services);
  return { top, services, home: makeChild(top, "tool"), program };
}

/** Pages of a program on a disk can be reclaimed, unlike those in the first root. @returns the program of the guard and the ticker. */
function prepareDisk(): string {
  if (!isThere(DISK)) return executable;
  Deno.copyFileSync(executable, `${DISK}/oomkit`);
  return `${DISK}/oomkit`;
}

interface Setting {
  readonly options: MachineOptions;
  readonly places: Places;
}

async function runOnce(
  tool: Tool,
  name: WorkloadName,
  { options, places }: Setting,
): Promise<MachineRun> {
  const workload = workloads[name];
  const [innocents, allocators] = ["innocent.service", "allocator.service"]
    .map((each) => makeChild(places.services, each)) as [Cgroup, Cgroup];
  await using swap = workload.needsSwap ? await useSwap() : undefined;
  await workload.prepare?.();
  const ended = new Ended();
  let innocent: Waiting | undefined;
  let processes: readonly Waiting[] = [];
  try {
    await dropCaches();
    const free = available();
    innocent = await startLoad(innocents, { size: Math.floor(workload.innocent * free) });
    await innocent.begin();
    await within(FULL_MS, innocent.full);
    await using its = await startTool(tool, places, options.output);
    processes = workload.start(allocators, { available: available(), swap: swap?.bytes ?? 0 });
    await Promise.all(processes.map(({ child, said }) => (ended.follow(child), said?.())));
    const isInnocentAlive = isAlive(innocent.child);
    const [first, ...others] = processes;
    if (workload.fillsFirst) {
      await first?.begin();
      await within(FULL_MS, first!.full);
    }
    const kills = readMachine().oomKill ?? 0n;
    const pauses = await Ticker.start([places.program]);
    const cpu = its.pid === undefined || !its.isAlive() ? 0 : cpuSeconds(its.pid);
    const began = performance.now();
    for (const each of workload.fillsFirst ? others : processes) await each.begin();
    await within(1000 * options.seconds, ended.all(processes.length));
    await delay(AFTERWARDS_MS);
    const elapsed = (performance.now() - began) / 1000;
    const ticks = await pauses.stop();
    const costs = its.pid === undefined || !its.isAlive() ? undefined : {
      resident: exactResident(its.pid),
      cpu: 100 * (cpuSeconds(its.pid) - cpu) / elapsed,
    };
    return {
      tool,
      workload: name,
      kernelKills: Number((readMachine().oomKill ?? 0n) - kills),
      allocatorsKilled: ended.killed,
      isInnocentAlive: isInnocentAlive(),
      isToolAlive: its.isAlive(),
      available: ticks?.available_min ?? NaN,
      pauseMs: ticks?.longest_pause_ms ?? NaN,
      seconds: ended.firstAt && (ended.firstAt - began) / 1000,
      resident: costs?.resident ?? NaN,
      cpu: costs?.cpu ?? NaN,
    };
  } finally {
    for (const each of [innocent, ...processes]) if (each) endChild(each.child);
    await removeCgroup(allocators, REMOVAL_MS);
    await removeCgroup(innocents);
    await workload.cleanUp?.();
  }
}

/** The processes of a workload that have ended. */
class Ended {
  killed = 0;
  firstAt: number | undefined;
  #count = 0;
  #waiting: (() => void)[] = [];

  follow({ status }: Deno.ChildProcess): void {
    void status.then(({ signal }) => {
      if (signal !== null) {
        this.killed++;
        this.firstAt ??= performance.now();
      }
      this.#count++;
      for (const wake of this.#waiting) wake();
    });
  }

  all(count: number): Promise<void> {
    return new Promise((resolve) => {
      const check = () => this.#count >= count && resolve();
      this.#waiting.push(check);
      check();
    });
  }
}

function isAlive({ status }: Deno.ChildProcess): () => boolean {
  let alive = true;
  void status.then(() => alive = false);
  return () => alive;
}

const available = () => readMachine().memory.available ?? 0;

/** The page cache of one run must not be the memory of the next. */
async function dropCaches(): Promise<void> {
  await succeed("sync", []);
  Deno.writeTextFileSync("/proc/sys/vm/drop_caches", "3");
}

async function useSwap(): Promise<AsyncDisposable & { readonly bytes: number }> {
  if (!isThere(SWAP_FILE)) {
    await succeed("dd", ["if=/dev/zero", `of=${SWAP_FILE}`, "bs=1M", `count=${SWAP_MIB}`]);
    await succeed("mkswap", [SWAP_FILE]);
  }
  await succeed("swapon", [SWAP_FILE]);
  return {
    bytes: readMachine().memory.swapTotal ?? 0,
    [Symbol.asyncDispose]: () => succeed("swapoff", [SWAP_FILE]),
  };
}
