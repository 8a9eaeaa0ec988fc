import assert from "node:assert/strict";
import { LargestProcesses } from "../../../../core/guard/thread/largest_processes.ts";

const PATH = "/svc";

/** Of those in one cgroup. @param cases score and resident pages by pid. @param isInside all by default. */
function largestOf(
  cases: readonly (readonly [pid: number, score: number, pages: number])[],
  { isZeroImmune = true, place = Infinity, isInside = (_pid: number): boolean => true } = {},
) {
  const pages = new Map(cases.map(([pid, , resident]) => [pid, resident]));
  const read: number[] = [];
  const ranks = new Map([[PATH, { by: "swap", place, value: 1 } as const]]);
  const largest = new LargestProcesses(ranks, {
    scores: cases.map(([pid, score]) => ({ pid, score })),
    isZeroImmune,
    residentPagesOf: (pid) => {
      read.push(pid);
      return pages.get(pid)!;
    },
  });
  return { pids: largest.of(PATH, cases.map(([pid]) => pid).filter(isInside)), read };
}

const numbered = (count: number, from: number, score: number, pages: number) =>
  Array.from({ length: count }, (_, at) => [from + at, score, pages] as const);

Deno.test("of processes with the same oom_score those with most resident memory may be victims", () => {
  const { pids } = largestOf([...numbered(200, 1, 666, 10), [900, 666, 90_000], [901, 667, 5]]);
  assert.equal(pids.length, 64);
  assert.ok(pids.includes(900));
  assert.ok(pids.includes(901));
});

Deno.test("also in one of the first cgroups of an order", () => {
  const outside = numbered(64, 1000, 700, 500_000);
  const cases = [...numbered(20, 1, 666, 10), [900, 666, 90_000], ...outside] as const;
  const isInside = (pid: number) => pid < 1000;
  const { pids } = largestOf(cases, { place: 0, isInside });
  assert.equal(pids.length, 8);
  assert.ok(pids.includes(900));
  assert.deepEqual(largestOf(cases, { place: 16, isInside }).pids, []);
});

Deno.test("resident memory is not read where there are enough processes with a higher oom_score", () => {
  const { pids, read } = largestOf([...numbered(40, 1, 700, 1), ...numbered(100, 100, 666, 10)]);
  assert.equal(pids.length, 64);
  assert.deepEqual(read, []);
  assert.deepEqual(largestOf(numbered(20, 1, 666, 10)).read, []);
});

Deno.test("before Linux 5.9 a process with less than a thousandth of memory may be a victim too", () => {
  const cases = [[5, 0, 0], ...numbered(100, 10, 0, 10), [900, 0, 90_000]] as const;
  const { pids } = largestOf(cases, { isZeroImmune: false });
  assert.equal(pids.length, 64);
  assert.ok(pids.includes(900));
  assert.ok(!pids.includes(5), "a kernel thread");
  assert.deepEqual(largestOf(cases).pids, []);
});
