import assert from "node:assert/strict";
import { parseKmsgRecord } from "../../../core/parse/kmsg.ts";
import { KillLogParser, type LoggedKill } from "../../../core/watch/kernel_log.ts";
import { fixture } from "../parse/fixture.ts";

const invoked = "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0";
const summary = (pid: number, owner = "/pod", cgroup = "/pod/c") =>
  `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=${owner},task_memcg=${cgroup},task=p,pid=${pid},uid=0`;
const killed = (pid: number, comm = "p", kilobytes = 8) =>
  `Memory cgroup out of memory: Killed process ${pid} (${comm}) total-vm:${kilobytes}kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:5 pgtables:4kB oom_score_adj:-3`;
const together = (path: string) =>
  `Tasks in ${path} are going to be killed due to memory.oom.group set`;

/** Parses messages a millisecond apart, or at the microseconds given with them. */
function parse(messages: readonly (string | readonly [string, number])[]): LoggedKill[] {
  const log = new KillLogParser();
  let at = 0;
  return messages.flatMap((each) => {
    const [message, micros] = typeof each === "string" ? [each, at + 1000] : each;
    at = micros;
    return log.add(message, BigInt(at)) ?? [];
  });
}

const brief = ({ victim, cgroup, owner, group, isRepeated }: LoggedKill) => ({
  pid: victim.pid,
  cgroup,
  owner,
  group,
  isRepeated,
});

Deno.test("the line that names the victim completes a kill, which has the summary's cgroups", () => {
  const [kill, ...rest] = parse([invoked, summary(7), killed(7)]);
  assert.deepEqual(rest, []);
  assert.deepEqual(kill, {
    victim: {
      pid: 7,
      comm: "p",
      uid: 5,
      anon_rss: 4096,
      file_rss: 0,
      shmem_rss: 0,
      oom_score_adj: -3,
    },
    cgroup: "/pod/c",
    owner: "/pod",
    scope: "cgroup",
    isRepeated: false,
  });
});

Deno.test("a kill without a summary of its own has no cgroup, not that of the kill before", () => {
  const kills = parse([invoked, summary(7), killed(7), killed(8)]);
  assert.deepEqual(kills.map(brief).map(({ pid, cgroup }) => [pid, cgroup]), [
    [7, "/pod/c"],
    [8, undefined],
  ]);
});

Deno.test("a summary is used for one kill, even if the next has the same pid", () => {
  const kills = parse([summary(7), killed(7), killed(7)]);
  assert.deepEqual(kills.map(({ cgroup }) => cgroup), ["/pod/c", undefined]);
});

Deno.test("the summary of another victim is not used", () => {
  const [kill] = parse([summary(7), killed(8)]);
  assert.equal(kill!.cgroup, undefined);
  assert.equal(kill!.owner, undefined);
});

Deno.test("a summary without a kill is dropped at the next OOM", () => {
  const [kill] = parse([summary(7), invoked, killed(7)]);
  assert.equal(kill!.cgroup, undefined);
});

Deno.test("the first victim of a group, which is logged twice, is marked as repeated the second time", () => {
  const kills = parse([invoked, summary(7), killed(7), together("/pod/c"), killed(7), killed(8)]);
  assert.deepEqual(kills.map(brief), [
    { pid: 7, cgroup: "/pod/c", owner: "/pod", group: undefined, isRepeated: false },
    { pid: 7, cgroup: "/pod/c", owner: "/pod", group: "/pod/c", isRepeated: true },
    { pid: 8, cgroup: undefined, owner: "/pod", group: "/pod/c", isRepeated: false },
  ]);
});

Deno.test("the first victim of a group is recognized by the id of another thread when its main thread has exited", () => {
  const kills = parse([summary(7), killed(7), together("/pod/c"), killed(9, "worker"), killed(8)]);
  assert.deepEqual(kills.map(({ victim, isRepeated }) => [victim.pid, isRepeated]), [
    [7, false],
    [9, true],
    [8, false],
  ]);
  assert.equal(kills[1]!.cgroup, "/pod/c");
});

Deno.test("a process of a group that is logged again as one of its threads is one kill", () => {
  const group = [summary(7), killed(7, "p", 12), together("/c"), killed(7, "p", 12)];
  const kills = parse([...group, killed(8), killed(9, "q", 16), killed(11, "worker")]);
  assert.deepEqual(kills.map(({ victim, isRepeated }) => [victim.pid, isRepeated]), [
    [7, false],
    [7, true],
    [8, false],
    [9, false],
    [11, true],
  ]);
});

