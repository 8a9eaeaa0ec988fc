import assert from "node:assert/strict";
import { type Look, putLooks, shareLooks, takeLooks } from "../../../core/guard/look_ring.ts";
import type { Sight } from "../../../core/policy/engagement.ts";

const ward = { id: 7, usage: 0, rate: undefined, cache: { reclaimable: 5 }, statAt: 3 };
const sight: Sight = {
  value: 60,
  threshold: 50,
  usage: 61,
  limit: 64,
  reclaimable: 2,
  rate: -1.5,
  unreclaimableRate: undefined,
  waits: false,
  victim: "alive",
};

function taken(shared: ReturnType<typeof shareLooks>) {
  const looks: Look[] = [];
  const { lost } = takeLooks(shared, (look) => looks.push(look));
  return { looks, lost };
}

Deno.test("looks come out of the ring as they were put in, and in their order", () => {
  const shared = shareLooks();
  const looks = putLooks(shared, 1000);
  looks.level({ ...ward, usage: 40 }, 2, 39, ["warn", "threshold"]);
  looks.level({ ...ward, usage: 41 }, 3, 41, []);
  looks.rang(["critical"]);
  looks.sight(ward, 4, sight, "strike");
  assert.deepEqual(taken(shared), {
    lost: 0,
    looks: [
      {
        at: 1002,
        ward: 7,
        usage: 40,
        value: 39,
        reclaimable: undefined,
        rate: undefined,
        unreclaimableRate: undefined,
        victim: undefined,
        did: undefined,
        rang: ["warn", "threshold"],
      },
      {
        at: 1003,
        ward: 7,
        usage: 41,
        value: 41,
        reclaimable: 5,
        rate: undefined,
        unreclaimableRate: undefined,
        victim: undefined,
        did: undefined,
        rang: [],
      },
      {
        at: 1004,
        ward: 7,
        usage: 61,
        value: 60,
        reclaimable: 2,
        rate: -1.5,
        unreclaimableRate: undefined,
        victim: "alive",
        did: "strike",
        rang: ["critical"],
      },
    ],
  });
  assert.deepEqual(taken(shared), { lost: 0, looks: [] });
});

Deno.test("what comes faster than it is taken is lost and counted, and nothing that was there before", () => {
  const shared = shareLooks();
  const looks = putLooks(shared, 0);
  const count = 20_000;
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < count; n++) looks.level({ ...ward, usage: n }, n, n, []);
    const { looks: got, lost } = taken(shared);
    assert.equal(got.length + lost, count);
    assert.ok(lost > 0);
    assert.deepEqual(got.map(({ usage }) => usage), got.map((_, n) => n));
  }
});
