import assert from "node:assert/strict";
import {
  createSampleRing,
  createSampleWriter,
  drainSamples,
  type UsageSample,
} from "../../../../core/guard/thread/sample_ring.ts";
import type { Observation } from "../../../../core/policy/kill_cycle.ts";

const state = { id: 7, usage: 0, rate: undefined, pageCache: { reclaimable: 5 }, statAt: 3 };
const observation: Observation = {
  metricValue: 60,
  levelBytes: 50,
  usage: 61,
  limit: 64,
  reclaimable: 2,
  rate: -1.5,
  unreclaimableRate: undefined,
  oomKillerDisabled: false,
  victim: "alive",
};

function taken(shared: ReturnType<typeof createSampleRing>) {
  const samples: UsageSample[] = [];
  const { lost } = drainSamples(shared, (sample) => samples.push(sample));
  return { samples, lost };
}

Deno.test("looks come out of the ring as they were put in, and in their order", () => {
  const shared = createSampleRing();
  const samples = createSampleWriter(shared, 1000);
  samples.level({ ...state, usage: 40 }, 2, 39, ["warn", "imminent"]);
  samples.level({ ...state, usage: 41 }, 3, 41, []);
  samples.triggered(["critical"]);
  samples.observation(state, 4, observation, "kill");
  assert.deepEqual(taken(shared), {
    lost: 0,
    samples: [
      {
        at: 1002,
        state: 7,
        usage: 40,
        metricValue: 39,
        reclaimable: undefined,
        rate: undefined,
        unreclaimableRate: undefined,
        victim: undefined,
        decision: undefined,
        triggered: ["warn", "imminent"],
      },
      {
        at: 1003,
        state: 7,
        usage: 41,
        metricValue: 41,
        reclaimable: 5,
        rate: undefined,
        unreclaimableRate: undefined,
        victim: undefined,
        decision: undefined,
        triggered: [],
      },
      {
        at: 1004,
        state: 7,
        usage: 61,
        metricValue: 60,
        reclaimable: 2,
        rate: -1.5,
        unreclaimableRate: undefined,
        victim: "alive",
        decision: "kill",
        triggered: ["critical"],
      },
    ],
  });
  assert.deepEqual(taken(shared), { lost: 0, samples: [] });
});

Deno.test("what comes faster than it is taken is lost and counted, and nothing that was there before", () => {
  const shared = createSampleRing();
  const samples = createSampleWriter(shared, 0);
  const count = 20_000;
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < count; n++) samples.level({ ...state, usage: n }, n, n, []);
    const { samples: got, lost } = taken(shared);
    assert.equal(got.length + lost, count);
    assert.ok(lost > 0);
    assert.deepEqual(got.map(({ usage }) => usage), got.map((_, n) => n));
  }
});
