import assert from "node:assert/strict";
import {
  type CgroupFigures,
  type CgroupOrder,
  rankCgroups,
} from "../../../core/policy/victim_order.ts";

const GIB = 1024 ** 3;

const ranked = (
  order: CgroupOrder,
  figures: Readonly<Record<string, CgroupFigures>>,
) => [...rankCgroups(order, new Map(Object.entries(figures)), 10 * GIB).keys()];

Deno.test("by pgscan the cgroup that was scanned most is first, and the larger one of two alike", () => {
  const order = ranked("pgscan", {
    "/idle": { pgscan: 0, usage: 9 * GIB },
    "/small": { pgscan: 10, usage: GIB },
    "/busy": { pgscan: 900, usage: GIB },
    "/large": { pgscan: 10, usage: 2 * GIB },
    "/v1": { usage: GIB },
  });
  assert.deepEqual(order, ["/busy", "/large", "/small"]);
});

Deno.test("by pressure a cgroup without it, or from which nothing is reclaimed, has no place", () => {
  const order = ranked("pressure", {
    "/suffers": { pressure: 90, pgscan: 0 },
    "/some": { pressure: 5.5, pgscan: 1 },
    "/most": { pressure: 40, pgscan: 1 },
    "/none": { pressure: 0, pgscan: 8 },
    "/unknown": { pgscan: 7 },
  });
  assert.deepEqual(order, ["/most", "/some"]);
});

Deno.test("by swap only cgroups with more than 5 % of it have a place", () => {
  const order = ranked("swap", {
    "/little": { swap: 0.5 * GIB },
    "/more": { swap: 0.6 * GIB },
    "/most": { swap: 3 * GIB },
    "/unknown": { usage: 9 * GIB },
  });
  assert.deepEqual(order, ["/most", "/more"]);
});

Deno.test("by growth what has grown most is first, and what has not grown has no place", () => {
  const order = ranked("growth", {
    "/big": { growth: 0, usage: 9 * GIB },
    "/shrinks": { growth: -GIB, usage: 5 * GIB },
    "/little": { growth: 1, usage: 3 * GIB },
    "/leak": { growth: GIB, usage: 2 * GIB },
    "/unknown": { usage: GIB },
  });
  assert.deepEqual(order, ["/leak", "/little"]);
});
