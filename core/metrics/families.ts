/** Everything that is measured, by name; units are seconds and bytes. Pure. */

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
  silence: gauge(
    "oomkit_guard_sentry_silence_seconds",
    "Time since the thread that decides was last seen to turn; it turns once a second at least.",
  ),

  guarded: gauge("oomkit_guarded_cgroups", "Cgroups that are guarded now, by mode."),
  watched: gauge("oomkit_watched_cgroups", "Cgroups that are watched now."),
  unlisted: gauge(
    "oomkit_unlisted_cgroups",
    "Followed cgroups without series of their own: those with most headroom beyond the bound on cardinality.",
  ),
  sweepDuration: gauge(
    "oomkit_sweep_duration_seconds",
    "Time that the last round of reads over all followed cgroups took.",
  ),
  sweepTime: gauge(
    "oomkit_sweep_timestamp_seconds",
    "When the last round of reads over all followed cgroups was over, since unix epoch.",
  ),

  usage: gauge(
    "oomkit_cgroup_memory_usage_bytes",
    "Memory charged to the cgroup and everything beneath it.",
  ),
  workingSet: gauge(
    "oomkit_cgroup_memory_working_set_bytes",
    "Usage less inactive page cache.",
  ),
  limit: gauge(
    "oomkit_cgroup_memory_limit_bytes",
    "The tightest limit in the cgroup's ancestry; no series where there is none.",
  ),
  headroom: gauge(
    "oomkit_cgroup_memory_headroom_bytes",
    "What is left until a limit in the cgroup's ancestry is hit; no series where there is none.",
  ),
  threshold: gauge(
    "oomkit_guard_threshold_bytes",
    "Usage at which the guard strikes, of the limit that it guards.",
  ),
  pressureSome: counter(
    "oomkit_cgroup_memory_pressure_some_seconds_total",
    "Time in which at least one task of the cgroup waited for memory (PSI).",
  ),
  pressureFull: counter(
    "oomkit_cgroup_memory_pressure_full_seconds_total",
    "Time in which all tasks of the cgroup waited for memory at once (PSI).",
  ),
  cgroupKills: counter(
    "oomkit_cgroup_oom_kills_total",
    'Processes that the kernel killed, by cgroup; what was forgotten to stay bounded is in cgroup="other".',
  ),

  events: counter("oomkit_events_total", "Events told, by type."),
  kills: counter(
    "oomkit_oom_kills_total",
    "Processes that the kernel killed for want of memory, by what ran out: a cgroup or the system.",
  ),
  degraded: counter(
    "oomkit_degraded_total",
    "Things that were wanted and could not be had, so that something lesser stands in.",
  ),
  levels: counter("oomkit_guard_levels_total", "Times that a level was reached."),
  actions: counter("oomkit_guard_actions_total", "What the guard did, by outcome and level."),
  letGo: counter(
    "oomkit_guard_let_go_total",
    "Times that a level was reached and nothing had to die, by why.",
  ),
  restores: counter(
    "oomkit_guard_restores_total",
    "Files that the guard had changed and was to put back, by outcome.",
  ),
  freed: counter("oomkit_guard_freed_bytes_total", "Memory that the guard's actions freed."),
  seenToSignal: histogram(
    "oomkit_guard_seen_to_signal_seconds",
    "From when a level was seen to be reached until the victim was signalled.",
  ),
  seenToDeath: histogram(
    "oomkit_guard_seen_to_death_seconds",
    "From when a level was seen to be reached until the victim was dead.",
  ),
  seenToFree: histogram(
    "oomkit_guard_seen_to_free_seconds",
    "From when a level was seen to be reached until memory was free.",
  ),

  waiting: gauge("oomkit_reports_waiting", "Reports that wait for their receiver."),
  delivered: counter("oomkit_reports_delivered_total", "Reports that were delivered."),
  dropped: counter("oomkit_reports_dropped_total", "Reports that nobody will get."),
  failed: counter("oomkit_reports_failed_total", "Tries to deliver a report that failed."),
} as const satisfies Readonly<Record<string, Definition>>;
