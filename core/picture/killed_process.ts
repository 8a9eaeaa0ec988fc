/** The facts of recorded kills and OOMs. Read from a file, all fields of an event but the type may be invalid. */

import { bytesText } from "../figures.js";
import type { AnyEvent } from "../record/format.ts";
import type { KilledProcess } from "./picture.ts";

type Fields = Readonly<Record<string, unknown>>;

export const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? value as Fields : {};
const textOf = (value: unknown): string | null => typeof value === "string" ? value : null;
const numberOf = (value: unknown): number | null => typeof value === "number" ? value : null;

/** The victim of an event. `oom_group_kill` has none: each victim has an `oom_kill` event too. */
export function killedProcessOf(
  body: AnyEvent,
  printable: (name: string) => string,
): Omit<KilledProcess, "at" | "group"> | undefined {
  const event = fieldsOf(body);
  const victim = fieldsOf(event.victim);
  const pid = numberOf(victim.pid);
  const comm = textOf(victim.comm);
  if (event.type === "oom_kill") {
    const why = whyKilledByKernel(event);
    return {
      cgroup: printable(body.cgroup),
      pid,
      comm: comm === null ? null : printable(comm),
      bytes: sum(victim.anon_rss, victim.file_rss, victim.shmem_rss),
      by: "kernel",
      why: why === null ? null : printable(why),
      signal: null,
    };
  }
  if (event.type !== "action" || event.dry_run === true || event.outcome !== "killed") return;
  const [usage, limit] = [numberOf(event.usage_before), numberOf(event.limit)];
  const figures = usage === null || limit === null
    ? ""
    : `, ${bytesText(usage)} of ${bytesText(limit)}`;
  const signal = textOf(event.signal);
  const all = event.action === "container" ? "all processes of the cgroup" : null;
  return {
    cgroup: printable(textOf(victim.cgroup) ?? textOf(event.killed_cgroup) ?? body.cgroup),
    pid,
    comm: comm === null ? all : printable(comm),
    bytes: numberOf(victim.rss),
    by: "oomkit",
    why: printable(`usage reached level ${textOf(event.level)}${figures}`),
    signal: signal === null ? null : printable(signal),
  };
}

/** `null` if neither the log nor the counters say it. */
function whyKilledByKernel(event: Fields): string | null {
  if (event.scope === "system") return "the machine ran out of memory";
  const owner = textOf(event.limit_owner);
  if (owner === null && event.scope !== "cgroup") return null;
  const reached = owner === null || owner === event.cgroup ? "the cgroup" : owner;
  const limit = numberOf(event.limit);
  const size = limit === null ? "" : ` of ${bytesText(limit)}`;
  const doubt = event.inferred === true ? "; no counter confirms it" : "";
  return `${reached} reached its limit${size}${doubt}`;
}

/** That a limit was reached and nothing could be reclaimed. */
export interface LimitHit {
  readonly cgroup: string;
  /** `null`: the owner of the limit that applies to the cgroup. */
  readonly owner: string | null;
  readonly limit: number | null;
}

export function limitHitOf(body: AnyEvent): LimitHit | undefined {
  const event = fieldsOf(body);
  if (event.type !== "oom" && event.type !== "oom_kill" || event.scope === "system") return;
  const owner = textOf(event.limit_owner);
  if (owner === null && event.scope !== "cgroup") return;
  const limit = numberOf(event.limit);
  return { cgroup: body.cgroup, owner, limit: limit !== null && limit > 0 ? limit : null };
}

function sum(...parts: readonly unknown[]): number | null {
  const known = parts.filter((part) => typeof part === "number");
  return known.length === 0 ? null : known.reduce((total, part) => total + part, 0);
}
