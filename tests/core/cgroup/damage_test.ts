import assert from "node:assert/strict";
import { damageOf } from "../../../core/cgroup/damage.ts";
import { v1 } from "../../../core/cgroup/v1.ts";
import { v2 } from "../../../core/cgroup/v2.ts";
import { fixture, type Kernel } from "../parse/fixture.ts";

Deno.test("nothing that a kernel wrote is damaged", () => {
  const cases: [Kernel, typeof v1][] = [["6.1-v1", v1], ["6.18-v1", v1], ["6.1-v2", v2]];
  for (const [kernel, dialect] of cases) {
    for (const name of ["limited", "victim"]) {
      dialect.snapshot((file) => {
        const text = fixture(kernel, `${name}/${file}`);
        assert.equal(damageOf(file, text), undefined, `${kernel}/${name}/${file}`);
        return text;
      });
    }
  }
});

Deno.test("an empty, a torn and a foreign file are told apart", () => {
  assert.match(damageOf("memory.current", "")!, /empty/);
  assert.match(damageOf("memory.current", "2097")!, /cut off/);
  assert.match(damageOf("memory.stat", "anon 5\nfile 1")!, /cut off/);
  assert.match(damageOf("memory.max", "lots\n")!, /no size/);
  assert.match(damageOf("memory.max", "-1\n")!, /no size/);
  assert.match(damageOf("memory.stat", "lots\n")!, /no line/);
  assert.match(damageOf("memory.pressure", "some lots\n")!, /no line/);
  assert.match(damageOf("cgroup.procs", "12\n\u001b\n")!, /more than pids/);
});

Deno.test("a file that may be empty is not damaged when it is", () => {
  assert.equal(damageOf("cgroup.procs", ""), undefined);
  assert.equal(damageOf("memory.pressure", ""), undefined);
});
