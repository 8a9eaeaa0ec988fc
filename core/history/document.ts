/** The JSON document of `history`; documented in docs/schema/history.schema.json. An unknown value is `null`. */

import { identify } from "../cgroup/identity.ts";
import { timestamp } from "../events/event.ts";
import type { History } from "./history.ts";
import { type Grouping, GROUPINGS, groupKills, MACHINE, UNNAMED } from "./kill_groups.ts";
import type { PastKill } from "./log_kills.ts";
import { cgroupOf } from "./target_kills.ts";

export interface HistoryCheck {
  readonly verdict: "ok" | "not_ok" | "unknown";
  readonly summary: string;
}

export interface HistoryFacts {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly since?: number | undefined;
  readonly targets: readonly string[];
  readonly history: History;
  /** Those of the targets. */
  readonly kills: readonly PastKill[];
  /** With --fail-on. */
  readonly check?: HistoryCheck | undefined;
}

const timeOf = (at: number | undefined) => at === undefined ? null : timestamp(at);

export function historyDocument({ at, since, targets, history, kills, check }: HistoryFacts) {
  return {
    v: 2,
    ts: timestamp(at),
    since: timeOf(since),
    targets,
    check: check ?? null,
    kills_total: kills.length,
    groups: Object.fromEntries(
      (Object.keys(GROUPINGS) as Grouping[]).map((by) => [GROUPINGS[by].json, groupsOf(kills, by)]),
    ),
    kills: kills.map(killOf),
    logs: history.logs.map((log) => ({
      kind: log.kind,
      name: log.name,
      lines: log.lines,
      from: timeOf(log.from),
      to: timeOf(log.to),
      boots: log.boots ?? null,
      kills: log.kills.length,
    })),
    gaps: history.gaps.map(({ reason, source, count, message }) => ({
      reason,
      source: source ?? null,
      count: count ?? null,
      message,
    })),
    unlogged_kills: history.unloggedKills,
  };
}

const groupsOf = (kills: readonly PastKill[], by: Grouping) =>
  groupKills(kills, by).map(({ key, kills, first, last }) => ({
    ...by === "owner" ? ownerOf(key) : { [GROUPINGS[by].json]: key ?? null },
    kills,
    first: timeOf(first),
    last: timeOf(last),
  }));

function ownerOf(key: string | undefined) {
  if (key === undefined) return { scope: null, limit_owner: null };
  if (key === MACHINE) return { scope: "system", limit_owner: null };
  return { scope: "cgroup", limit_owner: key === UNNAMED ? null : key };
}

function killOf(kill: PastKill) {
  const cgroup = cgroupOf(kill) ?? null;
  const { containerId, runtime, podUid, qos, unit } = identify(cgroup ?? kill.owner ?? "");
  return {
    ts: timeOf(kill.at),
    uptime_us: kill.uptime ?? null,
    boot_id: kill.boot ?? null,
    host: kill.host ?? null,
    scope: kill.isScopeUncertain ? null : kill.scope,
    limit_owner: kill.owner ?? null,
    usage: kill.usage ?? null,
    limit: kill.limit ?? null,
    cgroup,
    container_id: containerId ?? null,
    runtime: runtime ?? null,
    pod_uid: podUid ?? null,
    qos: qos ?? null,
    unit: unit ?? null,
    group: kill.group ?? null,
    victim: kill.victim,
    sources: kill.sources,
  };
}
