/** Where a fake tree lies that nobody gave a place to: named as a sandbox is, so that leftovers are told in the same way. */

import { errnoOf } from "../cgroup/files.ts";
import { isGone, type Owner, parseSandboxName, sandboxName, self } from "./sandbox_name.ts";

/** Makes a folder that only its owner can enter, and removes those that killed runs of the same user left behind. */
export function makeTemporaryFolder(): string {
  const owner = self();
  const unique = Deno.makeTempDirSync({ prefix: "oomkit-" });
  if (owner === undefined) return unique;
  const parent = unique.slice(0, unique.lastIndexOf("/"));
  removeLeftovers(parent, owner);
  const named = `${parent}/${sandboxName("oomkit-sim", owner)}`;
  try {
    Deno.mkdirSync(named, { mode: 0o700 });
  } catch (error) {
    const EEXIST = 17;
    // Somebody who knows our pid took the name first, in a folder that everybody may write to.
    if (errnoOf(error) === EEXIST) return unique;
    throw error;
  }
  Deno.removeSync(unique);
  return named;
}

function removeLeftovers(parent: string, observer: Owner): void {
  for (const { name, isDirectory } of Deno.readDirSync(parent)) {
    const made = isDirectory ? parseSandboxName(name) : undefined;
    if (made === undefined || !isGone(made.owner, observer)) continue;
    try {
      const path = `${parent}/${name}`;
      if (Deno.lstatSync(path).uid === Deno.uid()) Deno.removeSync(path, { recursive: true });
    } catch {
      // Another run has removed it meanwhile.
    }
  }
}
