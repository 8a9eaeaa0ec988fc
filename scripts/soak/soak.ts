/** A soak from its first operation to its last check. */

import { delay } from "../../core/timing.ts";
import { MIB } from "../cgroups.ts";
import { endAllocator, startAllocator } from "./allocators.ts";
import type { DeathCounts } from "./expectations.ts";
import { checkRestored, type Life, rest } from "./idle.ts";
import { KernelKills } from "./kernel_kills.ts";
import { operationsOf } from "./operations.ts";
import { endProgram, type Program } from "./program.ts";
import { makeTree } from "./tree.ts";
import {
  createGroup,
  drawSettings,
  limitPath,
  Random,
  startGuard,
  startWatch,
  World,
} from "./world.ts";

interface SoakOptions {
  readonly seed: number;
  /** How long operations are started; the last checks come after it. */
  readonly minutes: number;
  readonly executable: string;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

export type SoakResult = Awaited<ReturnType<typeof soak>>;

const STRETCH = 100;
/** Pause between two operations (milliseconds). */
const MAX_PAUSE_MS = 250;
const MAX_LAST_OPERATIONS = 100;
const KMSG_MS = 50;

/** Disruptive rounds become rarer: both programs then run for 1, 2, 3 … rounds. */
export function isDisruptive(stretch: number): boolean {
  for (let at = 0, gap = 2; at <= stretch; at += gap++) if (at === stretch) return true;
  return false;
}

export async function soak({ seed, minutes, executable, signal, progress }: SoakOptions) {
  const began = performance.now();
  const world = new World(await makeTree(), new Random(seed), executable);
  const { random, findings, late, events } = world;
  const counts: DeathCounts = { won: 0, lost: 0, unguarded: 0, outside: 0, unreported: 0 };
  const lives = new Map<Program, Life>();
  const lastOperations: string[] = [];
  let [operations, rounds, allocators, stopped] = [0, 0, 0, 0];
  using kills = new KernelKills();
  const reading = setInterval(() => world.kernelKills.push(...kills.take()), KMSG_MS);
  signal.addEventListener("abort", () => world.wantsToEnd = true);
  const isOver = () =>
    world.wantsToEnd || findings.length > 0 || performance.now() - began > 60_000 * minutes;
  try {
    makeRoom(world);
    await startWatch(world);
    await startGuard(world, drawSettings(world));
    for (; !isOver(); rounds++) {
      const since = Date.now();
      const known = operationsOf(isDisruptive(rounds));
      for (let n = 0; n < STRETCH && !isOver(); n++) {
        const { name, run } = random.weighed(known);
        const time = new Date().toISOString().slice(11);
        lastOperations.push(`${++operations} ${time} ${name}`);
        if (lastOperations.length > MAX_LAST_OPERATIONS) lastOperations.shift();
        const what = await run(world);
        if (what !== "") lastOperations[lastOperations.length - 1] += `: ${what}`;
        checkAlive(world);
        const ms = random.below(MAX_PAUSE_MS);
        if (random.chance(60)) await delay(ms);
        progress(
          `operation ${operations}, ${rounds} idle checks, ${counts.won} won, ${counts.lost} lost`,
        );
      }
      if (world.wantsToEnd || findings.length > 0) break;
      allocators += world.allocators.length;
      const rested = await rest(world, lives, since);
      stopped += rested.stopped;
      for (const name of Object.keys(counts) as (keyof DeathCounts)[]) {
        counts[name] += rested.counts[name];
      }
    }
    await endAll(world);
  } finally {
    clearInterval(reading);
    await clearAway(world);
  }
  if (kills.missed > 0) findings.push(`${kills.missed} records of the kernel log were missed`);
  // Of the guard and the watch that ran longest.
  const longest = ["guard", "watch"].flatMap((name) =>
    [...lives.values()].filter((life) => life.name === name)
      .sort((one, other) => other.rests - one.rests).slice(0, 1)
  );
  return {
    ...{ operations, rounds, counts, allocators, longest, late, events, findings, lastOperations },
    /** Processes left stopped by guards that were killed. */
    stopped,
    minutes: (performance.now() - began) / 60_000,
    cgroups: world.made,
  };
}

/** What exists all the time: two cgroups outside the guarded subtree, with bystanders that must not be killed. */
function makeRoom(world: World): void {
  const { tree } = world;
  tree.make(world.guarded);
  tree.make(world.outside);
  const loud = { limit: 32 * MIB, isNested: false, inner: undefined };
  const quiet = createGroup(world, "quiet", { ...loud, limit: undefined }, false)!;
  createGroup(world, "loud", loud, false);
  const standing = createGroup(world, "standing", { ...loud, limit: 64 * MIB })!;
  world.groups.length = 0;
  limitPath(world, quiet.path, 512 * MIB);
  const start = (path: string, kind: "fed" | "idle") =>
    startAllocator(tree, { kind, path, rate: 50 * MIB, most: 2 * MIB });
  world.bystanders.push(
    start(quiet.path, "fed"),
    start(quiet.path, "idle"),
    start(standing.path, "idle"),
  );
}

function checkAlive({ guard, watch, findings, wantsToEnd }: World): void {
  // Ctrl-C on a terminal reaches all of them.
  if (wantsToEnd) return;
  for (const { name, ended, ending, stderrLines } of [guard, watch]) {
    if (!ended || ending) continue;
    findings.push(`${name} has ended with ${ended.code} (${ended.signal}): ${stderrLines.at(-1)}`);
  }
}

/** Asks both to end, and checks that everything is restored. */
async function endAll(world: World): Promise<void> {
  const { guard, watch, findings } = world;
  for (const program of [guard, watch]) {
    if (program.ended) continue;
    await endProgram(program, "SIGTERM");
    const { code, signal } = program.ended!;
    // A watch ends with 1 when it has seen a kill.
    if (signal === null && (code === 0 || program === watch && code === 1)) continue;
    findings.push(`${program.name} ended with ${code} (${signal})`);
  }
  checkRestored(world);
}

async function clearAway(world: World): Promise<void> {
  const allocators = [...world.bystanders, ...world.allocators];
  for (const { ended, pid } of world.programs) if (!ended) Deno.kill(pid, "SIGKILL");
  await Promise.all(world.programs.map(({ gone }) => gone));
  allocators.forEach(endAllocator);
  await world.tree.removeAll();
  await Promise.all(allocators.map(({ gone }) => gone));
  Deno.removeSync(world.directory, { recursive: true });
}
