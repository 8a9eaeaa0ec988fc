import assert from "node:assert/strict";
import { byHeadroom, type CgroupState } from "../../../../core/guard/thread/cgroup_state.ts";

/** @param usage as it is read now; the last poll read 0. */
function state(limit: number, usage: number | undefined): CgroupState {
  return {
    settings: { limit },
    memory: { usage: 0 },
    files: { usageFile: { number: () => usage } },
  } as CgroupState;
}

Deno.test("the cgroup with the least headroom comes first, by present usage", () => {
  const some = state(100, 50);
  const least = state(1000, 999);
  const less = state(100, 90);
  const gone = state(100, undefined);
  assert.deepEqual(byHeadroom([some, gone, less, least]), [least, less, some, gone]);
});
