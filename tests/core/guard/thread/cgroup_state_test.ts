import assert from "node:assert/strict";
import { byHeadroom } from "../../../../core/guard/thread/cgroup_state.ts";
import type { CgroupState } from "../../../../core/guard/thread/cgroup_state.ts";

/** @param usage as it is now, whatever it was when it was looked at last. */
function state(limit: number, usage: number | undefined): CgroupState {
  return { settings: { limit }, usage: 0, usageFile: { number: () => usage } } as CgroupState;
}

Deno.test("who has least left to his limit is first, as usage is now", () => {
  const some = state(100, 50);
  const least = state(1000, 999);
  const less = state(100, 90);
  const gone = state(100, undefined);
  assert.deepEqual(byHeadroom([some, gone, less, least]), [least, less, some, gone]);
});
