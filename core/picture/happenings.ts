/** What of an event goes into a picture: its mark, and who died. Pure. */

import type { OomkitEvent } from "../report/event.ts";
import type { Casualty, Kind } from "./picture.ts";

/** An event of oomkit, or one of a simulation's own. */
export type Told = OomkitEvent | Readonly<Record<string, unknown>>;

const KINDS: Readonly<Record<string, Kind>> = {
  oom_kill: "kill",
  oom_group_kill: "kill",
  action: "act",
  oom: "oom",
  max: "oom",
  high: "oom",
  threshold: "level",
  level: "level",
  pressure: "level",
};

export const kindOf = (type: string): Kind => KINDS[type] ?? "note";

/** Of what a picture has to leave out some when there are too many. */
export const isGrave = (kind: Kind): boolean => kind === "kill" || kind === "act";

export function isOurs(event: Told): event is OomkitEvent {
  return typeof event.type === "string" && typeof event.ts === "string";
}

type Dead = Omit<Casualty, "at" | "group">;

/** Who died of it; a group killed at once is told of victim by victim besides. */
export function casualtyOf(event: Told): Dead | undefined {
  if (!isOurs(event)) return undefined;
  if (event.type === "oom_kill") {
    const { victim, limit_owner: owner } = event;
    const where = event.scope === "system"
      ? "the machine ran out"
      : owner === null || owner === event.cgroup
      ? "at its limit"
      : `at the limit of ${owner}`;
    return {
      cgroup: event.cgroup,
      pid: victim?.pid ?? null,
      comm: victim?.comm ?? null,
      bytes: sum(victim?.anon_rss, victim?.file_rss, victim?.shmem_rss),
      by: "kernel",
      how: event.inferred ? `${where}; no counter could confirm it` : where,
    };
  }
  if (event.type === "action" && !event.dry_run && event.outcome === "died") {
    const { victim, container, action, level, signal } = event;
    if (action !== "process" && action !== "container") return undefined;
    return {
      cgroup: victim?.cgroup ?? container ?? event.cgroup,
      pid: victim?.pid ?? null,
      comm: victim?.comm ?? (action === "container" ? "everything in the cgroup" : null),
      bytes: victim?.rss ?? null,
      by: "oomkit",
      how: `at ${level}${signal === null ? "" : `, by ${signal}`}`,
    };
  }
  return undefined;
}

function sum(...parts: readonly (number | null | undefined)[]): number | null {
  const known = parts.filter((part) => part !== null && part !== undefined);
  return known.length === 0 ? null : known.reduce((total, part) => total + part, 0);
}
