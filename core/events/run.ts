/** The verdict on a command that ran in a watched cgroup; docs/schema/run.schema.json. */

import type { Ancestry } from "../cgroup/ancestry.ts";
import { omitUndefined } from "../omit_undefined.ts";
import type { CounterDeltas, KernelVictim, OomkitEvent } from "./event.ts";
import { timestamp } from "./event.ts";

export interface RunReport {
  readonly v: 2;
  readonly ts: string;
  readonly command: readonly string[];
  /** As a shell says it: 128 + N for signal N. */
  readonly exit_code: number;
  readonly signal: string | null;
  readonly seconds: number;
  readonly cgroup: string;
  /** True when no cgroup could be made for it: the figures are those of everything in the own cgroup. */
  readonly own_cgroup: boolean;
  /** Bytes; the effective limit and who set it. */
  readonly limit: number | null;
  readonly limit_owner: string | null;
  readonly peak: number | null;
  /** Of the limit, at the peak. */
  readonly headroom: number | null;
  readonly max: bigint | null;
  readonly oom: bigint | null;
  readonly oom_kill: bigint | null;
  readonly kills: readonly { readonly cgroup: string; readonly victim: KernelVictim | null }[];
  /** `unknown` where the counters could not be read. */
  readonly verdict: "fine" | "limit_hit" | "oom_killed" | "unknown";
  /** The same two in words. */
  readonly ending: string;
  readonly verdict_text: string;
}

export interface RunFacts {
  readonly command: readonly string[];
  readonly status: Deno.CommandStatus;
  readonly events: readonly OomkitEvent[];
  readonly summary: OomkitEvent & { readonly type: "summary" };
  readonly ancestry: Ancestry;
  readonly own: boolean;
}

export function judge({ command, status, events, summary, ancestry, own }: RunFacts): RunReport {
  const deltas = summary.cgroups[0];
  const kills = events.flatMap((event) =>
    event.type === "oom_kill" ? [{ cgroup: event.cgroup, victim: event.victim }] : []
  );
  const { bytes, owner } = omitUndefined({ ...ancestry.limit });
  const limit = bytes === Infinity ? null : bytes ?? null;
  const peak = deltas?.peak ?? null;
  const verdict = verdictOf(kills.length, deltas);
  return {
    v: 2,
    ts: timestamp(Date.now()),
    command,
    exit_code: status.code,
    signal: status.signal,
    seconds: summary.seconds,
    cgroup: summary.cgroup,
    own_cgroup: own,
    limit,
    limit_owner: owner ?? null,
    peak,
    headroom: limit === null || peak === null ? null : Math.max(0, limit - peak),
    max: deltas?.max ?? null,
    oom: deltas?.oom ?? null,
    oom_kill: deltas?.oom_kill ?? null,
    kills,
    verdict,
    ending: status.signal ? `was ended by ${status.signal}` : `exited with ${status.code}`,
    verdict_text: verdictText(verdict, kills),
  };
}

function verdictOf(kills: number, deltas: CounterDeltas | undefined): RunReport["verdict"] {
  if (kills > 0) return "oom_killed";
  if (deltas === undefined || deltas.oom_kill === null || deltas.max === null) return "unknown";
  return deltas.max > 0n ? "limit_hit" : "fine";
}

function verdictText(verdict: RunReport["verdict"], kills: RunReport["kills"]): string {
  if (verdict === "unknown") return "whether something was killed cannot be told";
  if (verdict === "fine") return "no OOM kill";
  if (verdict === "limit_hit") {
    return "no OOM kill, but the limit was hit and the kernel had to reclaim";
  }
  const pids = kills.flatMap(({ victim }) => victim ? [`pid ${victim.pid} (${victim.comm})`] : []);
  const what = kills.length === 1 ? "1 process" : `${kills.length} processes`;
  return `the kernel killed ${what} for memory${pids.length > 0 ? `: ${pids.join(", ")}` : ""}`;
}
