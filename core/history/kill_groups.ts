/** Kills counted by what they have in common. Pure. */

import { identify } from "../cgroup/identity.ts";
import type { PastKill } from "./log_kills.ts";
import { cgroupOf } from "./target_kills.ts";

export interface KillGroup {
  /** `undefined` for the kills of which it is not known, or that have none. */
  readonly key: string | undefined;
  readonly kills: number;
  /** Milliseconds since the epoch; absent if no kill has a time. */
  readonly first?: number;
  readonly last?: number;
}

const identityOf = (kill: PastKill) => identify(cgroupOf(kill) ?? kill.owner ?? "");

/** Among the limit owners: the machine's memory, and a cgroup that the log does not name. No cgroup has such a path. */
export const MACHINE = "machine";
export const UNNAMED = "unnamed";

/** What kills are grouped by. The JSON name is that of the other documents. */
export const GROUPINGS = {
  owner: {
    json: "limit_owner",
    keyOf: ({ owner, scope, isScopeUncertain }: PastKill) =>
      owner ?? (isScopeUncertain ? undefined : scope === "system" ? MACHINE : UNNAMED),
  },
  container: { json: "container_id", keyOf: (kill: PastKill) => identityOf(kill).containerId },
  pod: { json: "pod_uid", keyOf: (kill: PastKill) => identityOf(kill).podUid },
  unit: { json: "unit", keyOf: (kill: PastKill) => identityOf(kill).unit },
  comm: { json: "comm", keyOf: ({ victim }: PastKill) => victim.comm as string | undefined },
} as const;

export type Grouping = keyof typeof GROUPINGS;

/** Most kills first, then the newest. @param kills oldest first. */
export function groupKills(kills: readonly PastKill[], by: Grouping): KillGroup[] {
  const groups = Map.groupBy(kills, GROUPINGS[by].keyOf);
  return [...groups].map(([key, kills]) => {
    const times = kills.flatMap(({ at }) => at ?? []);
    return {
      key,
      kills: kills.length,
      ...times.length > 0 && { first: times[0]!, last: times.at(-1)! },
    };
  }).toSorted((one, other) => other.kills - one.kills || (other.last ?? 0) - (one.last ?? 0));
}
