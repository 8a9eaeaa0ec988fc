import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Attribute,
  type CandidatePool,
  diesWithGroup,
  groupOf,
  matchedLine,
  oomTotalBytesOf,
  rankCandidates,
  rankVictims,
} from "../../../core/policy/victims.ts";
import type { Process } from "../../../core/snapshot.ts";
import { process } from "../../helpers/process.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const machine = { pageSize: 4096, pidOneIsInit: true };
const pidsOf = (processes: readonly Process[], oomTotalBytes: number, part = {}) =>
  rankVictims(processes, oomTotalBytes, { ...machine, ...part }).map(({ process: { pid } }) => pid);

Deno.test("the largest process is first, swap and page tables included", () => {
  const processes = [
    process(10, { rss: 5 * MIB }),
    process(11, { rss: 3 * MIB, swap: 3 * MIB }),
    process(12, { rss: 4 * MIB, pageTables: 3 * MIB }),
  ];
  assert.deepEqual(pidsOf(processes, 64 * MIB), [12, 11, 10]);
});

Deno.test("oom_score_adj counts in thousandths of the limit, not of the machine's memory", () => {
  const big = process(10, { rss: 30 * MIB });
  const marked = process(11, { rss: 10 * MIB, oomScoreAdj: 100 });
  assert.deepEqual(pidsOf([big, marked], 64 * MIB), [10, 11]);
  assert.deepEqual(pidsOf([big, marked], 16 * GIB), [11, 10]);
});

Deno.test("init, oom_score_adj -1000, zombies and kernel threads are left out", () => {
  const zombie = process(13, { state: "Z" });
  delete (zombie as { rss?: number }).rss;
  const processes = [process(1), process(11, { oomScoreAdj: -1000 }), zombie, process(14)];
  assert.deepEqual(pidsOf(processes, 64 * MIB), [14]);
});

Deno.test("pid 1 of another pid namespace is not init of the machine", () => {
  const processes = [process(1, { rss: 2 * MIB }), process(2)];
  assert.deepEqual(pidsOf(processes, 64 * MIB, { pidOneIsInit: false }), [1, 2]);
});

Deno.test("a thousandth is rounded down to whole pages, as the kernel computes it", () => {
  const [candidate] = rankVictims([process(10, { oomScoreAdj: 1 })], 1000 * 65536 + 4096 * 1000, {
    pageSize: 65536,
  });
  assert.equal(candidate!.badness, MIB + 65536);
});

Deno.test("oom_score_adj -999 does not exclude a process", () => {
  assert.deepEqual(pidsOf([process(10, { oomScoreAdj: -999, rss: 60 * MIB })], 64 * MIB), [10]);
});

Deno.test("among equals the youngest is first, since the kernel comes to it last", () => {
  const processes = [
    process(10, { startTime: 7n }),
    process(11, { startTime: 9n }),
    process(12, { startTime: 8n }),
  ];
  assert.deepEqual(pidsOf(processes, 64 * MIB), [11, 12, 10]);
});

Deno.test("the order does not depend on the order in which processes are read", () => {
  const some = fc.array(
    fc.record({ rss: fc.nat(100 * MIB), oomScoreAdj: fc.integer({ min: -1000, max: 1000 }) }),
    { maxLength: 12 },
  );
  fc.assert(fc.property(some, fc.nat(GIB), (fields, limit) => {
    const processes = fields.map((each, at) => process(at + 2, each));
    assert.deepEqual(pidsOf(processes, limit), pidsOf(processes.toReversed(), limit));
  }));
});

