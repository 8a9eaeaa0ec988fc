/** A status of a guard, for tests of what is made of it. */

import type { CgroupStatus, GuardStatus, LastAction } from "../../core/status/format.ts";

const MIB = 1024 ** 2;

export const lastAction = (changes: Partial<LastAction> = {}): LastAction => ({
  ts: "2026-11-30T10:02:19.005000Z",
  cgroup: "/a/b",
  action: "process",
  level: "imminent",
  outcome: "killed",
  dry_run: false,
  message: "pid 42 (tail) killed by SIGKILL at 63.0 MiB of 64.0 MiB",
  ...changes,
});

/** At rest, half full. */
export const cgroupStatus = (
  cgroup: string,
  changes: Partial<CgroupStatus> = {},
): CgroupStatus => ({
  cgroup,
  container_id: null,
  pod_uid: null,
  rule: null,
  usage: 32 * MIB,
  metric_value: 32 * MIB,
  limit: 64 * MIB,
  limit_owner: cgroup,
  warn: 41 * MIB,
  critical: 57 * MIB,
  imminent: 62 * MIB,
  level: null,
  mode: "hold-near-limit",
  requested_mode: "hold-near-limit",
  memory_high: null,
  throttled: false,
  oom_killer_disabled: false,
  under_oom: false,
  victims: 0,
  guard_kills: 0,
  last_action: null,
  ...changes,
});

export const guardStatus = (changes: Partial<GuardStatus> = {}): GuardStatus => ({
  v: 2,
  ts: "2026-11-30T10:02:20.000000Z",
  version: "0.1.0",
  pid: 4242,
  uid: Deno.uid(),
  started: "2026-11-30T08:00:00.000000Z",
  uptime_seconds: 7340,
  targets: ["/a"],
  recursive: true,
  policies: [{
    rule: null,
    cgroups: 1,
    mode: "auto",
    dry_run: false,
    metric: "usage",
    warn_percent: 65,
    critical_percent: 90,
    actions: { warn: [], critical: ["reclaim"], imminent: ["process"] },
  }],
  scheduling: "SCHED_FIFO",
  heartbeat_age_seconds: 1.5,
  sources: ["kernel log: /dev/kmsg", "events: inotify on memory.events"],
  receivers: [{ receiver: "webhook", pending: 1, sent: 2, dropped: 0, failed: 3 }],
  process: { rss: 90 * MIB, anon_rss: 40 * MIB, cpu_seconds: 7.34 },
  degraded: [],
  victims: 0,
  guard_kills: 0,
  last_actions: [],
  cgroups: [cgroupStatus("/a/b")],
  ...changes,
});
