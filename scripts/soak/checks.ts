/** Checks that nothing is left changed: after a guard has ended, at each idle check, and at the end. */

import { type AllocatorProgram, lives, placeOf, signalTo } from "./allocators.ts";
import type { World } from "./world.ts";

/** After a guard that was asked to end: no control file is changed and no journal is left. */
export function checkRestored(world: World): void {
  const { tree, guarded, findings } = world;
  for (const path of tree.all(guarded)) {
    if (tree.isChanged(path)) findings.push(`${path} is changed, and no guard runs`);
  }
  for (const { name } of Deno.readDirSync(world.stateFolder)) {
    const text = Deno.readTextFileSync(`${world.stateFolder}/${name}`);
    if (name.endsWith(".json")) findings.push(`${name} is left in the state folder: ${text}`);
  }
}

/** Only a guard that was killed may have left stopped processes (docs/guarding.md, "Modes"). */
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

/** Processes outside the guarded subtree must be alive. */
export function checkBystanders(world: World): void {
  for (const { pid, ended, kind } of world.bystanders) {
    if (ended === undefined) continue;
    world.findings.push(`bystander ${pid} (${kind}), outside the guarded subtree, has been killed`);
  }
}
