/** A soak from its first operation to its last check. */

import { delay } from "../../core/timing.ts";
import type { Costs } from "../bench/costs.ts";
import { MIB } from "../cgroups.ts";
import { endAllocator, startAllocator } from "./allocators.ts";
import { checkRestored, eventFault, unexpectedReason } from "./checks.ts";
import type { Tally } from "./expectations.ts";
import { type Bases, rest } from "./idle.ts";
import { openKernelKills } from "./kernel_kills.ts";
import { operationsOf } from "./operations.ts";
import { endProgram, type Hearing, type Program } from "./program.ts";
import { makeTree, ROOT_LIMIT } from "./tree.ts";
import {
  createGroup,
  drawSettings,
  limitPath,
  makeRandom,
  startGuard,
  startWatch,
  type World,
} from "./world.ts";

interface SoakOptions {
  readonly seed: number;
  /** How long operations are started; the last checks come after it. */
  readonly minutes: number;
  readonly executable: string;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

export interface SoakResult {
  readonly operations: number;
  readonly rounds: number;
  readonly minutes: number;
  readonly tally: Tally;
  readonly allocators: number;
  readonly cgroups: number;
  /** Of the guard and the watch that ran longest: idle checks, first costs, last costs. */
  readonly longest: readonly Life[];
  /** Processes left stopped by guards that were killed. */
  readonly stopped: number;
  /** Maximum milliseconds between an event and its line, of programs that were never stopped. */
  readonly late: World["late"];
  readonly events: World["events"];
  readonly findings: readonly string[];
  readonly lastOperations: readonly string[];
}

export interface Life {
  readonly name: string;
  readonly rests: number;
  readonly first: Costs;
  readonly last: Costs;
}

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

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const began = performance.now();
  const world = await makeWorld(options);
  const { random, findings } = world;
  const tally: Tally = { won: 0, lost: 0, unguarded: 0, outside: 0, unreported: 0 };
  const lives = new Map<Program, Life>();
  const first = new Map<Program, Costs>();
  const open: Bases["open"] = new Map();
  const lastOperations: string[] = [];
  let [operations, rounds, allocators, stopped] = [0, 0, 0, 0];
  using kills = openKernelKills();
  const reading = setInterval(() => world.kernelKills.push(...kills.take()), KMSG_MS);
  options.signal.addEventListener("abort", () => world.wantsToEnd = true);
  const isOver = () =>
    world.wantsToEnd || findings.length > 0 || performance.now() - began > 60_000 * options.minutes;
  try {
    makeRoom(world);
    await startWatch(world);
    await startGuard(world, drawSettings(world));
    for (; !isOver(); rounds++) {
      const since = Date.now();
      const known = operationsOf(isDisruptive(rounds));
      for (let n = 0; n < STRETCH && !isOver(); n++) {
        const operation = random.weighed(known);
        lastOperations.push(
          `${++operations} ${new Date().toISOString().slice(11)} ${operation.name}`,
        );
        if (lastOperations.length > MAX_LAST_OPERATIONS) lastOperations.shift();
        const what = await operation.run(world);
        if (what !== "") lastOperations[lastOperations.length - 1] += `: ${what}`;
        checkAlive(world);
        const ms = random.below(MAX_PAUSE_MS);
        if (random.chance(60)) await delay(ms);
        options.progress(
          `operation ${operations}, ${rounds} idle checks, ${tally.won} won, ${tally.lost} lost`,
        );
      }
      if (world.wantsToEnd || findings.length > 0) break;
      allocators += world.allocators.length;
      const { costs, stopped: some, ...rested } = await rest(world, { first, open, since });
      stopped += some;
      for (const name of Object.keys(tally) as (keyof Tally)[]) tally[name] += rested.tally[name];
      for (const [program, last] of costs) {
        const { rests = 0 } = lives.get(program) ?? {};
        lives.set(program, {
          name: program.name,
          rests: rests + 1,
          first: first.get(program)!,
          last,
        });
      }
    }
    await endAll(world);
  } finally {
    clearInterval(reading);
    await clearAway(world);
  }
  if (kills.missed > 0) findings.push(`${kills.missed} records of the kernel log were missed`);
  const longest = ["guard", "watch"].flatMap((name) =>
    [...lives.values()].filter((life) => life.name === name)
      .sort((one, other) => other.rests - one.rests).slice(0, 1)
  );
  return {
    ...{ operations, rounds, tally, allocators, longest, stopped, findings, lastOperations },
    late: world.late,
    events: world.events,
    minutes: (performance.now() - began) / 60_000,
    cgroups: world.made,
  };
}

