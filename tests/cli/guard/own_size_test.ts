import assert from "node:assert/strict";
import { ownSizeWarning } from "../../../cli/guard/own_size.ts";

const MIB = 1024 ** 2;

Deno.test("a guard with what the base of the DaemonSet has is not warned on a full node", () => {
  assert.equal(ownSizeWarning(441, { memory: 128 * MIB, cpus: 0.1 }), undefined);
  assert.equal(ownSizeWarning(100_000, { memory: Infinity, cpus: Infinity }), undefined);
});

Deno.test("a guard with oom-guard's numbers names how many cgroups they suffice for", () => {
  const small = { memory: 60 * MIB, cpus: 0.01 };
  assert.equal(ownSizeWarning(61, small), undefined);
  assert.equal(
    ownSizeWarning(441, small),
    "the limits of the guard's own cgroup suffice for fewer cgroups than the 441 that it guards: " +
      "60.0 MiB of memory for 62 cgroups, 10m of CPU for 236 cgroups; raise them (deploy/README.md)",
  );
  assert.match(
    ownSizeWarning(100, { ...small, cpus: 1 })!,
    /: 60\.0 MiB of memory for 62 cgroups; /,
  );
});
