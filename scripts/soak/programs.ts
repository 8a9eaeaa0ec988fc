/** The guard and the watch of a soak: how they are started, ended and found. */

import { PROTECTED, signalTo } from "./allocators.ts";
import { type Program, startProgram } from "./program.ts";
import type { World } from "./world.ts";

export interface Settings {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** An emulated machine takes its time. */
const END_MS = 60_000;
/** Should the soak be killed, they must not go on for ever. */
const LONGEST = "12h";

/** The same number of draws each time. */
export function drawSettings({ random, tree, folder }: World): Settings {
  const modes = tree.version === 1 ? ["notify", "hold"] : ["throttle", "throttle", "notify"];
  const words = [
    ...["--mode", random.pick(modes)],
    ...["--policy", random.pick(["process", "process", "process", "container"])],
  ];
  const perhaps = (percent: number, ...more: string[]) => {
    if (random.chance(percent)) words.push(...more);
  };
  perhaps(20, "--grace-period", "300ms");
  perhaps(20, "--metric", "working-set");
  perhaps(25, "--margin-ratio", "0.1");
  perhaps(20, "--on-warn", "signal");
  perhaps(20, "--on-critical", "reclaim,exec:true");
  const log = random.pick(["", `${folder}/log`, "/dev/full"]);
  return { words, env: log === "" ? {} : { OOMKIT_LOG_FILE: log } };
}

/** Returns when it guards. */
export async function startGuard(world: World, { words, env }: Settings): Promise<void> {
  const all = [
    ...["--json", "-r", world.guarded, ...words],
    ...["--ignore", PROTECTED, "--for", LONGEST],
  ];
  world.guard = start(world, "guard", all, { OOMKIT_STATE_DIR: world.stateFolder, ...env });
  await beReady(world, world.guard);
}

/** Watches the whole soak, unguarded cgroups included. */
export async function startWatch(world: World): Promise<void> {
  world.watch = start(world, "watch", ["--json", "-r", world.tree.path], {});
  await beReady(world, world.watch);
}

function start(
  world: World,
  name: Program["name"],
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Program {
  const program = startProgram(name, world.executable, words, env, world.hearing);
  world.programs.push(program);
  return program;
}

async function beReady(world: World, program: Program): Promise<void> {
  if (await program.ready || world.wantsToEnd) return;
  world.findings.push(`${program.name} did not begin: ${program.stderrLines.join(" | ")}`);
}

/** Returns when it is gone and all that it has told is read. */
export async function endProgram(program: Program, signal: Deno.Signal): Promise<void> {
  program.ending = { at: Date.now(), signal };
  continueProgram(program);
  signalTo(program.pid, signal);
  const late = setTimeout(() => signalTo(program.pid, "SIGABRT"), END_MS);
  await program.gone;
  clearTimeout(late);
}

export function continueProgram(program: Program): void {
  signalTo(program.pid, "SIGCONT");
  for (const stop of program.stops) stop.to ??= Date.now();
}

/** The shell that puts things back when a guard is killed. */
export function restoreWatchdogOf(guard: number): number | undefined {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = peek(`/proc/${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (parent === guard && peek(`/proc/${name}/cmdline`).includes("oomkit-restore")) {
      return Number(name);
    }
  }
  return undefined;
}

function peek(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
