import type { CommandReport } from "../../core/events/command_report.ts";

/** On a command that was fine. */
export const RUN: CommandReport = {
  v: 2,
  ts: "",
  command: ["make"],
  exit_code: 0,
  signal: null,
  seconds: 1,
  cgroup: "/a",
  own_cgroup: false,
  requested_limit: null,
  limit_refused: null,
  limit: 1000,
  limit_scope: "cgroup",
  limit_owner: "/a",
  peak: 500,
  headroom: 500,
  max: 0n,
  oom: 0n,
  oom_kill: 0n,
  kills: [],
  verdict: "fine",
  ending: "exited with 0",
  verdict_text: "no OOM kill",
};
