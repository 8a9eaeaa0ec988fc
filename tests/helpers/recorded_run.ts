/** Synthetic recordings for tests. */

import type { RecordedSnapshot, RecordingHead, RecordingLine } from "../../core/record/format.ts";
import { type Body, makeEvent } from "../../core/events/event.ts";

export const MIB = 1024 ** 2;
export const START = Date.UTC(2026, 10, 22, 4, 56, 2, 350);

export const head: RecordingHead = {
  type: "recording",
  v: 2,
  at: START,
  command: "guard",
  oomkit: "0.1.0 (0123456789ab)",
  host: "node-7.example",
  kernel: "6.12.0-amd64",
  hierarchy: 2,
  policies: null,
};

export interface MadeCgroup {
  readonly path: string;
  readonly limit?: number | null;
  readonly reference_lines?: boolean;
}

export function cgroupLine(
  id: number,
  { path, limit = 512 * MIB, reference_lines }: MadeCgroup,
  at = START,
) {
  const mark = (name: string, share: number) => ({ name, bytes: Math.round(limit! * share) });
  return {
    type: "cgroup",
    at,
    id,
    path,
    usage_cgroup: path,
    container_id: null,
    pod_uid: null,
    limit,
    limit_owner: limit === null ? null : path,
    reference_lines: reference_lines
      ? [mark("warn", 0.65), mark("critical", 0.9), mark("imminent", 0.95)]
      : [],
    policy: null,
    mode: null,
    oom_total_bytes: null,
  } as const;
}

export const eventLine = (at: number, cgroup: string, body: Body): RecordingLine => ({
  type: "event",
  at,
  event: makeEvent(at, cgroup, "kmsg", body),
});

export const snapshot = (
  at: number,
  id: number,
  usage: number,
  rest: Partial<RecordedSnapshot> = {},
): RecordingLine => ({ type: "snapshot", at, id, usage, ...rest });

export const killBody = (comm: string, pid = 4242, limit = 512 * MIB): Body => ({
  type: "oom_kill",
  victim: {
    pid,
    comm,
    uid: 1000,
    anon_rss: 488 * MIB,
    file_rss: 3 * MIB,
    shmem_rss: 0,
    oom_score_adj: 0,
  },
  limit_owner: null,
  limit,
  scope: "cgroup",
  inferred: false,
});

export const levelReachedEvent = (
  level: "warn" | "critical" | "imminent",
  usage: number,
): Body => ({
  type: "level_reached",
  level,
  usage,
  metric_value: usage,
  metric: "usage",
  level_bytes: usage,
  limit: 512 * MIB,
  rate: 12 * MIB,
});

export const endLine = (at: number): RecordingLine => ({ type: "end", at, reason: "ended" });

/**
 * Usage that oscillates and rises towards the limit, with page cache and stalls; the same at every call.
 */
export function* climb(
  id: number,
  cgroup: MadeCgroup,
  points: number,
  seconds: number,
  maxShare = 1,
): Generator<RecordingLine> {
  const limit = cgroup.limit ?? 512 * MIB;
  yield cgroupLine(id, cgroup);
  for (let n = 0; n < points; n++) {
    const share = n / points;
    const at = START + seconds * 1000 * share;
    const wave = 0.06 * Math.sin(share * 40 + id) + 0.025 * Math.sin(share * 311 + 2 * id) +
      0.012 * Math.sin(n * 1.7);
    const usage = Math.round(
      limit * maxShare * Math.min(1, 0.28 + 0.72 * share ** 2 + wave * (1 - share)),
    );
    const some = Math.max(0, 80 * (share - 0.75)) + (n % 40 === 0 ? 3 : 0);
    yield snapshot(at, id, usage, {
      inactive_file: Math.round(usage * (0.22 - 0.15 * share)),
      some,
      full: some * 0.6,
    });
  }
}

/** One guarded cgroup, until the kernel kills a process in it. */
export function* killedRun(points = 600): Generator<RecordingLine> {
  const path = "/kubepods.slice/kubepods-burstable.slice/payments-api";
  const seconds = 180;
  const at = (share: number) => START + seconds * 1000 * share;
  yield head;
  yield* climb(1, { path, reference_lines: true }, points, seconds);
  yield eventLine(at(0.68), path, levelReachedEvent("warn", 0.65 * 512 * MIB));
  yield eventLine(at(0.93), path, levelReachedEvent("critical", 0.9 * 512 * MIB));
  yield eventLine(at(0.985), path, {
    type: "max",
    count: 12n,
    usage: 512 * MIB,
  });
  yield eventLine(at(0.995), path, {
    type: "oom",
    count: 1n,
    usage: 512 * MIB,
    limit_owner: path,
    limit: 512 * MIB,
  });
  yield eventLine(at(0.9955), path, killBody("java"));
  yield endLine(at(1));
}

/** Several watched cgroups; a process is killed in one of them. */
export function* crowdedRun(count = 9, points = 400): Generator<RecordingLine> {
  const names = ["payments-api", "search-index", "ledger", "cache", "mailer", "gateway", "cron"];
  yield { ...head, command: "watch" };
  for (let id = 1; id <= count; id++) {
    const name = names[id - 1] ?? `worker-${id}`;
    const path = `/system.slice/${name}.service`;
    yield* climb(
      id,
      { path, limit: (256 + 96 * id) * MIB },
      points,
      3600,
      Math.max(0.05, 1 - id * 0.07),
    );
  }
  yield eventLine(START + 3_400_000, "/system.slice/payments-api.service", killBody("java"));
  yield eventLine(START + 1_000_000, "/system.slice/cache.service", {
    type: "limit_changed",
    from: 512 * MIB,
    to: 640 * MIB,
  });
  yield endLine(START + 3_600_000);
}