Deno.test("a cgroup can hold its limit and the swap that it may use", () => {
  assert.equal(oomTotalBytesOf({ max: 100 }, 0), 100);
  assert.equal(oomTotalBytesOf({ max: 100, swap: 50 }, 1000), 150);
  assert.equal(oomTotalBytesOf({ max: 100, swap: Infinity }, 1000), 1100);
  assert.equal(oomTotalBytesOf({ max: 100, memsw: 130 }, 1000), 130);
  assert.equal(oomTotalBytesOf({ max: 100, memsw: Infinity }, 1000), 1100);
  assert.equal(oomTotalBytesOf({ max: Infinity }, 0), Infinity);
  assert.equal(oomTotalBytesOf({}, 0), undefined);
  assert.equal(oomTotalBytesOf({ max: 100 }, undefined), undefined);
});

Deno.test("the group is the topmost cgroup with memory.oom.group from the victim's to the limit's owner", () => {
  const marked = (...paths: string[]) => (path: string) => paths.includes(path);
  assert.equal(groupOf("/a/b/c", "/a", marked("/a/b", "/a/b/c")), "/a/b");
  assert.equal(groupOf("/a/b/c", "/a", marked("/a", "/a/b/c")), "/a");
  assert.equal(groupOf("/a/b/c", "/a/b", marked("/a")), undefined);
  assert.equal(groupOf("/a/b", "/a/b", marked("/a/b")), "/a/b");
  assert.equal(groupOf("/a/b", "/", marked("/a")), "/a");
  assert.equal(groupOf("/", "/", marked()), undefined);
  assert.equal(groupOf("/ab", "/ab", marked("/a")), undefined);
});

Deno.test("oom_score_adj -1000 survives a group kill", () => {
  assert.equal(diesWithGroup(process(10, { oomScoreAdj: -1000 })), false);
  assert.equal(diesWithGroup(process(1)), false);
  assert.equal(diesWithGroup(process(1), { pidOneIsInit: false }), true);
  assert.equal(diesWithGroup(process(10, { oomScoreAdj: -999 })), true);
});

const noPreferences = { prefer: [], avoid: [], ignore: [] };

const pool = (processes: readonly Process[], rest: Partial<CandidatePool> = {}): CandidatePool => ({
  processes,
  oomTotalBytes: 64 * MIB,
  ...machine,
  protectedPids: new Set(),
  attributes: new Map(),
  ...rest,
});
const marked = (attributes: Record<string, Attribute>) => ({
  attributes: new Map(Object.entries(attributes)),
});
const order = (...args: Parameters<typeof rankCandidates>) =>
  rankCandidates(...args).candidates.map(({ process: { pid } }) => pid);

const small = process(10, { cmdline: ["/usr/bin/cache", "--size", "1"] });
const middle = process(11, { rss: 2 * MIB, cmdline: ["postgres:", "writer"], cgroup: "/a/db" });
const large = process(12, { rss: 3 * MIB, comm: "java", cgroup: "/a/web" });
const all = [small, middle, large];

Deno.test("without preferences it is the kernel's order", () => {
  assert.deepEqual(order(pool(all), noPreferences), [12, 11, 10]);
});

Deno.test("preferred processes are first and avoided ones last, each in the kernel's order", () => {
  const four = [...all, process(13, { rss: 4 * MIB, cmdline: ["cached"] })];
  assert.deepEqual(order(pool(four), { ...noPreferences, prefer: [/cache/u] }), [13, 10, 12, 11]);
  assert.deepEqual(order(pool(four), { ...noPreferences, avoid: [/java|cached/u] }), [
    11,
    10,
    13,
    12,
  ]);
});

Deno.test("an avoided process is a candidate if no other is left, an ignored one never", () => {
  assert.deepEqual(order(pool([large]), { ...noPreferences, avoid: [/java/u] }), [12]);
  const { candidates, excluded } = rankCandidates(pool([large]), {
    ...noPreferences,
    ignore: [/java/u],
  });
  assert.deepEqual(candidates, []);
  assert.deepEqual(excluded, [{ process: large, preferenceReason: "--ignore java" }]);
});

Deno.test("an expression is matched against the joined words of the command line, and the path of the cgroup", () => {
  assert.deepEqual(
    order(pool(all), { ...noPreferences, prefer: [/^\/usr\/bin\/cache --size 1$/u] })[0],
    10,
  );
  assert.deepEqual(order(pool(all), { ...noPreferences, prefer: [/^\/a\/db$/u] })[0], 11);
});

