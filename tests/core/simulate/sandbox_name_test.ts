import assert from "node:assert/strict";
import fc from "fast-check";
import { isGone, parseSandboxName, sandboxName, self } from "../../../core/simulate/sandbox.ts";

const owners = fc.record({
  pid: fc.integer({ min: 1, max: 4194304 }),
  startTime: fc.bigInt({ min: 0n, max: 2n ** 63n }),
  namespace: fc.integer({ min: 1, max: 4294967295 }),
}, { noNullPrototype: true });

Deno.test("a sandbox's name tells its maker, whichever of its sandboxes it is", () => {
  const prefixes = fc.constantFrom("oomkit-sim" as const, "oomkit-run" as const);
  fc.assert(fc.property(prefixes, owners, fc.nat(1000), (prefix, owner, sequence) => {
    assert.deepEqual(parseSandboxName(sandboxName(prefix, owner, sequence)), { prefix, owner });
  }));
});

Deno.test("a name that is not exactly ours is nobody's", () => {
  const foreign = [
    "oomkit-sim",
    "oomkit-sim-12-34",
    "oomkit-test-1-2-3",
    "xoomkit-sim-1-2-3",
    "oomkit-sim-1-2-3-4",
    "oomkit-sim-1-2-3.service",
    "docker-1-2-3",
    "oomkit-sim-a-2-3",
    "",
  ];
  for (const name of foreign) assert.equal(parseSandboxName(name), undefined, name);
  fc.assert(fc.property(fc.string(), (name) => assert.equal(parseSandboxName(name), undefined)));
});

Deno.test("this process is not gone", () => {
  const owner = self()!;
  assert.equal(owner.pid, Deno.pid);
  assert.equal(isGone(owner, owner), false);
});

Deno.test("a pid that came to another process since is gone", () => {
  const owner = self()!;
  assert.equal(isGone({ ...owner, startTime: owner.startTime - 1n }, owner), true);
});

Deno.test("a pid that nobody has is gone", () => {
  const owner = self()!;
  assert.equal(isGone({ ...owner, pid: 4194304 + 1 }, owner), true);
});

Deno.test("a process of another pid namespace counts as alive, since it cannot be looked up", () => {
  const owner = self()!;
  assert.equal(isGone({ ...owner, pid: 4194305, namespace: 1 }, owner), false);
});
