import assert from "node:assert/strict";
import { readLargest } from "../../../../core/guard/thread/largest_processes.ts";

const [FIRST, OTHER] = ["/first", "/other"];

/** @param cases score and resident pages by pid. */
function largestOf(
  cases: readonly (readonly [pid: number, score: number, pages: number])[],
  {
    isZeroImmune = true,
    isInFirst = (_pid: number): boolean => false,
    mayBeFirst = (_pid: number): boolean => true,
  } = {},
) {
  const pages = new Map(cases.map(([pid, , resident]) => [pid, resident]));
  const sized: number[] = [];
  const pids = readLargest({
    members: new Map(cases.map(([pid]) => [pid, isInFirst(pid) ? FIRST : OTHER])),
    cgroupRanks: new Map([
      [FIRST, { by: "swap", place: 15, value: 1 }],
      [OTHER, { by: "swap", place: 16, value: 1 }],
    ]),
    read: (pid) => pid,
    mayBeFirst,
    figures: {
      scores: cases.map(([pid, score]) => ({ pid, score })),
      isZeroImmune,
      residentPagesOf: (pid) => {
        sized.push(pid);
        return pages.get(pid)!;
      },
    },
  });
  return { pids, sized };
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
  const cases = [
    ...numbered(20, 1, 666, 10),
    [900, 666, 90_000],
    ...numbered(64, 1000, 700, 500_000),
  ] as const;
  assert.ok(!largestOf(cases).pids.includes(900));
  const { pids } = largestOf(cases, { isInFirst: (pid) => pid < 1000 });
  assert.equal(pids.length, 64 + 8);
  assert.ok(pids.includes(900));
});

Deno.test("where the largest ones are excluded or to be avoided, smaller ones are read too", () => {
  const cases = [...numbered(300, 1, 900, 1), ...numbered(500, 1000, 700, 1)];
  const mayBeFirst = (pid: number) => pid >= 1000;
  const { pids } = largestOf(cases, { mayBeFirst });
  assert.ok(pids.filter(mayBeFirst).length >= 8);
  assert.equal(new Set(pids).size, pids.length);
  assert.equal(largestOf(cases, { mayBeFirst: () => false }).pids.length, 800, "all");
  assert.equal(largestOf(cases).pids.length, 64);
});

Deno.test("resident memory is not read where there are enough processes with a higher oom_score", () => {
  const { pids, sized } = largestOf([...numbered(40, 1, 700, 1), ...numbered(100, 100, 666, 10)]);
  assert.equal(pids.length, 64);
  assert.deepEqual(sized, []);
  assert.deepEqual(largestOf(numbered(20, 1, 666, 10)).sized, []);
  const bomb = largestOf([...numbered(50, 1, 677, 1), ...numbered(50, 100, 666, 1)], {
    isInFirst: () => true,
  });
  assert.deepEqual(bomb.sized, [], "a fork bomb in the first cgroup");
});

Deno.test("before Linux 5.9 a process with less than a thousandth of memory may be a victim too", () => {
  const cases = [[5, 0, 0], ...numbered(100, 10, 0, 10), [900, 0, 90_000]] as const;
  const { pids } = largestOf(cases, { isZeroImmune: false });
  assert.equal(pids.length, 64);
  assert.ok(pids.includes(900));
  assert.ok(!pids.includes(5), "a kernel thread");
  assert.deepEqual(largestOf(cases).pids, []);
});
