import assert from "node:assert/strict";
import { v1 } from "../../../core/cgroup/v1.ts";
import { v2 } from "../../../core/cgroup/v2.ts";

const read = (files: Readonly<Record<string, string>>) => (name: string) => files[name];

Deno.test("on v2 the swap limit leaves what is not swapped yet", () => {
  const room = (max: string, current: string) =>
    v2.roomForSwap(read({ "memory.swap.max": max, "memory.swap.current": current }));
  assert.equal(room("10\n", "4\n"), 6);
  assert.equal(room("0\n", "0\n"), 0);
  assert.equal(room("max\n", "4\n"), Infinity);
  assert.equal(v2.roomForSwap(read({})), Infinity);
  assert.equal(v2.roomForSwap(read({ "memory.swap.max": "10\n" })), 0, "unknown usage is full");
});

Deno.test("on v1 swap makes room only as far as memsw lies above what memory still has", () => {
  const room = (limit: string, usage: string, memswLimit: string, memswUsage: string) =>
    v1.roomForSwap(read({
      "memory.limit_in_bytes": limit,
      "memory.usage_in_bytes": usage,
      "memory.memsw.limit_in_bytes": memswLimit,
      "memory.memsw.usage_in_bytes": memswUsage,
    }));
  assert.equal(room("64\n", "60\n", "100\n", "60\n"), 36);
  assert.equal(room("64\n", "60\n", "64\n", "60\n"), 0);
  assert.equal(room("64\n", "60\n", "9223372036854771712\n", "60\n"), Infinity);
  const withoutMemsw = { "memory.limit_in_bytes": "64\n", "memory.usage_in_bytes": "60\n" };
  assert.equal(v1.roomForSwap(read(withoutMemsw)), Infinity);
});
