import assert from "node:assert/strict";
import {
  createSampleRing,
  drainSamples,
  type SampleRing,
  SampleWriter,
  type UsageSample,
} from "../../../../core/guard/thread/sample_ring.ts";
import type { Observation } from "../../../../core/policy/kill_cycle.ts";

/** memory.stat was read at 3. */
const state = (usage: number) => ({
  id: 7,
  memory: { usage, rate: undefined, reclaimStat: { reclaimable: 5 }, statAt: 3 },
});
const observation: Observation = {
  metricValue: 60,
  killLevelBytes: 50,
  usage: 61,
  limit: 64,
  reclaimable: 2,
  swappable: 0,
  kernelMemory: 0,
  reclaimed: undefined,
  writeback: 0,
  rate: -1.5,
  peakRate: 0,
  unreclaimableRate: undefined,
  oomKillerDisabled: true,
  protectsPageCache: true,
  isThrottled: false,
  victim: "alive",
};

function drained(ring: SampleRing) {
  const samples: UsageSample[] = [];
  const { lost } = drainSamples(ring, (sample) => samples.push(sample));
  return { samples, lost };
}

Deno.test("samples are drained as they were written, and in their order", () => {
  const ring = createSampleRing();
  const samples = new SampleWriter(ring, 1000);
  samples.level(state(40), 2, 39, ["warn", "imminent"]);
  samples.level(state(41), 3, 41, []);
  samples.triggered(["critical"]);
  samples.observation(7, 4, observation, "kill");
  assert.deepEqual(drained(ring), {
    lost: 0,
    samples: [
      {
        at: 1002,
        id: 7,
        usage: 40,
        metricValue: 39,
        reclaimable: undefined,
        swappable: undefined,
        kernelMemory: undefined,
        reclaimed: undefined,
        writeback: undefined,
        rate: undefined,
        peakRate: undefined,
        oomKillerDisabled: false,
        unreclaimableRate: undefined,
        victim: undefined,
        decision: undefined,
        triggered: ["warn", "imminent"],
      },
      {
        at: 1003,
        id: 7,
        usage: 41,
        metricValue: 41,
        reclaimable: 5,
        swappable: undefined,
        kernelMemory: undefined,
        reclaimed: undefined,
        writeback: undefined,
        rate: undefined,
        peakRate: undefined,
        oomKillerDisabled: false,
        unreclaimableRate: undefined,
        victim: undefined,
        decision: undefined,
        triggered: [],
      },
      {
        at: 1004,
        id: 7,
        usage: 61,
        metricValue: 60,
        reclaimable: 2,
        swappable: 0,
        kernelMemory: 0,
        reclaimed: undefined,
        writeback: 0,
        rate: -1.5,
        peakRate: 0,
        oomKillerDisabled: true,
        unreclaimableRate: undefined,
        victim: "alive",
        decision: "kill",
        triggered: ["critical"],
      },
    ],
  });
  assert.deepEqual(drained(ring), { lost: 0, samples: [] });
});

Deno.test("samples that are written faster than they are drained are lost and counted; earlier ones are kept", () => {
  const ring = createSampleRing();
  const samples = new SampleWriter(ring, 0);
  const count = 20_000;
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < count; n++) samples.level(state(n), n, n, []);
    const { samples: got, lost } = drained(ring);
    assert.equal(got.length + lost, count);
    assert.ok(lost > 0);
    assert.deepEqual(got.map(({ usage }) => usage), got.map((_, n) => n));
  }
});
