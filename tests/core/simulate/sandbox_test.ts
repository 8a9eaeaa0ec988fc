import assert from "node:assert/strict";
import fc from "fast-check";
import {
  hasEnded,
  ownIdentity,
  parseSandboxName,
  sandboxName,
} from "../../../core/simulate/sandbox.ts";

const owners = fc.record({
  pid: fc.integer({ min: 1, max: 4194304 }),
  startTime: fc.bigInt({ min: 0n, max: 2n ** 63n }),
  namespace: fc.integer({ min: 1, max: 4294967295 }),
}, { noNullPrototype: true });

Deno.test("the name of a sandbox identifies its owner, whatever its sequence number", () => {
  const prefixes = fc.constantFrom("oomkit-sim" as const, "oomkit-run" as const);
  fc.assert(fc.property(prefixes, owners, fc.nat(1000), (prefix, owner, sequence) => {
    assert.deepEqual(parseSandboxName(sandboxName(prefix, owner, sequence)), { prefix, owner });
  }));
});

Deno.test("a name that is not exactly a sandbox name is not parsed", () => {
  const others = [
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
  for (const name of others) assert.equal(parseSandboxName(name), undefined, name);
  fc.assert(fc.property(fc.string(), (name) => assert.equal(parseSandboxName(name), undefined)));
});

Deno.test("this process has not ended", () => {
  const owner = ownIdentity()!;
  assert.equal(owner.pid, Deno.pid);
  assert.equal(hasEnded(owner, owner), false);
});

Deno.test("an owner with a reused pid has ended", () => {
  const owner = ownIdentity()!;
  assert.equal(hasEnded({ ...owner, startTime: owner.startTime - 1n }, owner), true);
});

Deno.test("an owner with a pid that does not exist has ended", () => {
  const owner = ownIdentity()!;
  assert.equal(hasEnded({ ...owner, pid: 4194304 + 1 }, owner), true);
});

Deno.test("an owner in another pid namespace counts as alive, because it cannot be looked up", () => {
  const owner = ownIdentity()!;
  assert.equal(hasEnded({ ...owner, pid: 4194305, namespace: 1 }, owner), false);
});
