import assert from "node:assert/strict";
import fc from "fast-check";
import { mergeKills } from "../../../core/history/history.ts";
import { type Grouping, groupKills } from "../../../core/history/kill_groups.ts";
import { linesOf, MAX_LINE_CHARACTERS } from "../../../core/history/lines.ts";
import type { PastKill } from "../../../core/history/log_kills.ts";
import { killsOfTargets } from "../../../core/history/target_kills.ts";

function kill(
  more: Partial<Omit<PastKill, "victim">> & { pid?: number; comm?: string } = {},
): PastKill {
  const { pid = 7, comm = "java", ...rest } = more;
  return {
    victim: {
      pid,
      comm,
      uid: null,
      anon_rss: null,
      file_rss: null,
      shmem_rss: null,
      oom_score_adj: null,
    },
    scope: "cgroup",
    sources: ["journal"],
    ...rest,
  };
}

Deno.test("a kill that two logs have is one kill, with what either log has", () => {
  const journal = kill({ at: 5_000_000, uptime: 900n, boot: "b", host: "node.example.org" });
  const syslog = kill({ at: 5_000_500, cgroup: "/a", host: "node", sources: ["kern.log"] });
  const dmesg = kill({ uptime: 900n, sources: ["dmesg.txt"] });
  assert.deepEqual(mergeKills([[journal], [syslog], [dmesg]]), [
    { ...journal, cgroup: "/a", sources: ["journal", "kern.log", "dmesg.txt"] },
  ]);
});

Deno.test("a log that has both times joins what two others have of one kill, in any order", () => {
  const dated = kill({ at: 5_000_000, cgroup: "/a", sources: ["syslog"] });
  const stamped = kill({ uptime: 900n, sources: ["dmesg.txt"] });
  const whole = kill({ at: 5_000_000, uptime: 900n, sources: ["kern.log"] });
  const orders = [[dated, stamped, whole], [stamped, dated, whole], [whole, dated, stamped]];
  for (const logs of orders) {
    assert.deepEqual(mergeKills(logs.map((each) => [each])), [
      { ...whole, cgroup: "/a", sources: logs.flatMap(({ sources }) => sources) },
    ]);
  }
  const twice = [dated, { ...dated, at: 5_000_900 }];
  assert.equal(mergeKills([twice, [stamped], [whole]]).length, 2, "one log has two kills");
});

Deno.test("kills of one log, of other boots, hosts, times and names stay apart", () => {
  const one = kill({ at: 5_000_000, uptime: 900n, boot: "b", host: "n" });
  const others: PastKill[] = [
    { ...one },
    { ...one, boot: "c", sources: ["x"] },
    { ...one, host: "m", sources: ["x"] },
    { ...one, uptime: 901n, sources: ["x"] },
    kill({ at: 5_100_000, sources: ["x"] }),
    kill({ at: 5_000_000, comm: "node", sources: ["x"] }),
    // Neither has what the other has.
    kill({ sources: ["x"] }),
  ];
  for (const other of others) {
    const isOfOneLog = other.sources[0] === "journal";
    const logs = isOfOneLog ? [[one, other]] : [[one], [other]];
    assert.equal(mergeKills(logs).length, 2, JSON.stringify({ ...other, uptime: 0 }));
  }
});

Deno.test("kills are in the order of their times, those without a date last, in the order of their boot", () => {
  const kills = [
    kill({ pid: 4, uptime: 9n }),
    kill({ pid: 2, at: 20 }),
    kill({ pid: 3, uptime: 8n }),
    kill({ pid: 1, at: 10 }),
  ];
  assert.deepEqual(mergeKills([kills]).map(({ victim }) => victim.pid), [1, 2, 3, 4]);
});

Deno.test("logs that overlap give each kill once, in any number and order", () => {
  const pids = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 20 });
  fc.assert(fc.property(pids, fc.array(fc.func(fc.boolean()), { maxLength: 4 }), (pids, has) => {
    const whole = pids.map((pid) => kill({ pid, at: pid * 1000, uptime: BigInt(pid) }));
    const parts = has.map((isIn, at) =>
      whole.filter(({ victim }) => isIn(victim.pid)).map((each) => ({
        ...each,
        sources: [`${at}`],
      }))
    );
    assert.equal(mergeKills([...parts, whole]).length, pids.length);
    assert.equal(mergeKills([whole, ...parts]).length, pids.length);
  }));
});

