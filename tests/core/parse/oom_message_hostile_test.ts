/** Comms and cgroup names are chosen freely: no name may change what is read. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseKmsgRecord } from "../../../core/parse/kmsg.ts";
import { parseOomMessage } from "../../../core/parse/oom_message.ts";
import { fixture } from "./fixture.ts";

const comm = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 15 }).map((text) => text.slice(0, 15)),
  fc.constantFrom(
    "a,pid=9,uid=1",
    "foo) Z 1",
    "a,task=b",
    "foo) total-vm:1",
    "a), now (b",
    "a), UID 5",
    "a), UID 5, (b",
    ",task=,task=x",
    "(sd-pam)",
    "",
  ),
);
// A name may contain anything but a slash and a newline; one that ends in ",task=…" is ambiguous with the comm.
const name = fc.oneof(
  fc.stringMatching(/^[^/\n\0]{1,20}$/),
  fc.constantFrom(
    "a,oom_memcg=",
    ",task_memcg=",
    "x killed as a result of limit of ",
    "x,pid=1,uid=2",
    "(deleted)",
  ),
).filter((text) => !text.includes(",task="));
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => `/${names.join("/")}`);

/** A path that contains a separator more than once may have two valid splits. */
function imitatesOnce(path: string): boolean {
  return [",task_memcg=", " killed as a result of limit of "].every((separator) =>
    path.split(separator).length <= 2
  );
}
const id = fc.nat({ max: 4194304 });

Deno.test("any comm, in any cgroup, by any ancestor's limit, reads back from a summary", () => {
  const below = fc.array(name, { maxLength: 3 }).map((names) =>
    names.map((each) => `/${each}`).join("")
  );
  fc.assert(
    fc.property(name, path, below, comm, id, id, (cpuset, oomMemcg, rest, task, pid, uid) => {
      const taskMemcg = oomMemcg + rest;
      fc.pre(imitatesOnce(taskMemcg));
      const text =
        `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=${cpuset},mems_allowed=0-1,` +
        `oom_memcg=${oomMemcg},task_memcg=${taskMemcg},task=${task},pid=${pid},uid=${uid}`;
      assert.deepEqual(parseOomMessage(text), {
        kind: "oom-kill",
        constraint: "CONSTRAINT_MEMCG",
        global: false,
        oomMemcg,
        taskMemcg,
        task,
        pid,
        uid,
      });
      const old = parseOomMessage(
        `Task in ${taskMemcg} killed as a result of limit of ${oomMemcg}`,
      );
      assert.deepEqual(old, { kind: "task-in", taskMemcg, oomMemcg });
    }),
  );
});

Deno.test("any comm, in any cgroup, reads back from a system-wide summary", () => {
  fc.assert(fc.property(name, path, comm, id, (cpuset, taskMemcg, task, pid) => {
    const text =
      `oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=${cpuset},mems_allowed=0,` +
      `global_oom,task_memcg=${taskMemcg},task=${task},pid=${pid},uid=0`;
    const summary = parseOomMessage(text);
    assert.ok(summary?.kind === "oom-kill");
    assert.deepEqual([
      summary.global,
      summary.oomMemcg,
      summary.taskMemcg,
      summary.task,
      summary.pid,
    ], [
      true,
      undefined,
      taskMemcg,
      task,
      pid,
    ]);
  }));
});

Deno.test("paths that contain the separator are split where one is the other's ancestor", () => {
  const summary = (oom: string, of: string, task: string) =>
    `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,` +
    `oom_memcg=${oom},task_memcg=${of},task=${task},pid=7,uid=0`;
  for (
    const [oom, of] of [
      ["/a,task_memcg=/a/b", "/a,task_memcg=/a/b"],
      ["/a", "/a/b,task=c/dddddddddddddddd"],
      ["/a", "/a/,oom_memcg=/b"],
    ] as const
  ) {
    const message = parseOomMessage(summary(oom, of, "x"));
    assert.ok(message?.kind === "oom-kill");
    assert.deepEqual([message.oomMemcg, message.taskMemcg, message.task], [oom, of, "x"]);
  }
  const odd = "/a/b killed as a result of limit of /a";
  assert.deepEqual(parseOomMessage(`Task in ${odd} killed as a result of limit of ${odd}`), {
    kind: "task-in",
    taskMemcg: odd,
    oomMemcg: odd,
  });
});

Deno.test("a summary that lost a path between two records keeps the rest", () => {
  const message = parseOomMessage(
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0," +
      "oom_memcg=/a,task_memcg=,task=tail,pid=7,uid=0",
  );
  assert.ok(message?.kind === "oom-kill");
  assert.deepEqual([message.oomMemcg, "taskMemcg" in message, message.pid], ["/a", false, 7]);
});

Deno.test("any comm reads back from the lines with only a comm", () => {
  fc.assert(fc.property(comm, id, fc.nat(), (comm, pid, kilobytes) => {
    const figures = `total-vm:${kilobytes}kB, anon-rss:1kB, file-rss:2kB, shmem-rss:3kB`;
    for (const prefix of ["", "Out of memory: ", "Memory cgroup out of memory: "]) {
      const killed = parseOomMessage(
        `${prefix}Killed process ${pid} (${comm}) ${figures}, UID:5 pgtables:6kB oom_score_adj:7`,
      );
      assert.ok(killed?.kind === "killed");
      assert.deepEqual([killed.comm, killed.pid, killed.totalVm], [comm, pid, kilobytes * 1024]);
      assert.deepEqual([killed.anonRss, killed.uid, killed.pgtables, killed.oomScoreAdj], [
        1024,
        5,
        6144,
        7,
      ]);
    }
    for (const [before, after] of [["", ", UID 8,"], [", UID 8,", ""]] as const) {
      const killed = parseOomMessage(`Killed process ${pid}${before} (${comm})${after} ${figures}`);
      assert.ok(killed?.kind === "killed");
      assert.deepEqual([killed.comm, killed.pid, killed.uid], [comm, pid, 8]);
      assert.equal(killed.totalVm, kilobytes * 1024);
    }
    const reaped = parseOomMessage(
      `oom_reaper: reaped process ${pid} (${comm}), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB`,
    );
    assert.deepEqual(reaped, { kind: "reaped", pid, comm });
    const invoked = parseOomMessage(
      `${comm} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-3`,
    );
    assert.deepEqual(invoked, { kind: "invoked", comm, oomScoreAdj: -3 });
  }));
});

Deno.test("arbitrary text, also after the OOM killer's own words, never throws", () => {
  const start = fc.constantFrom(
    "",
    "oom-kill:",
    "Task in /",
    "Tasks in /",
    "Killed process 1 (",
    "oom_reaper: ",
  );
  fc.assert(
    fc.property(
      start,
      fc.string({ unit: "binary" }),
      (start, text) => void parseOomMessage(start + text),
    ),
  );
});

Deno.test("a real line cut anywhere yields all of the victim's numbers or none", () => {
  for (const file of ["kmsg", "kmsg_hostile"]) {
    const line = fixture("6.18-v1", file).split("\n").find((text) => text.includes("oom-kill:"))!;
    const { message } = parseKmsgRecord(line)!;
    for (let end = 0; end < message.length; end++) {
      const parsed = parseOomMessage(message.slice(0, end));
      // The kernel writes `,task=…,pid=…,uid=…` in one piece: only a hostile comm at the end of a cut line could mislead.
      if (parsed?.kind === "oom-kill") assert.equal(parsed.pid, 9);
    }
  }
});
