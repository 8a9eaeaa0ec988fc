/** Deeds against the guard and the watch themselves. */

import type { Fault } from "./faults.ts";
import { signalTo } from "./allocators.ts";
import { checkRestored } from "./checks.ts";
import { inspectionFault } from "./schema.ts";
import {
  continueProgram,
  drawSettings,
  endProgram,
  minderOf,
  startGuard,
  startWatch,
} from "./programs.ts";
import { pause, type World } from "./world.ts";

/** Milliseconds. */
const LONGEST_STOP = 1500;

export const programFaults: readonly Fault[] = [
  { name: "stop the guard", weight: 2, run: stopGuard },
  { name: "stop the watch", weight: 1, run: stopWatch },
  { name: "read the configuration again", weight: 2, run: reload },
  { name: "inspect", weight: 2, run: inspect },
  { name: "kill the guard", weight: 2, isDisruptive: true, run: killGuard },
  { name: "kill the minder", weight: 1, isDisruptive: true, run: killMinder },
  { name: "kill guard and minder", weight: 1, isDisruptive: true, run: killBoth },
  { name: "end the guard", weight: 2, isDisruptive: true, run: endGuard },
  { name: "end the watch", weight: 2, isDisruptive: true, run: endWatch },
  { name: "spoil the journals", weight: 1, isDisruptive: true, run: spoil },
];

async function stopGuard(world: World): Promise<string> {
  return await stop(world, "guard");
}

async function stopWatch(world: World): Promise<string> {
  return await stop(world, "watch");
}

async function stop(world: World, name: "guard" | "watch"): Promise<string> {
  const ms = 1 + world.random.below(LONGEST_STOP);
  const isWaited = world.random.chance(30);
  const program = world[name];
  signalTo(program.pid, "SIGSTOP");
  const stop: { from: number; to?: number } = { from: Date.now() };
  program.stops.push(stop);
  const over = pause(ms).then(() => continueProgram(program));
  if (isWaited) await over;
  return `${ms} ms`;
}

function reload({ guard }: World): string {
  signalTo(guard.pid, "SIGHUP");
  return "";
}

async function inspect(world: World): Promise<string> {
  const target = world.random.pick([world.guarded, `${world.guarded}/**`, world.tree.path]);
  const { code, stdout, stderr } = await new Deno.Command(world.executable, {
    args: ["inspect", "--json", target],
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  const said = text.decode(stderr);
  if (code !== 0 && !/^oomkit: [^\n]+\n$/.test(said)) {
    world.findings.push(`inspect ended with ${code}: ${said}`);
  }
  const fault = code === 0 ? inspectionFault(JSON.parse(text.decode(stdout))) : undefined;
  if (fault !== undefined) world.findings.push(`inspect: does not fit the schema: ${fault}`);
  return `${code}`;
}

async function killGuard(world: World): Promise<string> {
  const settings = drawSettings(world);
  await endProgram(world.guard, "SIGKILL");
  await startGuard(world, settings);
  return world.guard.words.join(" ");
}

function killMinder(world: World): string {
  const minder = minderOf(world.guard.pid);
  if (minder === undefined) return "none";
  signalTo(minder, "SIGKILL");
  return "";
}

async function killBoth(world: World): Promise<string> {
  const settings = drawSettings(world);
  killMinder(world);
  await endProgram(world.guard, "SIGKILL");
  await startGuard(world, settings);
  return world.guard.words.join(" ");
}

async function endGuard(world: World): Promise<string> {
  const settings = drawSettings(world);
  await endProgram(world.guard, world.random.pick(["SIGTERM", "SIGINT"] as const));
  checkRestored(world);
  await startGuard(world, settings);
  return world.guard.words.join(" ");
}

async function endWatch(world: World): Promise<string> {
  await endProgram(world.watch, "SIGTERM");
  await startWatch(world);
  return "";
}

/** What no guard has written must be the end of none. */
async function spoil(world: World): Promise<string> {
  const settings = drawSettings(world);
  const text = world.random.pick(["", "{", "[1,null]", '[{"dir":"/"}]', "\0\0"]);
  const path = `${world.stateFolder}/guard-1-${++world.made}.json`;
  Deno.writeTextFileSync(path, text);
  await endProgram(world.guard, "SIGTERM");
  await startGuard(world, settings);
  try {
    Deno.removeSync(path);
  } catch {
    // The guard has swept it away.
  }
  return JSON.stringify(text);
}
