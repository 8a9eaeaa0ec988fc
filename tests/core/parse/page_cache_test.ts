import assert from "node:assert/strict";
import { parsePageCache } from "../../../core/parse/cgroupfs.ts";

Deno.test("on v1 the page cache of the subtree counts, where the kernel gives it", () => {
  const own = "inactive_file 1\nactive_file 2\n";
  assert.deepEqual(parsePageCache(own), { inactiveFile: 1, reclaimable: 3 });
  const subtree = "total_inactive_file 10\ntotal_active_file 20\n";
  for (const text of [own + subtree, subtree + own]) {
    assert.deepEqual(parsePageCache(text), { inactiveFile: 10, reclaimable: 30 });
  }
});

Deno.test("without a row its sum is unknown, and never smaller than it is", () => {
  assert.deepEqual(parsePageCache("inactive_file 1\n"), { inactiveFile: 1 });
  assert.deepEqual(parsePageCache("active_file 2\n"), {});
  assert.deepEqual(parsePageCache(""), {});
});
