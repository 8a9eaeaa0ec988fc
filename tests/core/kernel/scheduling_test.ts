import assert from "node:assert/strict";
import { libc } from "../../../core/kernel/libc.ts";
import { hasCpu, oneCpu, ownCpus, setAffinity } from "../../../core/kernel/scheduling.ts";
import { parsePlacing } from "../../../core/parse/procfs.ts";

// Loads the library before the tests: it stays loaded, which within a test would count as a leak.
libc();

const here = () => parsePlacing(Deno.readTextFileSync("/proc/thread-self/stat"))?.cpu;

Deno.test("a thread moves to the given CPU, and back to its previous affinity", () => {
  const before = ownCpus();
  assert.ok(before);
  const cpus = [...Array(navigator.hardwareConcurrency).keys()].filter((n) => hasCpu(before, n));
  try {
    for (const cpu of cpus) {
      assert.ok(setAffinity(oneCpu(cpu)));
      assert.equal(here(), cpu);
      assert.deepEqual(ownCpus(), oneCpu(cpu));
    }
  } finally {
    assert.ok(setAffinity(before));
  }
  assert.deepEqual(ownCpus(), before);
});

Deno.test("a thread stays where it is if the given CPU does not exist", () => {
  const before = ownCpus();
  assert.equal(setAffinity(oneCpu(8191)), false);
  assert.deepEqual(ownCpus(), before);
});
