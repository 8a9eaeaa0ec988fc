import assert from "node:assert/strict";
import { invalidReason } from "../../../core/cgroup/validate.ts";
import { v1 } from "../../../core/cgroup/v1.ts";
import { v2 } from "../../../core/cgroup/v2.ts";
import { cgroupFixture, type Kernel } from "../parse/fixture.ts";

Deno.test("no file of a kernel is invalid", () => {
  const cases: [Kernel, typeof v1][] = [["6.1-v1", v1], ["6.18-v1", v1], ["6.1-v2", v2]];
  for (const [kernel, version] of cases) {
    for (const name of ["limited", "victim"]) {
      const read = cgroupFixture(kernel, name);
      version.snapshot((file) => {
        const text = read(file);
        if (text !== undefined) {
          assert.equal(invalidReason(file, text), undefined, `${kernel}/${name}/${file}`);
        }
        return text;
      });
    }
  }
});

Deno.test("empty, torn and other invalid files have different reasons", () => {
  assert.match(invalidReason("memory.current", "")!, /empty/);
  assert.match(invalidReason("memory.current", "2097")!, /cut off/);
  assert.match(invalidReason("memory.stat", "anon 5\nfile 1")!, /cut off/);
  assert.match(invalidReason("memory.max", "lots\n")!, /is not a size/);
  assert.match(invalidReason("memory.max", "-1\n")!, /is not a size/);
  assert.match(invalidReason("memory.stat", "lots\n")!, /no line/);
  assert.match(invalidReason("memory.pressure", "some lots\n")!, /no line/);
  assert.match(invalidReason("cgroup.procs", "12\n\u001b\n")!, /more than pids/);
});

Deno.test("a file that may be empty is valid when it is", () => {
  assert.equal(invalidReason("cgroup.procs", ""), undefined);
  assert.equal(invalidReason("memory.pressure", ""), undefined);
});
