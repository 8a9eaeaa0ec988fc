/** Names, types and help texts of all metrics. Units are seconds and bytes. Pure. */

import type { Definition } from "./text.ts";

const counter = (name: string, help: string) => ({ name, help, type: "counter" }) as const;
const gauge = (name: string, help: string) => ({ name, help, type: "gauge" }) as const;
const histogram = (name: string, help: string) => ({ name, help, type: "histogram" }) as const;

export const FAMILIES = {
  buildInfo: gauge("oomkit_build_info", "Version and command of this oomkit; always 1."),
  healthy: gauge("oomkit_healthy", "1 while /healthz says ok, else 0."),
  ready: gauge("oomkit_ready", "1 while /readyz says ok, else 0."),
  startTime: gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
  ),
  resident: gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
  cpu: counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."),
  heartbeatAge: gauge(
    "oomkit_guard_heartbeat_age_seconds",
    "Time since the last heartbeat of the monitor thread, which beats at least once a second.",
  ),

  guarded: gauge("oomkit_guarded_cgroups", "Cgroups guarded now, by mode."),
  watched: gauge("oomkit_watched_cgroups", "Cgroups watched now."),
  omitted: gauge(
    "oomkit_cgroups_omitted",
    "Cgroups left out of the per-cgroup series: those with the most headroom, beyond the cardinality limit.",
  ),
  collectDuration: gauge(
    "oomkit_collect_duration_seconds",
    "Duration of the last read of all cgroups.",
  ),
  collectTime: gauge(
    "oomkit_collect_timestamp_seconds",
    "Unix time at the end of the last read of all cgroups.",
  ),

  usage: gauge(
    "oomkit_cgroup_memory_usage_bytes",
    "Memory charged to the cgroup and its descendants.",
  ),
  workingSet: gauge(
    "oomkit_cgroup_memory_working_set_bytes",
    "Usage less inactive page cache.",
  ),
  limit: gauge(
    "oomkit_cgroup_memory_limit_bytes",
    "The tightest limit in the cgroup's ancestry; no series without a limit.",
  ),
  headroom: gauge(
    "oomkit_cgroup_memory_headroom_bytes",
    "Memory left until a limit in the cgroup's ancestry is hit; no series without a limit.",
  ),
  imminent: gauge(
    "oomkit_guard_imminent_bytes",
    "Usage at which the imminent level begins.",
  ),
  pressureSome: counter(
    "oomkit_cgroup_memory_pressure_some_seconds_total",
    "Time in which at least one task of the cgroup waited for memory (PSI).",
  ),
  pressureFull: counter(
    "oomkit_cgroup_memory_pressure_full_seconds_total",
    "Time in which all tasks of the cgroup waited for memory at the same time (PSI).",
  ),
  cgroupKills: counter(
    "oomkit_cgroup_oom_kills_total",
    'Processes killed by the kernel, by cgroup; cgroups dropped to bound the cardinality count in cgroup="other".',
  ),

  events: counter("oomkit_events_total", "Events emitted, by type."),
  kills: counter(
    "oomkit_oom_kills_total",
    "Processes killed by the kernel's OOM killer, by scope: cgroup or system.",
  ),
  degraded: counter(
    "oomkit_degraded_total",
    "Fallbacks in use because the requested mechanism was not available.",
  ),
  levels: counter("oomkit_guard_levels_total", "Times a level was reached."),
  actions: counter("oomkit_guard_actions_total", "Actions of the guard, by outcome and level."),
  actionsSkipped: counter(
    "oomkit_guard_actions_skipped_total",
    "Times a level was reached but no action was taken, by reason.",
  ),
  restores: counter(
    "oomkit_guard_restores_total",
    "Control files restored by the guard, by outcome.",
  ),
  freed: counter("oomkit_guard_freed_bytes_total", "Memory freed by the actions of the guard."),
  killLatency: histogram(
    "oomkit_guard_kill_latency_seconds",
    "Time from the read that showed the level reached until the signal was sent, the victim exited, or memory was free, by stage.",
  ),

  pending: gauge("oomkit_notifications_pending", "Notifications queued for a receiver."),
  sent: counter("oomkit_notifications_sent_total", "Notifications delivered to a receiver."),
  dropped: counter(
    "oomkit_notifications_dropped_total",
    "Notifications dropped because a queue was full.",
  ),
  failed: counter(
    "oomkit_notifications_failed_total",
    "Failed attempts to deliver a notification.",
  ),
} as const satisfies Readonly<Record<string, Definition>>;
