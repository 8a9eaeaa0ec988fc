import assert from "node:assert/strict";
import { counted, NO_COUNTS, stateOf } from "../../../cli/live/rows.ts";
import { kill, MIB, row } from "./rows.ts";

Deno.test("events are counted by type", () => {
  const after = counted(counted(NO_COUNTS, kill("/a", 1)), {
    ...kill("/a", 2),
    type: "cgroup_created",
  });
  assert.deepEqual(after, { ...NO_COUNTS, kills: 1, kernelVictim: "tail (1)" });
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