async function makeWorld({ seed, executable }: SoakOptions): Promise<World> {
  const tree = await makeTree();
  const findings: string[] = [];
  const late = { guard: 0, watch: 0 };
  const events = new Map<string, number>();
  const folder = Deno.makeTempDirSync({ prefix: "oomkit-soak-" });
  const hearing: Hearing = {
    line({ name, stops }, event) {
      if (stops.length === 0) late[name] = Math.max(late[name], Date.now() - Date.parse(event.ts));
      const what = `${name} ${event.type}`;
      events.set(what, (events.get(what) ?? 0) + 1);
      const operation = eventFault(event);
      if (operation) findings.push(`${name}: ${operation} in ${JSON.stringify(event)}`);
    },
    stderrLines({ name }, line) {
      const why = unexpectedReason(line);
      if (why) findings.push(`${name} prints ${why}: ${JSON.stringify(line)}`);
    },
    broken({ name, ending }, line) {
      if (ending?.signal === "SIGKILL") return;
      findings.push(`${name}: it is no JSON: ${JSON.stringify(line)}`);
    },
  };
  Deno.mkdirSync(`${folder}/state`, { mode: 0o700 });
  const world: Omit<World, "guard" | "watch"> = {
    random: makeRandom(seed),
    ...{ tree, executable, hearing, folder, findings, late, events },
    stateFolder: `${folder}/state`,
    guarded: `${tree.path}/guarded`,
    outside: `${tree.path}/outside`,
    groups: [],
    allocators: [],
    bystanders: [],
    kernelKills: [],
    programs: [],
    limits: new Map([[tree.path, [ROOT_LIMIT]]]),
    made: 0,
    wantsToEnd: false,
  };
  // Both are started before the first operation.
  return world as World;
}

/** What exists all the time: two cgroups outside the guarded subtree, with bystanders that must not be killed. */
function makeRoom(world: World): void {
  const { tree } = world;
  tree.make(world.guarded);
  tree.make(world.outside);
  const quiet = createGroup(
    world,
    "quiet",
    { limit: undefined, isNested: false, inner: undefined },
    false,
  )!;
  const loud = { limit: 32 * MIB, isNested: false, inner: undefined };
  createGroup(world, "loud", loud, false);
  const preference = createGroup(world, "standing", { ...loud, limit: 64 * MIB })!;
  world.groups.splice(0, world.groups.length);
  limitPath(world, quiet.path, 512 * MIB);
  const start = (path: string, kind: "fed" | "idle") =>
    startAllocator(tree, { kind, path, rate: 50 * MIB, most: 2 * MIB });
  world.bystanders.push(
    start(quiet.path, "fed"),
    start(quiet.path, "idle"),
    start(preference.path, "idle"),
  );
}

function checkAlive({ guard, watch, findings, wantsToEnd }: World): void {
  // Ctrl-C on a terminal reaches all of them.
  if (wantsToEnd) return;
  for (const { name, ended, ending, stderrLines } of [guard, watch]) {
    if (ended && !ending) {
      findings.push(
        `${name} has ended with ${ended.code} (${ended.signal}): ${stderrLines.at(-1)}`,
      );
    }
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
  for (const { ended, pid } of world.programs) if (!ended) Deno.kill(pid, "SIGKILL");
  await Promise.all(world.programs.map(({ gone }) => gone));
  for (const allocator of [...world.bystanders, ...world.allocators]) endAllocator(allocator);
  await world.tree.removeAll();
  await Promise.all([...world.bystanders, ...world.allocators].map(({ gone }) => gone));
  Deno.removeSync(world.folder, { recursive: true });
}
