import assert from "node:assert/strict";
import { v2, v2WithLocalEvents } from "../../../core/cgroup/v2.ts";
import { cgroupFixture } from "../parse/fixture.ts";

const directory = (name: string) => cgroupFixture("6.1-v2", name);

Deno.test("v2 reads everything that a kernel writes", () => {
  assert.deepEqual(v2.snapshot(directory("limited")), {
    usage: 4562944,
    peak: 20971520,
    limits: { max: 20971520, high: Infinity, low: 0, min: 0, swap: 0 },
    stats: {
      anon: 4280320,
      file: 0,
      shmem: 0,
      kernel: 86016,
      slab: 3528,
      slabReclaimable: 0,
      kernelStack: 0,
      pageTables: 16384,
      sock: 0,
      swap: 0,
      inactiveFile: 0,
      activeFile: 0,
      unevictable: 0,
    },
    local: { max: 29186n, high: 0n, oom: 1714n, oomKill: 0n, oomGroupKill: 0n },
    subtree: { max: 29248n, high: 0n, oom: 1716n, oomKill: 8n, oomGroupKill: 1n },
    pressure: {
      some: { avg10: 4.86, avg60: 2.13, avg300: 0.51, total: 1391836n },
      full: { avg10: 4.86, avg60: 2.13, avg300: 0.51, total: 1391836n },
    },
    oomGroup: false,
  });
});

Deno.test("with memory_localevents memory.events counts the cgroup alone, and nothing the subtree", () => {
  const read = directory("limited");
  const counters = {
    local: { max: 29248n, high: 0n, oom: 1716n, oomKill: 8n, oomGroupKill: 1n },
    subtree: {},
  };
  assert.deepEqual(v2WithLocalEvents.counters(read), counters);
  assert.deepEqual(v2WithLocalEvents.snapshot(read), { ...v2.snapshot(read), ...counters });
  assert.equal(v2WithLocalEvents.countsSubtree, false);
});

Deno.test("v2 reads memory.oom.group, and keeps local and subtree counters apart", () => {
  const { oomGroup, local } = v2.snapshot(directory("group"));
  assert.equal(oomGroup, true);
  assert.deepEqual(local, { max: 27n, high: 0n, oom: 1n, oomKill: 4n, oomGroupKill: 1n });
});

Deno.test("missing v2 files, as at the root, leave their fields absent", () => {
  assert.deepEqual(v2.snapshot(() => undefined), {
    limits: {},
    stats: {},
    local: {},
    subtree: {},
  });
  assert.equal(v2.limit(() => undefined), undefined);
  assert.equal(v2.limit(() => "max\n"), Infinity);
});

Deno.test("disabled PSI is absent, not zero pressure", () => {
  const read = (file: string) => file === "memory.pressure" ? "" : directory("limited")(file);
  assert.equal(v2.snapshot(read).pressure, undefined);
});

Deno.test("v2 notifies by inotify and PSI, and refuses pressure levels", () => {
  const psi = [{ kind: "full", stall: 100, window: 1000 }] as const;
  const triggers = v2.triggers({ thresholds: [4096], pressureLevels: [], psi });
  assert.deepEqual(
    triggers.filter((each) => each.kind === "psi").map((each) => each.psi),
    [...psi],
  );
  assert.deepEqual(
    triggers.filter(({ kind }) => kind === "inotify").map(({ file }) => file),
    ["memory.events", "cgroup.events", "memory.max"],
  );
  const pressureLevels = [{ level: "low", mode: "default" }] as const;
  assert.equal(v2.refusals({ thresholds: [], pressureLevels, psi }).length, 1);
});
