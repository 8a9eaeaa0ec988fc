import assert from "node:assert/strict";
import { parseKmsgRecord } from "../../../core/parse/kmsg.ts";
import { type OomMessage, parseOomMessage } from "../../../core/parse/oom_message.ts";
import { fixture, type Kernel } from "./fixture.ts";

function messages(kernel: Kernel, file: string): OomMessage[] {
  return fixture(kernel, file).trimEnd().split("\n")
    .map((line) => parseOomMessage(parseKmsgRecord(line)!.message))
    .filter((message) => message !== undefined);
}

Deno.test("a real kill in a cgroup is read in full: allocator, limit, victim, sizes", () => {
  assert.deepEqual(messages("6.18-v1", "kmsg"), [
    { kind: "invoked", comm: "tail", oomScoreAdj: 0 },
    { kind: "usage", usage: 20 * 1024 ** 2, limit: 20 * 1024 ** 2 },
    {
      kind: "oom-kill",
      constraint: "CONSTRAINT_MEMCG",
      global: false,
      oomMemcg: "/oomkit-capture",
      taskMemcg: "/oomkit-capture/victim",
      task: "tail",
      pid: 14749,
      uid: 0,
    },
    {
      kind: "killed",
      memcg: true,
      pid: 14749,
      comm: "tail",
      totalVm: 23140 * 1024,
      anonRss: 20224 * 1024,
      fileRss: 1688 * 1024,
      shmemRss: 0,
      pgtables: 80 * 1024,
      uid: 0,
      oomScoreAdj: 0,
    },
  ]);
});

Deno.test("real processes with hostile names keep their own pid", () => {
  for (
    const [kernel, file, comm, pid] of [
      ["6.1-v1", "kmsg_hostile", "a,pid=9,uid=1", 128],
      ["6.1-v2", "kmsg_hostile", "a,pid=9,uid=1", 127],
      ["6.18-v1", "kmsg_hostile", "a,pid=9,uid=1", 14796],
      ["6.18-v1", "kmsg_newline", "a)\n\\ ä (b", 14809],
      ["6.1-v2", "kmsg_newline", "a)\n\\ ä (b", 143],
    ] as const
  ) {
    const found = messages(kernel, file);
    const summary = found.find((message) => message.kind === "oom-kill");
    const killed = found.find((message) => message.kind === "killed");
    assert.deepEqual([summary?.task, summary?.pid, summary?.uid], [comm, pid, 0]);
    assert.deepEqual([killed?.comm, killed?.pid], [comm, pid]);
  }
});

Deno.test("the reaper's line is read", () => {
  assert.deepEqual(messages("6.1-v2", "kmsg_newline").at(-1), {
    kind: "reaped",
    pid: 143,
    comm: "a)\n\\ ä (b",
  });
});

Deno.test("a real group kill names the group, and its first victim twice", () => {
  const found = messages("6.1-v2", "kmsg_group");
  assert.deepEqual(found.map(({ kind }) => kind), [
    "invoked",
    "usage",
    "oom-kill",
    "killed",
    "group",
    "killed",
    "killed",
    "killed",
  ]);
  assert.deepEqual(found[4], { kind: "group", memcg: "/oomkit-capture/group" });
  assert.deepEqual(found.flatMap((message) => message.kind === "killed" ? [message.pid] : []), [
    180,
    180,
    181,
    182,
  ]);
});

Deno.test("a system OOM is global", () => {
  // As torvalds/linux 5.0 and later write it (mm/oom_kill.c, dump_oom_summary).
  const start = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0";
  assert.deepEqual(
    parseOomMessage(`${start},global_oom,task_memcg=/user.slice,task=(sd-pam),pid=4503,uid=0`),
    {
      kind: "oom-kill",
      constraint: "CONSTRAINT_NONE",
      global: true,
      taskMemcg: "/user.slice",
      task: "(sd-pam)",
      pid: 4503,
      uid: 0,
    },
  );
});

Deno.test("without the memory controller the summary has no cgroups", () => {
  const message = parseOomMessage(
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),task=chromium,pid=27368,uid=1000",
  );
  assert.deepEqual(message, {
    kind: "oom-kill",
    constraint: "CONSTRAINT_NONE",
    global: true,
    task: "chromium",
    pid: 27368,
    uid: 1000,
  });
});

Deno.test("kernels before 5.2 write the same in other words", () => {
  const cases: [string, OomMessage][] = [
    [
      "Task in /pod1/c2 killed as a result of limit of /pod1",
      { kind: "task-in", taskMemcg: "/pod1/c2", oomMemcg: "/pod1" },
    ],
    [
      "Memory cgroup out of memory: Kill process 3861 (bash) score 1088 or sacrifice child",
      { kind: "chosen", memcg: true, pid: 3861, comm: "bash" },
    ],
    [
      "Out of memory: Kill process 2279 (Web Content) score 426 or sacrifice child",
      { kind: "chosen", memcg: false, pid: 2279, comm: "Web Content" },
    ],
    [
      "Killed process 3876 (dd) total-vm:8kB, anon-rss:4kB, file-rss:2kB, shmem-rss:1kB",
      {
        kind: "killed",
        pid: 3876,
        comm: "dd",
        totalVm: 8192,
        anonRss: 4096,
        fileRss: 2048,
        shmemRss: 1024,
      },
    ],
    [
      "Killed process 2157, UID 679, (java) total-vm:8kB, anon-rss:4kB, file-rss:2kB",
      {
        kind: "killed",
        pid: 2157,
        comm: "java",
        totalVm: 8192,
        anonRss: 4096,
        fileRss: 2048,
        uid: 679,
      },
    ],
    [
      "Killed process 2157 (java), UID 679, total-vm:8kB, anon-rss:4kB, file-rss:2kB, shmem-rss:1kB",
      {
        kind: "killed",
        pid: 2157,
        comm: "java",
        totalVm: 8192,
        anonRss: 4096,
        fileRss: 2048,
        shmemRss: 1024,
        uid: 679,
      },
    ],
    ["Killed process 2157 (java)", { kind: "killed", pid: 2157, comm: "java" }],
    [
      "dd invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null), order=0, oom_score_adj=-5",
      { kind: "invoked", comm: "dd", oomScoreAdj: -5 },
    ],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseOomMessage(text), expected);
});

Deno.test("a kill for another reason than a cgroup's limit is distinguished", () => {
  const rest =
    "Killed process 7 (x) total-vm:8kB, anon-rss:4kB, file-rss:2kB, shmem-rss:1kB, UID:1 pgtables:4kB oom_score_adj:-998";
  for (
    const [reason, memcg] of [["Memory cgroup out of memory", true], ["Out of memory", false], [
      "Out of memory (oom_kill_allocating_task)",
      false,
    ]] as const
  ) {
    const killed = parseOomMessage(`${reason}: ${rest}`);
    assert.ok(killed?.kind === "killed");
    assert.deepEqual([killed.memcg, killed.oomScoreAdj, killed.uid], [memcg, -998, 1]);
  }
});

Deno.test("other lines, and lines that are cut off, are not OOM messages", () => {
  const others = [
    "",
    "memory+swap: usage 20480kB, limit 20480kB, failcnt 114",
    "memory: usage 20480kB, limit",
    "oom-kill:",
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=",
    "Tasks in /a",
    "Task in /a killed",
    "Task in /a killed as a result of limit of ",
    "Killed process",
    "I say: Memory cgroup out of memory: Killed process 1 (init) total-vm:1kB",
    "systemd: Killed process 1 (init)",
  ];
  for (const text of others) assert.equal(parseOomMessage(text), undefined, text);
});
