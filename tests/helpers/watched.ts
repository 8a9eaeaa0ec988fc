/** Runs `oomkit watch --json` during a test, and returns its events. */

import { oomkit } from "./run_oomkit.ts";
import { startTelling, type Telling } from "./telling.ts";

export type { Json } from "./telling.ts";

export type Watched = Telling;

/** Returns once everything is armed. */
export function startWatched(
  args: readonly string[],
  program: readonly string[] = oomkit(),
): Promise<Watched> {
  return startTelling(["watch", "--json", ...args], { armed: /\n/, program });
}
