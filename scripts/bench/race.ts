/**
 * `oomkit guard` against the kernel's OOM killer: each run fills a new cgroup and counts which of the two kills first.
 *
 * The filler logs the crossing of the level and the last page; it reads usage after each 32 KiB. On v1 usage
 * includes the charge that each CPU has taken in advance, up to 64 pages, so that the crossing is seen too early: the
 * time to the last page is an upper bound. Memory is free when usage is below half of the limit, with a guard and without.
 */

import { type Cgroup, openCgroup } from "../../core/cgroup/cgroup.ts";
import { tryReadText } from "../../core/cgroup/files.ts";
import { join } from "../../core/cgroup/hierarchy.ts";
import { openEpoll } from "../../core/kernel/epoll.ts";
import { setSchedFifo } from "../../core/kernel/scheduling.ts";
import { progress } from "../progress.ts";
import { Mistake, note } from "../terminal.ts";
import { createBenchCgroup } from "./cgroups.ts";
import { folderPrefix } from "./folders.ts";
import {
  type Cell,
  cellName,
  cellsOf,
  hasKernelRuns,
  MIB,
  parseRaceOptions,
} from "./race_cells.ts";
import { endChildren } from "./race_children.ts";
import { STEP } from "./race_filler.ts";
import { type RaceGuard, startRaceGuard } from "./race_guard.ts";
import { mapLog } from "./race_memory.ts";
import { race as raceOnce, type Run, type SimulationTarget } from "./race_run.ts";
import { isEmulated, stress } from "./race_stress.ts";
import { hasWon, type Raced, raceLines, raceTables, targetLines } from "./race_table.ts";
import type { Measured } from "./statistics.ts";

const MAX_FILLERS = 4;
const LARGEST = 1.5 * 512 * MIB;
/** A lost run lasts until a deadline: this many in one cell are enough. */
const MAX_STUCK = 3;

export async function race(args: readonly string[]): Promise<Measured> {
  const options = parseRaceOptions(args);
  const bench = createBenchCgroup();
  const { number: version, limitFile } = bench.hierarchy.version;
  const cells = cellsOf(version, options).filter(isPossible);
  if (cells.length === 0) throw new Mistake("cannot race: nothing has all of these words");
  Deno.writeTextFileSync(`${bench.dir}/${limitFile}`, version === 1 ? "-1" : "max");
  const guardedParent = makeParent(bench, "guarded");
  const aloneParent = makeParent(bench, "alone");
  // In memory: writeback to a disk would disturb the race.
  const folder = Deno.makeTempDirSync({
    prefix: folderPrefix,
    ...(isFolder("/dev/shm") && { dir: "/dev/shm" }),
  });
  const leave = () => {
    endChildren();
    Deno.removeSync(folder, { recursive: true });
  };
  const onSignal = () => {
    isInterrupted = true;
    leave();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  using epoll = openEpoll();
  const cores = navigator.hardwareConcurrency;
  const isTimed = !isEmulated();
  const started = performance.now();
  try {
    const refused = setSchedFifo();
    if (refused) note(`race: memory may be seen to be free late (SCHED_FIFO: ${refused})`);
    const logs = makeLogs(folder);
    const raced: Raced[] = [];
    for (const mode of new Set(cells.map((cell) => cell.mode))) {
      await using guard = await startRaceGuard(mode, guardedParent, folder, options);
      note(`race: ${guard.said}`);
      for (const cell of cells.filter((each) => each.mode === mode)) {
        const arena: Arena = {
          guarded: { parent: guardedParent, epoll, logs },
          alone: hasKernelRuns(cell) ? { parent: aloneParent, epoll, logs } : undefined,
          guard,
          cores,
        };
        const told = `bench: race, ${mode}, ${cellName(cell, cores)}`;
        const all = cells.length * options.runs;
        const { guarded, alone } = await raceCell(
          cell,
          options.runs,
          arena,
          (run) => progress.show(told, raced.length * options.runs + run, all),
        );
        raced.push({ cell, guarded, alone });
        const wins = guarded.filter(hasWon).length;
        note(`race: ${mode}, ${cellName(cell, cores)}: ${wins} of ${guarded.length}`);
      }
    }
    const minutes = (performance.now() - started) / 60_000;
    const lines = [
      `guard against the kernel's killer, ${options.runs} runs each, ${minutes.toFixed(1)} minutes${
        options.isLive ? ", with the live view" : ""
      }`,
      ...isTimed ? [] : ["this machine is emulated: wins count here, times do not"],
      ...raceLines(raced, version, cores),
      "",
      ...targetLines(raced, version === 1 ? ["notify", "hold"] : ["throttle"], isTimed),
    ];
    return {
      tables: isTimed ? raceTables(raced, cores) : [],
      lines: ["", ...lines],
      isPart: options.only.length > 0 || options.isLive,
    };
  } catch (error) {
    await unlessInterrupted();
    throw error;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
    leave();
  }
}

let isInterrupted = false;

/** Work under way then fails; scripts/bench.ts ends it once the cgroups are removed. */
async function unlessInterrupted(): Promise<void> {
  if (isInterrupted) await new Promise(() => {});
}

interface Arena {
  readonly guarded: SimulationTarget;
  readonly alone: SimulationTarget | undefined;
  readonly guard: RaceGuard;
  readonly cores: number;
}

/** In turn, so that other load affects both alike. */
async function raceCell(
  cell: Cell,
  runs: number,
  { guarded, alone, guard, cores }: Arena,
  tell: (run: number) => void,
): Promise<Omit<Raced, "cell">> {
  await using _stress = await stress(cell.condition, cores, guarded.parent, guard);
  const results: { guarded: Run[]; alone: Run[] } = { guarded: [], alone: [] };
  for (let run = 0; run < runs; run++) {
    await unlessInterrupted();
    tell(run);
    results.guarded.push(await raceOnce(guarded, cell, guard));
    if (alone) results.alone.push(await raceOnce(alone, cell, undefined));
    if (results.guarded.filter(({ isStuck }) => isStuck).length >= MAX_STUCK) break;
  }
  return results;
}

function makeParent(bench: Cgroup, name: string): Cgroup {
  const handOn = (dir: string) => {
    if (bench.hierarchy.version.number === 2) {
      Deno.writeTextFileSync(`${dir}/cgroup.subtree_control`, "+memory");
    }
  };
  handOn(bench.dir);
  Deno.mkdirSync(`${bench.dir}/${name}`);
  handOn(`${bench.dir}/${name}`);
  return openCgroup(bench.hierarchy, join(bench.path, name))!;
}

function makeLogs(folder: string): SimulationTarget["logs"] {
  return Array.from({ length: MAX_FILLERS }, (_, n) => {
    const path = `${folder}/log${n}`;
    // Written here, so that it is not charged to the cgroup that is filled.
    Deno.writeFileSync(path, new Uint8Array(16 * (LARGEST / STEP + 2)));
    return { path, entries: mapLog(path) };
  });
}

function isPossible({ condition, mode }: Cell): boolean {
  if (condition !== "huge") return true;
  const setting = tryReadText("/sys/kernel/mm/transparent_hugepage/enabled") ?? "[never]";
  if (!setting.includes("[never]")) return true;
  note(`race: ${mode} without 2 MiB pages, which this kernel does not give`);
  return false;
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
