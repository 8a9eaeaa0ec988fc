/** Rows and views for the tests of the live view. */

import { NO_COUNTS, type Row } from "../../../cli/live/rows.ts";
import { firstView, type View, withRows } from "../../../cli/live/view.ts";
import type { OomkitEvent } from "../../../core/events/event.ts";

export const MIB = 1024 ** 2;

export function row(path: string, rest: Partial<Row> = {}): Row {
  return {
    path,
    usage: 32 * MIB,
    workingSet: 16 * MIB,
    limit: 64 * MIB,
    headroom: 32 * MIB,
    rate: 0,
    timeLeft: Infinity,
    history: [],
    marks: [],
    counts: NO_COUNTS,
    isRemoved: false,
    ...rest,
  };
}

export function view(rows: readonly Row[], rest: Partial<View> = {}): View {
  const hasPressure = rows.some(({ pressure }) => pressure !== undefined);
  return withRows({
    ...firstView("watch"),
    clock: "10:02:19",
    since: "09:58:00",
    hasPressure,
    ...rest,
  }, rows);
}

export function kill(cgroup: string, pid: number): OomkitEvent {
  return {
    v: 2,
    // Local time without a zone, so that the test does not depend on the time zone.
    ts: "2026-01-02T10:02:19.005",
    cgroup,
    container_id: null,
    pod_uid: null,
    source: "kmsg",
    type: "oom_kill",
    victim: {
      pid,
      comm: "tail",
      uid: 0,
      anon_rss: 60 * MIB,
      file_rss: null,
      shmem_rss: null,
      oom_score_adj: null,
    },
    limit_owner: cgroup,
    limit: 64 * MIB,
    scope: "cgroup",
    inferred: false,
  };
}
