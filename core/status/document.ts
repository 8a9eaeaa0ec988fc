/** The answer of a guard to `oomkit status`. Loaded when it is asked for: at rest a guard has no memory to spare. */

import process from "node:process";
import { tryReadText } from "../cgroup/files.ts";
import { timestamp } from "../events/event.ts";
import type { Guard } from "../guard/guard.ts";
import { type GuardPolicy, pressureText, swapText } from "../guard/policy.ts";
import { parseKilobytes } from "../parse/procfs.ts";
import { mapActions, recordedActionText } from "../policy/actions.ts";
import type { Activity } from "./activity.ts";
import { readCgroups } from "./cgroups.ts";
import type { GuardStatus } from "./format.ts";

/** What the command knows of its guard. */
export interface StatusSource {
  readonly version: string;
  readonly guard: Pick<
    Guard,
    "guardedCgroups" | "scheduling" | "sources" | "msSinceHeartbeat" | "fallbackCounts"
  >;
  /** As they are named on the command line or in the configuration. */
  readonly targets: readonly string[];
  readonly recursive: boolean;
  /** Those of the rules, and last the default policy. */
  readonly policies: readonly GuardPolicy[];
  readonly receivers: GuardStatus["receivers"];
  readonly activity: Activity;
}

export async function guardStatus(source: StatusSource): Promise<GuardStatus> {
  const { version, guard, targets, recursive, policies, receivers, activity } = source;
  const guarded = guard.guardedCgroups();
  const cgroups = await readCgroups(guarded, activity);
  const { victims, guardKills } = activity.totals;
  const now = Date.now();
  return {
    v: 2,
    ts: timestamp(now),
    version,
    pid: Deno.pid,
    uid: Deno.uid(),
    started: timestamp(performance.timeOrigin),
    uptime_seconds: Math.round(performance.now()) / 1000,
    targets: [...targets],
    recursive,
    policies: policies.map((policy, at) => ({
      rule: policy.rule ?? null,
      cgroups: guarded.filter(({ settings }) => settings.policy === at).length,
      mode: policy.mode,
      dry_run: policy.dryRun,
      metric: policy.metric,
      warn_percent: policy.levels.warn,
      critical_percent: policy.levels.critical,
      swap: swapText(policy),
      psi: pressureText(policy),
      // A command or a URL may hold secrets.
      actions: mapActions(policy.actions, recordedActionText),
    })),
    scheduling: guard.scheduling,
    heartbeat_age_seconds: Math.round(guard.msSinceHeartbeat()) / 1000,
    sources: [...guard.sources()],
    receivers,
    process: ownProcess(),
    degraded: guard.fallbackCounts(),
    victims,
    guard_kills: guardKills,
    last_actions: [...activity.lastActions],
    cgroups,
  };
}

function ownProcess(): GuardStatus["process"] {
  const status = tryReadText("/proc/self/status") ?? "";
  const bytesOf = (key: string) =>
    parseKilobytes(new RegExp(`^${key}:(.*)\n`, "m").exec(status)?.[1]) ?? null;
  const { user, system } = process.cpuUsage();
  return {
    rss: bytesOf("VmRSS"),
    anon_rss: bytesOf("RssAnon"),
    cpu_seconds: (user + system) / 1e6,
  };
}
