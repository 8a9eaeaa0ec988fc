import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Attribute,
  type CandidatePool,
  matchedLine,
  rankCandidates,
} from "../../../core/policy/victims.ts";
import { rankVictims } from "../../../core/policy/victims.ts";
import type { Process } from "../../../core/snapshot.ts";
import { process } from "../../helpers/process.ts";

const MIB = 1024 ** 2;
const nobody = { prefer: [], avoid: [], ignore: [] };

const pool = (processes: readonly Process[], rest: Partial<CandidatePool> = {}): CandidatePool => ({
  processes,
  oomTotalBytes: 64 * MIB,
  pidOneIsInit: true,
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

Deno.test("with no wishes it is the kernel's order", () => {
  assert.deepEqual(order(pool(all), nobody), [12, 11, 10]);
});

Deno.test("the preferred go first and the avoided last, each in the kernel's order", () => {
  const four = [...all, process(13, { rss: 4 * MIB, cmdline: ["cached"] })];
  assert.deepEqual(order(pool(four), { ...nobody, prefer: [/cache/u] }), [13, 10, 12, 11]);
  assert.deepEqual(order(pool(four), { ...nobody, avoid: [/java|cached/u] }), [11, 10, 13, 12]);
});

Deno.test("the avoided is taken where nobody else is left, the ignored never", () => {
  assert.deepEqual(order(pool([large]), { ...nobody, avoid: [/java/u] }), [12]);
  const { candidates, excluded } = rankCandidates(pool([large]), { ...nobody, ignore: [/java/u] });
  assert.deepEqual(candidates, []);
  assert.deepEqual(excluded, [{ process: large, preferenceReason: "--ignore java" }]);
});

Deno.test("an expression is held against the words of the command line, joined, and the cgroup's path", () => {
  assert.deepEqual(
    order(pool(all), { ...nobody, prefer: [/^\/usr\/bin\/cache --size 1$/u] })[0],
    10,
  );
  assert.deepEqual(order(pool(all), { ...nobody, prefer: [/^\/a\/db$/u] })[0], 11);
});

Deno.test("without a command line the comm stands for it, and beside one it does not", () => {
  assert.deepEqual(order(pool(all), { ...nobody, ignore: [/^java$/u] }), [11, 10]);
  assert.deepEqual(order(pool(all), { ...nobody, ignore: [/^p11$/u] }), [12, 11, 10]);
});

Deno.test("what lies beyond the first 4096 characters of a command line does not match", () => {
  const padded = (length: number) =>
    process(20, { rss: 4 * MIB, cmdline: ["x".repeat(length), "needle"] });
  const within = 4096 - " needle".length;
  const preferring = (each: Process) =>
    rankCandidates(pool([each]), { ...nobody, prefer: [/needle/u] }).candidates[0]!.preference;
  assert.equal(preferring(padded(within)), "prefer");
  assert.equal(preferring(padded(within + 1)), "none");
});

Deno.test("what is matched is the beginning of the joined words, however many they are", () => {
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

Deno.test("who is both avoided and preferred is avoided, and whoever is ignored is nothing else", () => {
  const both = { ...nobody, avoid: [/java/u], prefer: [/java/u] };
  assert.deepEqual(order(pool(all), both), [11, 10, 12]);
  assert.deepEqual(order(pool(all), { ...both, ignore: [/java/u] }), [11, 10]);
});

Deno.test("a cgroup's own attribute counts for its processes, but less than an expression", () => {
  const prefers = pool(all, marked({ "/a": "prefer" }));
  assert.deepEqual(order(prefers, nobody), [10, 12, 11]);
  assert.deepEqual(order(pool(all, marked({ "/a/web": "avoid" })), nobody), [11, 10, 12]);
  assert.deepEqual(order(pool(all, marked({ "/a/web": "omit" })), nobody), [11, 10]);
  assert.deepEqual(order(prefers, { ...nobody, avoid: [/cache/u] }), [12, 11, 10]);
  const shy = pool(all, marked({ "/a/web": "avoid" }));
  assert.deepEqual(order(shy, { ...nobody, prefer: [/java/u] }), [12, 11, 10]);
});

Deno.test("no attribute and no wish brings back a process that may not be taken", () => {
  const zombie = process(14, { state: "Z" });
  delete (zombie as { rss?: number }).rss;
  const processes = [process(1), process(13, { oomScoreAdj: -1000 }), zombie, process(15)];
  const safe = pool(processes, { ...marked({ "/a": "prefer" }), protectedPids: new Set([15]) });
  const { candidates, excluded } = rankCandidates(safe, { ...nobody, prefer: [/./u] });
  assert.deepEqual(candidates, []);
  assert.deepEqual(
    excluded.map(({ process: { pid }, preferenceReason }) => [pid, preferenceReason]),
    [
      [1, "it is the machine's init"],
      [13, "oom_score_adj is -1000"],
      [14, "it has no memory of its own"],
      [15, "it is oomkit itself, or started it"],
    ],
  );
});

Deno.test("pid 1 of a container's own namespace is a process like any other", () => {
  assert.deepEqual(order(pool([process(1)], { pidOneIsInit: false }), nobody), [1]);
});

Deno.test("each says what gave it its standing", () => {
  const wishes = { prefer: [/x/u, /postgres/u], avoid: [/cache/u], ignore: [] };
  const { candidates } = rankCandidates(pool(all, marked({ "/a/web": "prefer" })), wishes);
  assert.deepEqual(
    candidates.map(({ preference, preferenceReason }) => [preference, preferenceReason]),
    [
      ["prefer", "its cgroup has oomd_prefer"],
      ["prefer", "--prefer postgres"],
      ["avoid", "--avoid cache"],
    ],
  );
});

const somebody = fc.record({
  rss: fc.option(fc.nat(64 * MIB), { nil: undefined }),
  oomScoreAdj: fc.integer({ min: -1000, max: 1000 }),
  comm: fc.constantFrom("a", "b", "c", "d"),
  cgroup: fc.constantFrom("/x", "/x/y", "/x/z"),
});
const wish = fc.subarray([/^a$/u, /^b$/u, /\/y$/u]);
const wishes = fc.record({ prefer: wish, avoid: wish, ignore: wish });
const attributes = fc.dictionary(
  fc.constantFrom("/x", "/x/y", "/x/z"),
  fc.constantFrom<Attribute>("prefer", "avoid", "omit"),
);

Deno.test("everybody is either a choice or spared, and wishes never add anybody to the kernel's choices", () => {
  fc.assert(
    fc.property(fc.array(somebody), wishes, attributes, fc.nat(8), (fields, wishes, marks, own) => {
      const processes = fields.map(({ rss, ...rest }, at) => {
        const made = process(at + 1, rest);
        if (rss === undefined) delete (made as { rss?: number }).rss;
        return rss === undefined ? made : { ...made, rss };
      });
      const place = pool(processes, { ...marked(marks), protectedPids: new Set([own]) });
      const { candidates, excluded } = rankCandidates(place, wishes);
      const everybody = [...candidates, ...excluded].map(({ process: { pid } }) => pid);
      assert.deepEqual(everybody.toSorted((a, b) => a - b), processes.map(({ pid }) => pid));
      const kernels = new Set(
        rankVictims(processes, place.oomTotalBytes).map(({ process: { pid } }) => pid),
      );
      for (const { process: { pid } } of candidates) assert.ok(kernels.has(pid) && pid !== own);
    }),
  );
});
