/** What must be as it was: after a guard has ended, at each rest, and at the end. */

import { type AllocatorProgram, lives, placeOf, signalTo } from "./allocators.ts";
import type { World } from "./world.ts";

/** After a guard that was asked to end: nothing is changed any more, and nothing is on record. */
export function checkRestored(world: World): void {
  const { tree, guarded, findings } = world;
  for (const path of tree.all(guarded)) {
    if (tree.isChanged(path)) findings.push(`${path} is changed, and no guard is there`);
  }
  for (const { name } of Deno.readDirSync(world.stateFolder)) {
    const text = Deno.readTextFileSync(`${world.stateFolder}/${name}`);
    if (name.endsWith(".json")) findings.push(`${name} is left in the state folder: ${text}`);
  }
}

/** A guard that was killed may have left some stopped (docs/guarding.md, "Modes"); any other has not. */
export function checkStopped(world: World, since: number): number {
  const wasKilled = world.programs.some(({ ending }) =>
    ending?.signal === "SIGKILL" && ending.at >= since
  );
  const stopped = world.allocators.filter((allocator) => lives(allocator) && isStopped(allocator));
  for (const allocator of stopped) {
    if (!wasKilled) {
      world.findings.push(`pid ${allocator.pid} in ${placeOf(allocator)} is left stopped`);
    }
    signalTo(allocator.pid, "SIGCONT");
  }
  return stopped.length;
}

function isStopped({ pid }: AllocatorProgram): boolean {
  try {
    return /^State:\s+T/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

/** Nothing may have happened to them: they are in nobody's way. */
export function checkBystanders(world: World): void {
  for (const { pid, ended, kind } of world.bystanders) {
    if (ended === undefined) continue;
    world.findings.push(`bystander ${pid} (${kind}), outside of what is guarded, is dead`);
  }
}
