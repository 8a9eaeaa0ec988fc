/** A recording with two kills, made up line by line: the same at each run. */

import type { RecordingLine } from "../../core/record/format.ts";

export const MIB = 1024 ** 2;
/** 2026-11-22 10:00:00 UTC. */
export const START = Date.UTC(2026, 10, 22, 10);
const PARENT = "/kubepods/burstable";
const LIMIT = 64 * MIB;

const marks = [
  { name: "warn", bytes: 41.6 * MIB },
  { name: "critical", bytes: 57.6 * MIB },
  { name: "imminent", bytes: 62.7 * MIB },
].map(({ name, bytes }) => ({ name, bytes: Math.floor(bytes) }));

const at = (seconds: number) => START + 1000 * seconds;

const cgroup = (id: number, name: string): RecordingLine => ({
  type: "cgroup",
  at: at(0),
  id,
  path: `${PARENT}/${name}`,
  usage_cgroup: `${PARENT}/${name}`,
  container_id: null,
  pod_uid: null,
  limit: LIMIT,
  limit_owner: `${PARENT}/${name}`,
  reference_lines: marks,
  policy: null,
  mode: "notify",
  oom_total_bytes: null,
});

const sample = (seconds: number, id: number, mib: number): RecordingLine => ({
  type: "snapshot",
  at: at(seconds),
  id,
  usage: Math.round(mib * MIB),
  inactive_file: 2 * MIB,
  sampled: true,
});

function event(seconds: number, name: string, fields: Record<string, unknown>): RecordingLine {
  const ts = new Date(at(seconds)).toISOString();
  const common = { v: 2, ts, cgroup: `${PARENT}/${name}`, source: "none" };
  return { type: "event", at: at(seconds), event: { ...common, ...fields } as never };
}

const victim = (pid: number, comm: string) => ({ pid, comm, anon_rss: 60 * MIB });

/** `api` is steady, `batch` is killed by the guard after 60 s and removed, `cache` by the kernel after 120 s. Three minutes. */
export const incident: readonly RecordingLine[] = [
  {
    type: "recording",
    at: at(0),
    v: 2,
    command: "guard",
    oomkit: "0.1.0",
    host: "node7",
    kernel: "6.1.0",
    hierarchy: 2,
    policies: [],
  },
  cgroup(0, "api"),
  cgroup(1, "batch"),
  cgroup(2, "cache"),
  sample(0, 0, 20),
  sample(0, 1, 4),
  sample(0, 2, 30),
  ...Array.from({ length: 29 }, (_, step) => sample(2 + 2 * step, 1, 6 + 2 * step)),
  event(58, "batch", {
    type: "level_reached",
    level: "imminent",
    metric: "usage",
    metric_value: Math.round(62.8 * MIB),
    limit: LIMIT,
    rate: MIB,
  }),
  event(60, "batch", {
    type: "action",
    action: "process",
    level: "imminent",
    outcome: "killed",
    reason: null,
    signal: "SIGKILL",
    victim: victim(4971, "python3"),
    killed_cgroup: null,
    usage_before: Math.round(62.8 * MIB),
    limit: LIMIT,
    ...{ freed: 60 * MIB, signal_ms: 0.6, exit_ms: 11.6, freed_ms: 11.7 },
  }),
  sample(60.1, 1, 1),
  { type: "gone", at: at(62), id: 1 },
  ...Array.from({ length: 30 }, (_, step) => sample(62 + 2 * step, 2, 31 + 1.1 * step)),
  event(120, "cache", {
    type: "oom_kill",
    victim: victim(5123, "redis"),
    limit: LIMIT,
    limit_owner: `${PARENT}/cache`,
    scope: "cgroup",
    inferred: false,
  }),
  sample(120.1, 2, 3),
  sample(180, 0, 24),
  { type: "end", at: at(180), reason: "ended" },
];

export const incidentText = (): string =>
  incident.map((line) => `${JSON.stringify(line)}\n`).join("");