Deno.test("the comm is matched only if there is no command line", () => {
  assert.deepEqual(order(pool(all), { ...noPreferences, ignore: [/^java$/u] }), [11, 10]);
  assert.deepEqual(order(pool(all), { ...noPreferences, ignore: [/^p11$/u] }), [12, 11, 10]);
});

Deno.test("text beyond the first 4096 characters of a command line does not match", () => {
  const padded = (length: number) =>
    process(20, { rss: 4 * MIB, cmdline: ["x".repeat(length), "needle"] });
  const within = 4096 - " needle".length;
  const preferring = (each: Process) =>
    rankCandidates(pool([each]), { ...noPreferences, prefer: [/needle/u] }).candidates[0]!
      .preference;
  assert.equal(preferring(padded(within)), "prefer");
  assert.equal(preferring(padded(within + 1)), "none");
});

Deno.test("the beginning of the joined words is matched, however many there are", () => {
  const words = fc.array(fc.string({ maxLength: 3 }), {
    minLength: 1,
    maxLength: 10_000,
    size: "max",
  });
  fc.assert(
    fc.property(words, (cmdline) => {
      assert.equal(matchedLine({ cmdline, comm: "c" }), cmdline.join(" ").slice(0, 4096));
    }),
    { numRuns: 20 },
  );
  const cmdline = Array.from({ length: 10_000 }, () => "");
  assert.equal(matchedLine({ cmdline, comm: "c" }), " ".repeat(4096));
});

Deno.test("avoid overrides prefer, and ignore overrides both", () => {
  const both = { ...noPreferences, avoid: [/java/u], prefer: [/java/u] };
  assert.deepEqual(order(pool(all), both), [11, 10, 12]);
  assert.deepEqual(order(pool(all), { ...both, ignore: [/java/u] }), [11, 10]);
});

Deno.test("the attribute of a cgroup counts for its processes, but an expression overrides it", () => {
  const prefers = pool(all, marked({ "/a": "prefer" }));
  assert.deepEqual(order(prefers, noPreferences), [10, 12, 11]);
  assert.deepEqual(order(pool(all, marked({ "/a/web": "avoid" })), noPreferences), [11, 10, 12]);
  assert.deepEqual(order(pool(all, marked({ "/a/web": "omit" })), noPreferences), [11, 10]);
  assert.deepEqual(order(prefers, { ...noPreferences, avoid: [/cache/u] }), [12, 11, 10]);
  const avoided = pool(all, marked({ "/a/web": "avoid" }));
  assert.deepEqual(order(avoided, { ...noPreferences, prefer: [/java/u] }), [12, 11, 10]);
});

Deno.test("no attribute and no preference makes a candidate of an excluded process", () => {
  const zombie = process(14, { state: "Z" });
  delete (zombie as { rss?: number }).rss;
  const processes = [process(1), process(13, { oomScoreAdj: -1000 }), zombie, process(15)];
  const excluding = pool(processes, {
    ...marked({ "/a": "prefer" }),
    protectedPids: new Set([15]),
  });
  const { candidates, excluded } = rankCandidates(excluding, { ...noPreferences, prefer: [/./u] });
  assert.deepEqual(candidates, []);
  assert.deepEqual(
    excluded.map(({ process: { pid }, preferenceReason }) => [pid, preferenceReason]),
    [
      [1, "init of the machine"],
      [13, "oom_score_adj is -1000"],
      [14, "no memory of its own"],
      [15, "oomkit itself, or one of its parents"],
    ],
  );
});

Deno.test("pid 1 of the pid namespace of a container is a process like any other", () => {
  assert.deepEqual(order(pool([process(1)], { pidOneIsInit: false }), noPreferences), [1]);
});