const id = "c".repeat(64);
const uid = "11111111-2222-3333-4444-555555555555";
const inPod = `/kubepods/burstable/pod${uid}/${id}`;
const kills = [
  kill({ pid: 1, cgroup: inPod, owner: `/kubepods/burstable/pod${uid}` }),
  kill({ pid: 2, cgroup: "/system.slice/db.service/worker", owner: "/system.slice/db.service" }),
  kill({ pid: 3, group: "/batch/job", owner: "/batch" }),
  kill({ pid: 4, owner: "/batch" }),
  kill({ pid: 5, scope: "system" }),
];
const pidsOf = (...targets: string[]) =>
  killsOfTargets(kills, targets, undefined).map(({ victim }) => victim.pid);

for (
  const [target, pids] of Object.entries({
    "/kubepods": [1],
    "/kubepods/": [1],
    "/sys/fs/cgroup/memory/kubepods": [1],
    "/sys/fs/cgroup/kubepods/burstable": [1],
    "/kube": [],
    "/": [1, 2, 3, 4],
    "/batch": [3, 4],
    "/batch/job": [3],
    "/kubepods/**": [1],
    "/*/db.service": [2],
    "/system.slice/*/worker": [2],
    [id]: [1],
    [id.slice(0, 12)]: [1],
    [`id:${id.slice(0, 5)}`]: [1],
    [`pod:${uid}`]: [1],
    [`pod:${uid.replaceAll("-", "_")}`]: [1],
    "unit:db": [2],
    "db.service": [2],
    "pid:2": [2],
    "pid:99": [],
    // The name of a cgroup anywhere; where there is none, that of processes.
    job: [3],
    java: [1, 2, 3, 4, 5],
  })
) {
  Deno.test(`the target ${target} of a removed cgroup names the kills ${pids.join(", ") || "of none"}`, () => {
    assert.deepEqual(pidsOf(target), pids);
  });
}

Deno.test("several targets name the kills of any of them, each once", () => {
  assert.deepEqual(pidsOf("/batch", "/batch/job", "pid:5"), [3, 4, 5]);
});

Deno.test("a name that no cgroup has, now or in the log, is refused", () => {
  assert.throws(
    () => pidsOf("nosuch"),
    /cannot resolve target "nosuch": no cgroup or process of that name/,
  );
});

Deno.test("kills are counted by limit owner, container, pod, unit and comm, most kills first", () => {
  const counted = (by: Grouping) => groupKills(kills, by).map(({ key, kills }) => [key, kills]);
  assert.deepEqual(counted("owner"), [
    ["/batch", 2],
    [`/kubepods/burstable/pod${uid}`, 1],
    ["/system.slice/db.service", 1],
    ["machine", 1],
  ]);
  assert.deepEqual(counted("container"), [[undefined, 4], [id, 1]]);
  assert.deepEqual(counted("pod"), [[undefined, 4], [uid, 1]]);
  assert.deepEqual(counted("unit"), [[undefined, 4], ["db.service", 1]]);
  assert.deepEqual(counted("comm"), [["java", 5]]);
});

Deno.test("a limit owner that the log does not name is another than one that may be the machine", () => {
  const unknown = [kill(), kill({ scope: "system", isScopeUncertain: true })];
  assert.deepEqual(groupKills(unknown, "owner").map(({ key }) => key), ["unnamed", undefined]);
});

Deno.test("a group has the times of its first and last kill, if any has a time", () => {
  const [group] = groupKills([kill({ at: 1 }), kill({ at: 2 }), kill()], "comm");
  assert.deepEqual([group?.first, group?.last], [1, 2]);
  assert.equal("first" in groupKills([kill()], "comm")[0]!, false);
});

async function splitLines(text: string, chunk: number) {
  async function* chunks() {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  }
  const lines: string[] = [];
  let cuts = 0;
  for await (const line of linesOf(chunks(), () => cuts++)) lines.push(line);
  return { lines, cuts };
}

Deno.test("lines are the same in chunks of any size, with characters of several bytes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom("a", "é", "😀", " ") }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 7 }),
      async (lines, chunk) => {
        const { lines: found, cuts } = await splitLines(lines.map((l) => `${l}\n`).join(""), chunk);
        assert.deepEqual([found, cuts], [lines, 0]);
      },
    ),
  );
});

Deno.test("a line that is too long is cut and counted once, in small and in large chunks", async () => {
  const text = `${"x".repeat(3 * MAX_LINE_CHARACTERS)}\nnext\n`;
  for (const chunk of [1000, MAX_LINE_CHARACTERS, text.length]) {
    const { lines, cuts } = await splitLines(text, chunk);
    assert.deepEqual(lines.map(({ length }) => length), [MAX_LINE_CHARACTERS, 4]);
    assert.equal(cuts, 1, `chunks of ${chunk}`);
  }
});
