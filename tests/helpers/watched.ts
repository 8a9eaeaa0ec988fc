/** Runs `oomkit watch --json` during a test, and returns its events. */

import { oomkit } from "./run_oomkit.ts";
import { type EventStream, startEventStream } from "./event_stream.ts";

export type { Json } from "./event_stream.ts";

export type Watched = EventStream;

/** Returns once everything is armed. */
export function startWatched(
  args: readonly string[],
  program: readonly string[] = oomkit(),
): Promise<Watched> {
  return startEventStream(["watch", "--json", ...args], { armed: /\n/, program });
}
