import assert from "node:assert/strict";
import { type OpenControlFile, openControlFile } from "../../core/kernel/control_file.ts";
import { libc } from "../../core/kernel/libc.ts";
import { allocatedBy } from "../../scripts/bench/costs.ts";

// It stays loaded for good, which within a test would be a leak.
libc();

const FILES = 500;
const SWEEPS = 200;

Deno.test("one number allocated per file is measured as its size or more", () => {
  let kept: number[] = [];
  const each = allocatedBy(() => void (kept = Array.from({ length: FILES }, (_, n) => n / 2)), 50);
  assert.equal(kept.length, FILES);
  assert.ok(each / FILES > 7, `${each / FILES} bytes for each`);
});

Deno.test("a sweep over files that are kept open allocates nothing for any of them", () => {
  const dir = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  const files: OpenControlFile[] = [];
  try {
    for (let n = 0; n < FILES; n++) {
      // What is 2 GiB or more is a number of V8's that takes 16 bytes, unless it is inlined.
      Deno.writeTextFileSync(`${dir}/${n}`, `${n * 4096 * 1000}\n`);
      files.push(openControlFile(`${dir}/${n}`));
    }
    let unread = 0;
    const sweep = () => {
      for (const file of files) if (file.number() === undefined) unread += 1;
    };
    const each = allocatedBy(sweep, SWEEPS) / FILES;
    assert.equal(unread, 0);
    // A BigInt for each read would be about 16 bytes, a string more.
    assert.ok(each < 1, `${each} bytes for each file`);
  } finally {
    for (const file of files) file.close();
    Deno.removeSync(dir, { recursive: true });
  }
});
