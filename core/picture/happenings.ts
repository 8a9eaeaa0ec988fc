/** What of an event goes into a picture: its mark, and who died. Pure. */

import type { RecordedEvent } from "../record/format.ts";
import type { KilledProcess, Kind } from "./picture.ts";

/** An event of oomkit, or one of a simulation's own; out of a file it may be anything beside its type. */
export type Told = RecordedEvent["event"];

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
export const isKill = (kind: Kind): boolean => kind === "kill" || kind === "act";

type Dead = Omit<KilledProcess, "at" | "group">;
type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? value as Fields : {};
const textOf = (value: unknown): string | null => typeof value === "string" ? value : null;
const numberOf = (value: unknown): number | null => typeof value === "number" ? value : null;

/** Who died of it; a group killed at once is told of victim by victim besides. */
export function casualtyOf(event: Told): Dead | undefined {
  const fields = fieldsOf(event);
  if (event.type === "oom_kill") return killedByKernel(event, fields);
  const isDeath = event.type === "action" && fields.dry_run !== true &&
    fields.outcome === "killed" &&
    (fields.action === "process" || fields.action === "container");
  if (!isDeath) return undefined;
  const victim = fieldsOf(fields.victim);
  const signal = textOf(fields.signal);
  return {
    cgroup: textOf(victim.cgroup) ?? textOf(fields.container) ?? event.cgroup,
    pid: numberOf(victim.pid),
    comm: textOf(victim.comm) ??
      (fields.action === "container" ? "everything in the cgroup" : null),
    bytes: numberOf(victim.rss),
    by: "oomkit",
    how: `at ${textOf(fields.level)}${signal === null ? "" : `, by ${signal}`}`,
  };
}

function killedByKernel(event: Told, fields: Fields): Dead {
  const victim = fieldsOf(fields.victim);
  const owner = textOf(fields.limit_owner);
  const where = fields.scope === "system"
    ? "as the machine ran out"
    : owner === null || owner === event.cgroup
    ? "at its limit"
    : `at the limit of ${owner}`;
  return {
    cgroup: event.cgroup,
    pid: numberOf(victim.pid),
    comm: textOf(victim.comm),
    bytes: sum(victim.anon_rss, victim.file_rss, victim.shmem_rss),
    by: "kernel",
    how: fields.inferred === true ? `${where}; no counter could confirm it` : where,
  };
}

function sum(...parts: readonly unknown[]): number | null {
  const known = parts.filter((part) => typeof part === "number");
  return known.length === 0 ? null : known.reduce((total, part) => total + part, 0);
}
