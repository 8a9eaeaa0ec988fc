/** Names, types and help texts of all metrics. Units are seconds and bytes. Pure. */

import type { Definition, Family } from "./text.ts";

type Help = Pick<Definition, "type" | "help">;

const counter = (help: string): Help => ({ type: "counter", help });
const gauge = (help: string): Help => ({ type: "gauge", help });
const histogram = (help: string): Help => ({ type: "histogram", help });

const withNames = <Name extends string>(table: Readonly<Record<Name, Help>>) =>
  Object.fromEntries(
    Object.entries<Help>(table).map(([name, rest]) => [name, { name, ...rest }]),
  ) as Readonly<Record<Name, Definition>>;

export const FAMILIES = withNames({
  oomkit_build_info: gauge("Version, commit, command and node of this oomkit; always 1."),
  oomkit_healthy: gauge("1 while /healthz says ok, else 0."),
  oomkit_ready: gauge("1 while /readyz says ok, else 0."),
  process_start_time_seconds: gauge("Start time of the process since unix epoch in seconds."),
  process_resident_memory_bytes: gauge("Resident memory size in bytes."),
  process_cpu_seconds_total: counter("Total user and system CPU time spent in seconds."),
  process_open_fds: gauge("Number of open file descriptors."),
  process_max_fds: gauge("Maximum number of open file descriptors."),
  oomkit_guard_heartbeat_age_seconds: gauge(
    "Time since the last heartbeat of the monitor thread, which beats at least every 5 s.",
  ),

  oomkit_guarded_cgroups: gauge("Cgroups guarded now, by mode."),
  oomkit_watched_cgroups: gauge("Cgroups watched now."),
  oomkit_cgroups_omitted: gauge(
    "Cgroups with less than half of their limit left that have no series of their own, beyond --metrics-max.",
  ),
  oomkit_collect_duration_seconds: gauge("Duration of the last read of all cgroups."),
  oomkit_collect_timestamp_seconds: gauge("Unix time at the end of the last read of all cgroups."),

  oomkit_cgroup_memory_usage_bytes: gauge("Memory charged to the cgroup and its descendants."),
  oomkit_cgroup_memory_working_set_bytes: gauge("Usage less inactive page cache."),
  oomkit_cgroup_memory_limit_bytes: gauge(
    "The tightest limit in the cgroup's ancestry; no series without a limit.",
  ),
  oomkit_cgroup_memory_headroom_bytes: gauge(
    "Memory left until a limit in the cgroup's ancestry is hit, by working sets; no series without a limit.",
  ),
  oomkit_guard_imminent_bytes: gauge("Usage at which the imminent level begins."),
  oomkit_cgroup_memory_pressure_some_seconds_total: counter(
    "Time in which at least one task of the cgroup waited for memory (PSI).",
  ),
  oomkit_cgroup_memory_pressure_full_seconds_total: counter(
    "Time in which all tasks of the cgroup waited for memory at the same time (PSI).",
  ),
  oomkit_cgroup_oom_kills_total: counter(
    'Processes killed by the kernel, by cgroup; cgroups dropped to bound the cardinality count in cgroup="other".',
  ),

  oomkit_events_total: counter("Events emitted, by type; a type has a series once it occurs."),
  oomkit_oom_kills_total: counter(
    "Processes killed by the kernel's OOM killer, by scope (cgroup or system), and whether a policy of this guard kills for the limit that was hit.",
  ),
  oomkit_degraded: gauge(
    "Cgroups that lack a requested mechanism now, so that a fallback is in use; 1 where it affects all alike.",
  ),
  oomkit_guard_levels_total: counter("Times a level was reached."),
  oomkit_guard_actions_total: counter(
    "Actions of the guard, by outcome and level; each has a series once it occurs.",
  ),
  oomkit_guard_actions_skipped_total: counter(
    "Times a level was reached but no action was taken, by reason.",
  ),
  oomkit_guard_restores_total: counter("Control files restored by the guard, by outcome."),
  oomkit_guard_freed_bytes_total: counter("Memory freed by the actions of the guard."),
  oomkit_guard_kill_latency_seconds: histogram(
    "Time from the read that showed the level reached until the signal was sent, the victim exited, or memory was free, by stage.",
  ),

  oomkit_notifications_pending: gauge("Notifications queued for a receiver."),
  oomkit_notifications_sent_total: counter("Notifications delivered to a receiver."),
  oomkit_notifications_dropped_total: counter(
    "Notifications that were never delivered, by event type: the queue was full, the receiver rejected them, or the command failed.",
  ),
  oomkit_notifications_failed_total: counter("Failed attempts to deliver a notification."),
});

export type FamilyName = keyof typeof FAMILIES;

export const family = (name: FamilyName, samples: Family["samples"]): Family => ({
  ...FAMILIES[name],
  samples,
});
