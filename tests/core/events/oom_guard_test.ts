import assert from "node:assert/strict";
import { type ActionBody, type CandidateJson, makeEvent } from "../../../core/events/event.ts";
import { oomGuardEvent } from "../../../core/events/oom_guard.ts";

const PATH = "/kubepods/burstable/pod3d6329e5-455f-11e9-a7e5-06925242d7ea/" +
  "223d4795cc3b33e28e702f72e0497e1153c4a809de6b4363f27acc12a6781cdb";

const STAT = `cache 20480
rss 205938688
rss_huge 199229440
mapped_file 0
dirty 0
writeback 0
pgpgin 1842
pgpgout 104
pgfault 2059
pgmajfault 0
inactive_anon 8192
active_anon 203816960
inactive_file 0
active_file 0
unevictable 0
hierarchical_memory_limit 209715200
total_cache 20480
total_rss 205938688
total_rss_huge 199229440
total_mapped_file 0
total_dirty 0
total_writeback 0
total_pgpgin 1842
total_pgpgout 104
total_pgfault 2059
total_pgmajfault 0
total_inactive_anon 8192
total_active_anon 203816960
total_inactive_file 0
total_active_file 0
total_unevictable 0
`;

/** The message of the Kubernetes event in oom-guard's document. */
const VECTOR = '{"hostname":"172.21.16.23","timestamp":"2019-03-13T07:12:14.561650646Z",' +
  '"oomcgroup":"/sys/fs/cgroup/memory/kubepods/burstable/' +
  "pod3d6329e5-455f-11e9-a7e5-06925242d7ea/" +
  '223d4795cc3b33e28e702f72e0497e1153c4a809de6b4363f27acc12a6781cdb",' +
  '"proccgroup":"/sys/fs/cgroup/memory/kubepods/burstable/' +
  "pod3d6329e5-455f-11e9-a7e5-06925242d7ea/" +
  '223d4795cc3b33e28e702f72e0497e1153c4a809de6b4363f27acc12a6781cdb",' +
  '"threshold":205520896,"usage":206483456,"killed":"16481(fakeOOM) ",' +
  '"stats":"cache 20480|rss 205938688|rss_huge 199229440|mapped_file 0|dirty 0|writeback 0|' +
  "pgpgin 1842|pgpgout 104|pgfault 2059|pgmajfault 0|inactive_anon 8192|" +
  "active_anon 203816960|inactive_file 0|active_file 0|unevictable 0|" +
  "hierarchical_memory_limit 209715200|total_cache 20480|total_rss 205938688|" +
  "total_rss_huge 199229440|total_mapped_file 0|total_dirty 0|total_writeback 0|" +
  "total_pgpgin 1842|total_pgpgout 104|total_pgfault 2059|total_pgmajfault 0|" +
  "total_inactive_anon 8192|total_active_anon 203816960|total_inactive_file 0|" +
  'total_active_file 0|total_unevictable 0|","policy":"Container"}';

const around = {
  hostname: "172.21.16.23",
  directoryOf: (path: string) => `/sys/fs/cgroup/memory${path}`,
  stat: STAT,
};

const victim: CandidateJson = {
  pid: 16481,
  comm: "fakeOOM",
  cmdline: ["/fakeOOM"],
  cgroup: PATH,
  rss: 205938688,
  oom_score_adj: 0,
  badness: 205938688,
  preference: "none",
  preference_reason: null,
};

const body: ActionBody = {
  type: "action",
  action: "container",
  level: "imminent",
  mode: "notify",
  dry_run: false,
  signal: "SIGKILL",
  victim,
  killed_cgroup: PATH,
  candidates: [victim],
  usage_before: 206483456,
  usage_after: 0,
  limit: 209715200,
  level_bytes: 205520896,
  outcome: "killed",
  reason: null,
  count: null,
  freed: 206483456,
  signal_ms: 0.1,
  exit_ms: 1,
  freed_ms: 2,
};

const told = (more: Partial<ActionBody> = {}, at = 0) => {
  const event = { ...makeEvent(at, PATH, "eventfd", body), ...body, ...more };
  return oomGuardEvent(event, around);
};

Deno.test("a container that was ended is told byte for byte as oom-guard's document shows it", () => {
  const head = { ...makeEvent(0, PATH, "eventfd", body), ts: "2019-03-13T07:12:14.561650646Z" };
  assert.equal(oomGuardEvent({ ...head, ...body }, around), VECTOR);
});

Deno.test("the time has nine digits", () => {
  const at = Date.parse("2019-03-13T07:12:14.561Z") + 0.625;
  assert.equal(JSON.parse(told({}, at)!).timestamp, "2019-03-13T07:12:14.561625000Z");
});

Deno.test("a process is told with the cgroup that it was in, and the other policy", () => {
  const inner = { ...victim, cgroup: `${PATH}/inner` };
  const event = JSON.parse(told({ action: "process", killed_cgroup: null, victim: inner })!);
  assert.equal(event.oomcgroup, `/sys/fs/cgroup/memory${PATH}`);
  assert.equal(event.proccgroup, `/sys/fs/cgroup/memory${PATH}/inner`);
  assert.equal(event.policy, "Process");
});

Deno.test("the container that was ended may lie beneath the cgroup whose limit was near", () => {
  const event = JSON.parse(told({ killed_cgroup: `${PATH}/inner`, victim: null })!);
  assert.equal(event.oomcgroup, `/sys/fs/cgroup/memory${PATH}`);
  assert.equal(event.proccgroup, `/sys/fs/cgroup/memory${PATH}/inner`);
  assert.equal(event.killed, "");
});

Deno.test("only what was ended is told", () => {
  for (
    const outcome of ["survived", "dry_run", "failed", "reclaimed", "signalled", "ok"] as const
  ) {
    assert.equal(told({ outcome }), undefined, outcome);
  }
  for (const action of ["signal", "reclaim", "exec"] as const) {
    assert.equal(told({ action }), undefined, action);
  }
});

Deno.test("a process name cannot break the line", () => {
  const line = told({ victim: { ...victim, comm: 'a"\n|\\' } })!;
  assert.ok(!line.includes("\n"));
  assert.equal(JSON.parse(line).killed, '16481(a"\n|\\) ');
});