Deno.test("each candidate has the reason of its preference", () => {
  const preferences = { prefer: [/x/u, /postgres/u], avoid: [/cache/u], ignore: [] };
  const { candidates } = rankCandidates(pool(all, marked({ "/a/web": "prefer" })), preferences);
  assert.deepEqual(
    candidates.map(({ preference, preferenceReason }) => [preference, preferenceReason]),
    [
      ["prefer", "its cgroup has oomd_prefer"],
      ["prefer", "--prefer postgres"],
      ["avoid", "--avoid cache"],
    ],
  );
});

const anyFields = fc.record({
  rss: fc.option(fc.nat(64 * MIB), { nil: undefined }),
  oomScoreAdj: fc.integer({ min: -1000, max: 1000 }),
  comm: fc.constantFrom("a", "b", "c", "d"),
  cgroup: fc.constantFrom("/x", "/x/y", "/x/z"),
});
const expressions = fc.subarray([/^a$/u, /^b$/u, /\/y$/u]);
const anyPreferences = fc.record({
  prefer: expressions,
  avoid: expressions,
  ignore: expressions,
});
const attributes = fc.dictionary(
  fc.constantFrom("/x", "/x/y", "/x/z"),
  fc.constantFrom<Attribute>("prefer", "avoid", "omit"),
);

Deno.test("each process is a candidate or excluded, and all candidates are candidates of the kernel", () => {
  fc.assert(
    fc.property(
      fc.array(anyFields),
      anyPreferences,
      attributes,
      fc.nat(8),
      (fields, preferences, marks, own) => {
        const processes = fields.map(({ rss, ...rest }, at) => {
          const made = process(at + 1, rest);
          if (rss === undefined) delete (made as { rss?: number }).rss;
          return rss === undefined ? made : { ...made, rss };
        });
        const ranked = pool(processes, { ...marked(marks), protectedPids: new Set([own]) });
        const { candidates, excluded } = rankCandidates(ranked, preferences);
        const all = [...candidates, ...excluded].map(({ process: { pid } }) => pid);
        assert.deepEqual(all.toSorted((a, b) => a - b), processes.map(({ pid }) => pid));
        const kernels = new Set(pidsOf(processes, ranked.oomTotalBytes));
        for (const { process: { pid } } of candidates) assert.ok(kernels.has(pid) && pid !== own);
      },
    ),
  );
});

Deno.test("an essential is a process of that name, not what runs in a cgroup of that name", () => {
  const all = [
    process(1001, { comm: "sshd", cmdline: ["sshd: jane"], cgroup: "/session" }),
    process(1002, { comm: "allocator", cmdline: ["allocator"], cgroup: "/docker/init" }),
  ];
  const essentials = [
    { name: "sshd", expression: /^sshd(?=[ :]|$)/ },
    { name: "init", expression: /^(.*\/)?init$/ },
  ];
  const preferences = { prefer: [], avoid: [], ignore: [], essentials };
  const { candidates, excluded } = rankCandidates(pool(all), preferences);
  assert.deepEqual(candidates.map(({ process }) => process.pid), [1002]);
  assert.equal(excluded[0]?.preferenceReason, "--essentials sshd");
});

Deno.test("by name an expression is matched against the comm, not against the command line or the cgroup", () => {
  const all = [
    process(1001, {
      comm: "java",
      cmdline: ["/opt/jre/bin/java", "-jar"],
      cgroup: "/system.slice/web",
    }),
  ];
  const ignored = (expression: RegExp, byName?: true) => {
    const preferences = { prefer: [], avoid: [], ignore: [expression], ...byName && { byName } };
    return rankCandidates(pool(all), preferences).excluded.length === 1;
  };
  assert.ok(ignored(/^java$/, true));
  assert.ok(!ignored(/^java$/));
  assert.ok(!ignored(/jre/, true));
  assert.ok(ignored(/jre/));
  assert.ok(!ignored(/(^|\/)web$/, true));
  assert.ok(ignored(/(^|\/)web$/));
});
