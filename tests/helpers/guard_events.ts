/** Bodies of the guard's events, for tests of what consumes them. */

import type { CandidateJson, KillBody } from "../../core/events/event.ts";

const MIB = 1024 ** 2;

export const candidate: CandidateJson = {
  pid: 4242,
  comm: "java",
  cmdline: ["java", "-jar", "x.jar"],
  cgroup: "/a/b",
  rss: 60 * MIB,
  oom_score_adj: 0,
  badness: 61 * MIB,
  preference: "none",
  preference_reason: null,
};

/** Fields of every action. */
export const actionFields = {
  type: "action",
  level: "imminent",
  mode: "notify",
  dry_run: false,
  usage_before: 62.7 * MIB,
  limit: 64 * MIB,
  level_bytes: 62.7 * MIB,
  reason: null,
} as const;

export const killBody = (changes: Partial<KillBody> = {}): KillBody => ({
  ...actionFields,
  action: "process",
  signal: "SIGKILL",
  victim: candidate,
  killed_cgroup: null,
  candidates: [candidate],
  usage_after: 2.7 * MIB,
  outcome: "killed",
  freed: 60 * MIB,
  signal_ms: 0.12,
  exit_ms: 3.4,
  freed_ms: 3.51,
  ...changes,
});
