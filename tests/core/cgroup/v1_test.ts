import assert from "node:assert/strict";
import { v1 } from "../../../core/cgroup/v1.ts";
import { cgroupFixture } from "../parse/fixture.ts";

Deno.test("v1 reads the subtree's memory, as its usage is the subtree's too", () => {
  const snapshot = v1.snapshot(cgroupFixture("6.18-v1", "limited"));
  assert.deepEqual(snapshot, {
    usage: 4837376,
    peak: 20971520,
    limits: { max: 20971520, soft: Infinity, memsw: Infinity, hierarchical: 20971520 },
    stats: {
      anon: 4358144,
      file: 12288,
      shmem: 0,
      kernel: 253952,
      sock: 0,
      swap: 0,
      inactiveFile: 4096,
      activeFile: 8192,
      unevictable: 0,
    },
    local: { max: 508n, oomKill: 0n },
    subtree: {},
    oomKillDisabled: false,
    underOom: false,
  });
});

Deno.test("v1 counts a kill in the victim's cgroup, and a limit hit in the owner's", () => {
  assert.deepEqual(v1.counters(cgroupFixture("6.1-v1", "victim")).local, { max: 0n, oomKill: 3n });
  assert.deepEqual(v1.counters(cgroupFixture("6.1-v1", "limited")).local, {
    max: 335n,
    oomKill: 0n,
  });
});

Deno.test("v1 reads an ancestor's limit from its own memory.stat", () => {
  const { limits } = v1.snapshot(cgroupFixture("6.1-v1", "victim"));
  assert.equal(limits.max, Infinity);
  assert.equal(limits.hierarchical, 20971520);
});

Deno.test("missing v1 files leave their fields absent", () => {
  assert.deepEqual(v1.snapshot(() => undefined), {
    limits: {},
    stats: {},
    local: {},
    subtree: {},
  });
  assert.equal(v1.limit(() => undefined), undefined);
});

Deno.test("without total_ rows v1 reads the cgroup's own rows", () => {
  const stat = "cache 7\nrss 5\ninactive_file 3\n";
  const { stats } = v1.snapshot((file) => file === "memory.stat" ? stat : undefined);
  assert.deepEqual(stats, { anon: 5, file: 7, inactiveFile: 3 });
});

Deno.test("v1 notifies about OOMs, thresholds and pressure levels, and refuses PSI", () => {
  const psi = [{ kind: "some", stall: 1, window: 2 }] as const;
  const pressureLevels = [{ level: "low", mode: "default" }, {
    level: "medium",
    mode: "local",
  }] as const;
  const triggers = v1.triggers({ thresholds: [4096], pressureLevels, psi });
  assert.deepEqual(
    triggers.filter((each) => each.kind === "eventfd").map((each) => [each.file, each.argument]),
    [
      ["memory.oom_control", ""],
      ["memory.usage_in_bytes", "4096"],
      ["memory.pressure_level", "low"],
      ["memory.pressure_level", "medium,local"],
    ],
  );
  assert.equal(v1.refusals({ thresholds: [], pressureLevels, psi }).length, 1);
  assert.deepEqual(v1.refusals({ thresholds: [], pressureLevels, psi: [] }), []);
});
