/** The event of Tencent's oom-guard, byte for byte as its document shows it. */

import { ACTIONS, isKillAction } from "../policy/actions.ts";
import type { ActionBody, Head } from "./event.ts";
import { harmless } from "./json.ts";

export interface Surroundings {
  readonly hostname: string;
  /** Directories, where paths are cgroup paths. */
  directoryOf(path: string): string;
  /** memory.stat as it was when it was decided. */
  readonly stat: string;
}

/** `undefined` for what oom-guard has no event for: it tells of processes and containers that were ended. */
export function oomGuardEvent(event: Head & ActionBody, around: Surroundings): string | undefined {
  const { action, victim, outcome } = event;
  if (!isKillAction(action) || outcome !== "killed") return undefined;
  return harmless(JSON.stringify({
    hostname: around.hostname,
    timestamp: nanoseconds(event.ts),
    oomcgroup: around.directoryOf(event.cgroup),
    proccgroup: around.directoryOf(event.killed_cgroup ?? victim?.cgroup ?? event.cgroup),
    threshold: event.level_bytes,
    usage: event.usage_before,
    killed: victim === null ? "" : `${victim.pid}(${victim.comm}) `,
    stats: around.stat.replaceAll("\n", "|"),
    policy: ACTIONS[action].oomGuardName,
  }));
}

/** oom-guard, being Go, writes nine digits. */
function nanoseconds(ts: string): string {
  return ts.replace(/\.(\d+)Z$/, (_, digits: string) => `.${digits.padEnd(9, "0")}Z`);
}
