import assert from "node:assert/strict";
import {
  branchesOf,
  matching,
  type Order,
  ordered,
  searched,
  type Sort,
  sortLabel,
} from "../../../cli/live/order.ts";
import { NO_COUNTS } from "../../../cli/live/rows.ts";
import { MIB, row } from "./rows.ts";

const list: Order = { sort: "time", isReversed: false, isTree: false };
const names = (order: Partial<Order>, rows: Parameters<typeof ordered>[0]) =>
  ordered(rows, { ...list, ...order }).map(({ path }) => path).join("");

Deno.test("the least time to the limit comes first, equal rows by their share of the limit, and cgroups without a limit by usage after them", () => {
  const rows = [
    row("a", { timeLeft: undefined, usage: 10 }),
    row("b", { timeLeft: Infinity, usage: 60 * MIB, limit: 640 * MIB }),
    row("c", { timeLeft: 5 }),
    row("d", { timeLeft: 0.5 }),
    row("e", { timeLeft: 0, isRemoved: true }),
    row("f", { timeLeft: Infinity, usage: 50 * MIB }),
    row("g", { timeLeft: 1, usage: 100, limit: Infinity }),
  ];
  assert.equal(names({}, rows), "dcfbage");
  assert.equal(names({ sort: "name" }, rows), "abcdefg");
  assert.equal(sortLabel("time", rows), "time to limit");
  assert.equal(sortLabel("time", rows.slice(6)), "usage: no limits");
});

Deno.test("each other order has the most critical first and unknown values last, also reversed", () => {
  const none = { usage: undefined, headroom: undefined, rate: undefined, limit: Infinity };
  const stalled = (avg10: number) => ({ full: { avg10, avg60: 0, avg300: 0, total: 0n } });
  const rows = [
    row("a", none),
    row("b", { usage: 10 * MIB, headroom: 54 * MIB, rate: -5, pressure: stalled(0) }),
    row("c", {
      usage: 30 * MIB,
      headroom: 34 * MIB,
      rate: 9,
      counts: { ...NO_COUNTS, hits: 9 },
      pressure: stalled(9),
    }),
    row("d", {
      usage: 20 * MIB,
      headroom: 44 * MIB,
      rate: 8,
      counts: { ...NO_COUNTS, kills: 1 },
      pressure: stalled(8),
    }),
  ];
  for (const sort of ["left", "full", "usage", "rate", "pressure"] satisfies Sort[]) {
    assert.equal(names({ sort }, rows), "cdba", sort);
    assert.equal(names({ sort, isReversed: true }, rows), "bdca", sort);
  }
  assert.equal(names({ sort: "counts" }, rows), "dcba");
});

Deno.test("a removed cgroup comes first if it has kills, else last", () => {
  const rows = [
    row("a", { timeLeft: 1 }),
    row("b", { isRemoved: true, counts: { ...NO_COUNTS, actions: 1 } }),
    row("c", { isRemoved: true }),
    row("d"),
  ];
  assert.equal(names({}, rows), "badc");
  assert.equal(names({ sort: "usage", isReversed: true }, rows)[0], "b");
});

Deno.test("a tree has each cgroup below the innermost one around it, siblings in their order", () => {
  const rows = ordered(
    ["/b", "/a", "/a/x", "/a/y/z", "/a/y/z/1", "/ab"].map((path) => row(path)),
    { sort: "name", isReversed: false, isTree: true },
  );
  const branches = branchesOf(rows, true);
  assert.deepEqual(rows.map(({ path }) => branches.get(path)!.lead + path), [
    "/a",
    "├─ /a/x",
    "└─ /a/y/z",
    "   └─ /a/y/z/1",
    "/ab",
    "/b",
  ]);
  assert.equal(branches.get("/a/y/z")?.parent, "/a");
  assert.equal(branches.get("/ab")?.parent, undefined);
});

Deno.test("a filter requires all of its words, ignoring case", () => {
  const rows = [row("/Kube/pod1"), row("/kube/pod2"), row("/system")];
  assert.equal(matching(rows, "KUBE 2").length, 1);
  assert.equal(matching(rows, " ").length, 3);
  assert.equal(matching(rows, "x").length, 0);
});

Deno.test("a search goes on at the start after the end", () => {
  const rows = [row("/a1"), row("/b"), row("/a2")];
  assert.equal(searched(rows, "A", 0), 0);
  assert.equal(searched(rows, "a", 1), 2);
  assert.equal(searched(rows, "b", 2), 1);
  assert.equal(searched(rows, "c", 0), -1);
  assert.equal(searched(rows, "", 0), -1);
  assert.equal(searched([], "a", 0), -1);
});
