import assert from "node:assert/strict";
import { inUrgency } from "../../../core/guard/sight.ts";
import type { Ward } from "../../../core/guard/ward.ts";

/** @param usage as it is now, whatever it was when it was looked at last. */
function ward(limit: number, usage: number | undefined): Ward {
  return { terms: { limit }, usage: 0, usageFile: { number: () => usage } } as Ward;
}

Deno.test("who has least left to his limit is first, as usage is now", () => {
  const some = ward(100, 50);
  const least = ward(1000, 999);
  const less = ward(100, 90);
  const gone = ward(100, undefined);
  assert.deepEqual(inUrgency([some, gone, less, least]), [least, less, some, gone]);
});
