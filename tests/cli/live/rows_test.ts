import assert from "node:assert/strict";
import {
  counted,
  matching,
  NO_COUNTS,
  ordered,
  type Sort,
  stateOf,
} from "../../../cli/live/rows.ts";
import { kill, MIB, row } from "./rows.ts";

const names = (sort: Sort, rows: Parameters<typeof ordered>[0]) =>
  ordered(rows, sort).map(({ path }) => path).join("");

Deno.test("the least time to the limit comes first, then the highest share; removed cgroups come last", () => {
  const rows = [
    row("a", { timeLeft: undefined, usage: 10 }),
    row("b", { timeLeft: Infinity, usage: 60 * MIB }),
    row("c", { timeLeft: 5 }),
    row("d", { timeLeft: 0.5 }),
    row("e", { timeLeft: 0, isRemoved: true }),
    row("f", { timeLeft: Infinity, usage: 50 * MIB }),
  ];
  assert.equal(names("time", rows), "dcbfae");
  assert.equal(names("name", rows), "abcdef");
});

Deno.test("each other order has the most critical first and unknown values last", () => {
  const none = { usage: undefined, headroom: undefined, rate: undefined, limit: Infinity };
  const rows = [
    row("a", none),
    row("b", { usage: 10 * MIB, headroom: 54 * MIB, rate: -5 }),
    row("c", { usage: 30 * MIB, headroom: 34 * MIB, rate: 9, counts: { ...NO_COUNTS, hits: 9 } }),
    row("d", { usage: 20 * MIB, headroom: 44 * MIB, rate: 8, counts: { ...NO_COUNTS, kills: 1 } }),
  ];
  for (const sort of ["left", "full", "usage"] as const) assert.equal(names(sort, rows), "cdba");
  assert.equal(names("rate", rows), "cdba");
  assert.equal(names("counts", rows), "dcba");
});

Deno.test("a filter requires all of its words, ignoring case", () => {
  const rows = [row("/Kube/pod1"), row("/kube/pod2"), row("/system")];
  assert.equal(matching(rows, "KUBE 2").length, 1);
  assert.equal(matching(rows, " ").length, 3);
  assert.equal(matching(rows, "x").length, 0);
});

Deno.test("events are counted by type", () => {
  const after = counted(counted(NO_COUNTS, kill("/a", 1)), {
    ...kill("/a", 2),
    type: "cgroup_created",
  });
  assert.deepEqual(after, { ...NO_COUNTS, kills: 1 });
});

Deno.test("the state has at most nine letters", () => {
  const marks = [{ name: "critical", bytes: 20 * MIB }];
  const cases: [Parameters<typeof row>[1], string][] = [
    [{}, "ok"],
    [{ usage: 50 * MIB }, "warn"],
    [{ usage: 60 * MIB }, "critical"],
    [{ marks }, "critical"],
    [{ usage: 64 * MIB }, "at limit"],
    [{ headroom: 0 }, "at limit"],
    [{ underOom: true }, "under OOM"],
    [{ usage: undefined }, "unknown"],
    [{ limit: Infinity, headroom: undefined }, "no limit"],
    [{ isRemoved: true, underOom: true }, "removed"],
  ];
  for (const [rest, word] of cases) assert.equal(stateOf(row("/a", rest)).word, word);
});
