/** Operations on the guard and the watch themselves. */

import { signalTo } from "./allocators.ts";
import { checkRestored } from "./checks.ts";
import { inspectionFault } from "./schema.ts";
import {
  continueProgram,
  drawSettings,
  endProgram,
  restoreWatchdogOf,
  startGuard,
  startWatch,
} from "./programs.ts";
import { type Operation, pause, type World } from "./world.ts";

/** Milliseconds. */
const MAX_STOP_MS = 1500;

export const programOperations: readonly Operation[] = [
  { name: "stop the guard", weight: 2, run: stopGuard },
  { name: "stop the watch", weight: 1, run: stopWatch },
  { name: "read the configuration again", weight: 2, run: reload },
  { name: "inspect", weight: 2, run: inspect },
  { name: "kill the guard", weight: 2, isDisruptive: true, run: killGuard },
  { name: "kill the restore watchdog", weight: 1, isDisruptive: true, run: killRestoreWatchdog },
  { name: "kill guard and restore watchdog", weight: 1, isDisruptive: true, run: killBoth },
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
  const ms = 1 + world.random.below(MAX_STOP_MS);
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
  const stderrLines = text.decode(stderr);
  if (code !== 0 && !/^oomkit: [^\n]+\n$/.test(stderrLines)) {
    world.findings.push(`inspect ended with ${code}: ${stderrLines}`);
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

function killRestoreWatchdog(world: World): string {
  const restoreWatchdog = restoreWatchdogOf(world.guard.pid);
  if (restoreWatchdog === undefined) return "none";
  signalTo(restoreWatchdog, "SIGKILL");
  return "";
}

async function killBoth(world: World): Promise<string> {
  const settings = drawSettings(world);
  killRestoreWatchdog(world);
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

/** A journal that no guard has written must not end a guard. */
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
    // The guard has removed it.
  }
  return JSON.stringify(text);
}
