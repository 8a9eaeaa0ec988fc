import assert from "node:assert/strict";
import { type Body, type KillBody, makeEvent } from "../../../core/events/event.ts";
import { oomGuardEvent } from "../../../core/events/oom_guard.ts";
import { actionFields, candidate, killBody } from "../../helpers/guard_events.ts";

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

const context = {
  hostname: "172.21.16.23",
  directoryOf: (path: string) => `/sys/fs/cgroup/memory${path}`,
  stat: STAT,
};

const victim = { ...candidate, pid: 16481, comm: "fakeOOM", cgroup: PATH };

const json = (body: Body, ts?: string) => {
  const event = makeEvent(0, PATH, "eventfd", body);
  assert.equal(event.type, "action");
  return event.type === "action"
    ? oomGuardEvent({ ...event, ...ts && { ts } }, context)
    : undefined;
};

const kill = (changes: Partial<KillBody> = {}) =>
  killBody({
    action: "container",
    victim,
    killed_cgroup: PATH,
    usage_before: 206483456,
    limit: 209715200,
    level_bytes: 205520896,
    ...changes,
  });

Deno.test("a killed container is reported byte for byte as in oom-guard's document", () => {
  assert.equal(json(kill(), "2019-03-13T07:12:14.561650646Z"), VECTOR);
});

Deno.test("the time has nine digits", () => {
  const { timestamp } = JSON.parse(json(kill(), "2019-03-13T07:12:14.561625Z")!);
  assert.equal(timestamp, "2019-03-13T07:12:14.561625000Z");
});

Deno.test("a killed process is reported with its cgroup and the policy Process", () => {
  const inner = { ...victim, cgroup: `${PATH}/inner` };
  const event = JSON.parse(json(kill({ action: "process", killed_cgroup: null, victim: inner }))!);
  assert.equal(event.oomcgroup, `/sys/fs/cgroup/memory${PATH}`);
  assert.equal(event.proccgroup, `/sys/fs/cgroup/memory${PATH}/inner`);
  assert.equal(event.policy, "Process");
});

Deno.test("the killed container may be a descendant of the guarded cgroup", () => {
  const event = JSON.parse(json(kill({ killed_cgroup: `${PATH}/inner`, victim: null }))!);
  assert.equal(event.oomcgroup, `/sys/fs/cgroup/memory${PATH}`);
  assert.equal(event.proccgroup, `/sys/fs/cgroup/memory${PATH}/inner`);
  assert.equal(event.killed, "");
});

Deno.test("only kills are reported", () => {
  for (const outcome of ["survived", "dry_run", "failed"] as const) {
    assert.equal(json(kill({ outcome })), undefined, outcome);
  }
  const others: Body[] = [
    { ...actionFields, action: "signal", outcome: "signalled", signal: "SIGUSR1", count: 1 },
    { ...actionFields, action: "reclaim", outcome: "reclaimed" },
    { ...actionFields, action: "exec", outcome: "ok" },
  ];
  for (const body of others) assert.equal(json(body), undefined);
});

Deno.test("a process name cannot break the line", () => {
  const line = json(kill({ victim: { ...victim, comm: 'a"\n|\\' } }))!;
  assert.ok(!line.includes("\n"));
  assert.equal(JSON.parse(line).killed, '16481(a"\n|\\) ');
});
