import assert from "node:assert/strict";
import { parseReclaimStat as parse } from "../../../core/parse/cgroupfs.ts";

Deno.test("on v1 the page cache of the subtree counts, where the kernel gives it", () => {
  const own = "inactive_file 1\nactive_file 2\n";
  assert.deepEqual(parse(own, 4096), { inactiveFile: 1, reclaimable: 3 });
  const subtree = "total_inactive_file 10\ntotal_active_file 20\n";
  for (const text of [own + subtree, subtree + own]) {
    assert.deepEqual(parse(text, 4096), { inactiveFile: 10, reclaimable: 30 });
  }
});

Deno.test("without a row its sum is unknown, and never smaller than it is", () => {
  assert.deepEqual(parse("inactive_file 1\n", 4096), { inactiveFile: 1 });
  assert.deepEqual(parse("active_file 2\n", 4096), {});
  assert.deepEqual(parse("", 4096), {});
});

Deno.test("reclaimable slab counts where the kernel shows it, and the reclaimed pages are counted in bytes", () => {
  const v2 =
    "inactive_file 1\nactive_file 2\ninactive_anon 3\nactive_anon 4\nslab_reclaimable 10\n" +
    "file_dirty 5\nfile_writeback 6\npgsteal 7\n";
  assert.deepEqual(parse(v2, 4096), {
    inactiveFile: 1,
    reclaimable: 13,
    swappable: 7,
    writeback: 11,
    reclaimed: 7 * 4096,
  });
  const v1 = "total_dirty 5\ntotal_writeback 6\ntotal_pgpgout 2\n";
  assert.deepEqual(parse(v1, 65536), { writeback: 11, reclaimed: 2 * 65536 });
});
