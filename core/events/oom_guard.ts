/** The event JSON of Tencent's oom-guard, byte for byte as in its document. */

import { ACTIONS } from "../policy/actions.ts";
import type { ActionBody, Head } from "./event.ts";
import { escapeTerminalControls } from "./json.ts";

export interface OomGuardContext {
  readonly hostname: string;
  /** Directory of a cgroup path. */
  directoryOf(path: string): string;
  /** memory.stat as read for the decision. */
  readonly stat: string;
}

/** `undefined` for an event that oom-guard does not have: it has events for kills only. */
export function oomGuardEvent(
  event: Head & ActionBody,
  context: OomGuardContext,
): string | undefined {
  if (event.outcome !== "killed") return undefined;
  const { victim } = event;
  return escapeTerminalControls(JSON.stringify({
    hostname: context.hostname,
    timestamp: withNanoseconds(event.ts),
    oomcgroup: context.directoryOf(event.cgroup),
    proccgroup: context.directoryOf(event.killed_cgroup ?? victim?.cgroup ?? event.cgroup),
    threshold: event.level_bytes,
    usage: event.usage_before,
    killed: victim === null ? "" : `${victim.pid}(${victim.comm}) `,
    stats: context.stat.replaceAll("\n", "|"),
    policy: ACTIONS[event.action].oomGuardName,
  }));
}

/** oom-guard is written in Go, where timestamps have nine digits. */
function withNanoseconds(ts: string): string {
  return ts.replace(/\.(\d+)Z$/, (_, digits: string) => `.${digits.padEnd(9, "0")}Z`);
}