Deno.test("a process of a group with another size, or with the first victim's own name, is not one of its threads", () => {
  const kills = parse([summary(7), killed(7), together("/c"), killed(8, "q", 12), killed(9)]);
  assert.deepEqual(kills.map(({ isRepeated }) => isRepeated), [false, false, false]);
});

Deno.test("a victim without its main thread has the pid and the name of its process, not of the thread in the line", () => {
  const [kill] = parse([
    summary(7).replace("uid=0", "uid=5"),
    killed(9, "worker"),
  ]);
  assert.deepEqual([kill!.victim.pid, kill!.victim.comm, kill!.cgroup], [7, "p", "/pod/c"]);
});

Deno.test("a group ends at the next OOM, and when no line has followed for half a second", () => {
  const group = [summary(7), killed(7), together("/pod/c"), killed(7)];
  const next = parse([...group, invoked, summary(8, "/q", "/q"), killed(8)]).at(-1)!;
  assert.deepEqual(brief(next), {
    pid: 8,
    cgroup: "/q",
    owner: "/q",
    group: undefined,
    isRepeated: false,
  });
  const last = (micros: number) => parse([...group, [killed(9), micros]]).at(-1)!.group;
  assert.equal(last(400_000), "/pod/c");
  assert.equal(last(600_000), undefined);
});

Deno.test("a group that is killed slowly is one as long as its lines follow each other", () => {
  const group = [summary(7), killed(7), together("/pod/c"), killed(7)];
  const slow: [string, number][] = [[killed(8), 400_000], [killed(9), 800_000]];
  const kills = parse([...group, ...slow]);
  assert.deepEqual(kills.slice(2).map(({ group }) => group), ["/pod/c", "/pod/c"]);
});

Deno.test("a pid that is killed again in another OOM is another process", () => {
  const kills = parse([summary(7), killed(7), invoked, summary(7), killed(7)]);
  assert.deepEqual(kills.map(({ isRepeated }) => isRepeated), [false, false]);
});

Deno.test("kernels before 5.0 name the cgroups in a separate line, which is used for one kill", () => {
  const older = "Task in /pod/c killed as a result of limit of /pod";
  const line = "Killed process 7 (p) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB";
  const kills = parse([invoked, older, line, line]);
  assert.deepEqual(kills.map(brief).map(({ cgroup, owner }) => [cgroup, owner]), [
    ["/pod/c", "/pod"],
    [undefined, undefined],
  ]);
});

Deno.test("a kill because the machine ran out of memory has the scope system, and no limit owner", () => {
  const [named] = parse([
    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/pod/c,task=p,pid=7,uid=0",
    killed(7).replace("Memory cgroup out of memory", "Out of memory"),
  ]);
  assert.equal(named!.scope, "system");
  assert.equal(named!.cgroup, "/pod/c");
  assert.equal(named!.owner, undefined);
  const [nameless] = parse([killed(7).replace("Memory cgroup out of memory", "Out of memory")]);
  assert.equal(nameless!.scope, "system");
});

Deno.test("in a real group kill each process is one kill, and only the first is logged twice", () => {
  const log = new KillLogParser();
  const kills = fixture("6.1-v2", "kmsg_group").split("\n").flatMap((line) => {
    const record = parseKmsgRecord(line);
    return (record && log.add(record.message, record.timestamp)) ?? [];
  });
  const path = "/oomkit-capture/group";
  assert.deepEqual(kills.map(brief), [
    { pid: 180, cgroup: path, owner: path, group: undefined, isRepeated: false },
    { pid: 180, cgroup: path, owner: path, group: path, isRepeated: true },
    { pid: 181, cgroup: undefined, owner: path, group: path, isRepeated: false },
    { pid: 182, cgroup: undefined, owner: path, group: path, isRepeated: false },
  ]);
});

Deno.test("a line without any reason has an uncertain scope, one with a reason or a group has not", () => {
  const bare = "Killed process 7 (p) total-vm:8kB, anon-rss:4kB, file-rss:0kB";
  assert.equal(parse([bare])[0]!.isScopeUncertain, true);
  const chosen = "Memory cgroup out of memory: Kill process 7 (p) score 9 or sacrifice child";
  assert.equal(parse([chosen, bare])[0]!.isScopeUncertain, undefined);
  const group = [summary(7), killed(7), together("/pod/c"), bare];
  assert.equal(parse(group).at(-1)!.isScopeUncertain, undefined);
});
