/** The report on a command that ran in a watched cgroup; docs/schema/run.schema.json. */

import type { Ancestry } from "../cgroup/ancestry.ts";
import {
  type CounterDeltas,
  type EventOf,
  type KernelVictim,
  type OomkitEvent,
  timestamp,
} from "./event.ts";

export type CommandReport = ReturnType<typeof commandReport>;
type CommandVerdict = "fine" | "limit_hit" | "oom_killed" | "unknown";
type Kill = { readonly cgroup: string; readonly victim: KernelVictim | null };

export interface CommandFacts {
  readonly command: readonly string[];
  readonly status: Deno.CommandStatus;
  readonly events: readonly OomkitEvent[];
  readonly summary: EventOf<"summary">;
  readonly ancestry: Ancestry;
  /** What the command could have used of the machine's memory, in bytes. */
  readonly machineRoom?: number;
  readonly limit: {
    /** Bytes. */
    readonly requested: number | undefined;
    /** Why no cgroup could be created for the command, which then ran without the requested limit. */
    readonly refused: string | undefined;
  };
}

export function commandReport(facts: CommandFacts) {
  const { command, status, events, summary, ancestry, machineRoom } = facts;
  const { requested, refused } = facts.limit;
  const deltas = summary.cgroups[0];
  const kills = events.flatMap((event): Kill[] =>
    event.type === "oom_kill" ? [{ cgroup: event.cgroup, victim: event.victim }] : []
  );
  const { limit, scope, owner } = boundOf(ancestry, machineRoom);
  const peak = deltas?.peak ?? null;
  const verdict = verdictOf(kills.length, deltas);
  return {
    v: 2 as const,
    ts: timestamp(Date.now()),
    command,
    /** As in a shell: 128 + N for signal N. */
    exit_code: status.code,
    signal: status.signal,
    seconds: summary.seconds,
    cgroup: summary.cgroup,
    /** True when no cgroup could be created for the command: the figures include everything in oomkit's own cgroup. */
    own_cgroup: refused !== undefined,
    /** Of `--limit`, in bytes, and why the command ran without it. */
    requested_limit: requested ?? null,
    limit_refused: requested === undefined ? null : refused ?? null,
    /** Effective limit in bytes, what sets it, and the cgroup for the scope `cgroup`. */
    limit,
    limit_scope: limit === null ? null : scope,
    limit_owner: owner ?? null,
    peak,
    /** Of the limit, at the peak. */
    headroom: limit === null || peak === null ? null : Math.max(0, limit - peak),
    max: deltas?.max ?? null,
    oom: deltas?.oom ?? null,
    oom_kill: deltas?.oom_kill ?? null,
    kills,
    verdict,
    /** How the command ended, and the verdict, in words. */
    ending: status.signal ? `was killed by ${status.signal}` : `exited with ${status.code}`,
    verdict_text: verdictText(verdict, kills),
  };
}

/** The effective limit, unless less of the machine's memory was left for the command. */
function boundOf({ limit }: Ancestry, machineRoom = Infinity) {
  if (limit.bytes === Infinity) return { limit: null, scope: limit.scope, owner: undefined };
  return machineRoom < limit.bytes
    ? { limit: machineRoom, scope: "system" as const, owner: undefined }
    : { limit: limit.bytes, scope: limit.scope, owner: limit.owner };
}

/** `unknown` when the counters could not be read. */
function verdictOf(kills: number, deltas: CounterDeltas | undefined): CommandVerdict {
  if (kills > 0) return "oom_killed";
  if (deltas === undefined || deltas.oom_kill === null || deltas.max === null) return "unknown";
  return deltas.max > 0n ? "limit_hit" : "fine";
}

function verdictText(verdict: CommandVerdict, kills: readonly Kill[]): string {
  switch (verdict) {
    case "unknown":
      return "the counters could not be read, so OOM kills are unknown";
    case "fine":
      return "no OOM kill";
    case "limit_hit":
      return "no OOM kill, but the limit was hit and the kernel had to reclaim";
    case "oom_killed": {
      const pids = kills.flatMap(({ victim }) =>
        victim ? [`pid ${victim.pid} (${victim.comm})`] : []
      );
      const what = kills.length === 1 ? "1 process" : `${kills.length} processes`;
      return `the kernel killed ${what} (out of memory)${
        pids.length > 0 ? `: ${pids.join(", ")}` : ""
      }`;
    }
  }
}
