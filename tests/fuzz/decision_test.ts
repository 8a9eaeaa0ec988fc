/** What must hold of a decision, whatever was read: when nothing is done, and that more usage is not less alarming. */

import assert from "node:assert/strict";
import {
  boundsOf,
  earlyMark,
  levelOf,
  LEVELS,
  marginOf,
  NOTIFIED_MARGIN,
  TRIPWIRE_MARGIN,
} from "../../core/policy/bounds.ts";
import { checkHeadroom, checkUsage } from "../../core/policy/check.ts";
import {
  type Engagement,
  type Patience,
  type Phase,
  pursue,
  type Sight,
} from "../../core/policy/engagement.ts";
import { freshBells, nextRing, ring } from "../../core/policy/levels.ts";
import { effectiveLimit, headroom } from "../../core/policy/limits.ts";
import { longestLook, nextLook } from "../../core/policy/pace.ts";
import { fc } from "./cases.ts";
import { engagement, MIB, patience, sight } from "./sights.ts";

const acting = fc.subarray([...LEVELS]).map((levels) => new Set(levels));
const rearming = fc.record({
  hysteresis: fc.double({ min: 0, max: 1, noNaN: true }),
  cooldown: fc.nat(200),
  repeat: fc.boolean(),
});
const levels = fc.record({
  warn: fc.double({ min: 0.1, max: 100, noNaN: true }),
  critical: fc.double({ min: 0.1, max: 100, noNaN: true }),
  margin: fc.constantFrom(NOTIFIED_MARGIN, TRIPWIRE_MARGIN),
});
const size = fc.oneof(
  fc.integer({ min: 1, max: 64 * MIB }),
  fc.integer({ min: 1, max: 2 ** 40 }),
  fc.maxSafeNat(),
);
const unlimited = fc.constantFrom(Infinity, NaN, 0, -1, -Infinity);

Deno.test("without a finite limit above nothing there are no levels, and nobody's limit is Infinity", () => {
  const link = fc.record({
    path: fc.constantFrom("/a/b", "/a", "/"),
    limit: fc.constantFrom(undefined, Infinity),
    usage: fc.option(size, { nil: undefined }),
  });
  fc.assert(fc.property(unlimited, levels, fc.array(link), (limit, levels, chain) => {
    assert.equal(boundsOf(limit, levels), undefined);
    assert.deepEqual(effectiveLimit(chain), { bytes: Infinity });
    assert.equal(headroom(chain), undefined);
  }));
});

Deno.test("a percentage of no limit is neither fine nor not fine, however much is in use", () => {
  const room = fc.record({
    used: fc.option(size, { nil: undefined }),
    left: fc.option(size, { nil: undefined }),
    limit: fc.constantFrom(undefined, Infinity, 0),
  });
  fc.assert(fc.property(room, fc.nat(100), (room, percent) => {
    assert.equal(checkUsage(room, { percent }), "unknown");
    assert.equal(checkHeadroom(room, { percent }), "unknown");
  }));
});

Deno.test("below its lowest level a cgroup is told of by nobody, and what is not known reaches none", () => {
  const course = fc.tuple(
    size,
    levels,
    fc.double({ min: 0, max: 1, noNaN: true }),
    acting,
    rearming,
  );
  fc.assert(fc.property(course, ([limit, levels, share, acting, rearming]) => {
    const bounds = boundsOf(limit, levels);
    fc.pre(bounds !== undefined);
    const lowest = Math.min(...Object.values(bounds));
    for (const value of [Math.ceil(lowest * share) - 1, NaN]) {
      assert.equal(levelOf(bounds, value), undefined);
      assert.deepEqual(ring(freshBells, bounds, value, 0, rearming, acting).levels, []);
      assert.equal(nextRing(freshBells, bounds, value, rearming, acting), Infinity);
    }
  }));
});

Deno.test("more in use never reaches a lower level, and a higher limit never lies nearer", () => {
  const pair = (one: fc.Arbitrary<number>) =>
    fc.tuple(one, one).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(fc.property(pair(size), pair(size), levels, ([low, high], [tight, wide], levels) => {
    const [tighter, wider] = [boundsOf(tight, levels), boundsOf(wide, levels)];
    fc.pre(tighter !== undefined);
    assert.ok(wider !== undefined);
    for (const each of LEVELS) assert.ok(tighter[each] <= wider[each], each);
    const rank = (bounds: typeof tighter, value: number) =>
      LEVELS.indexOf(levelOf(bounds, value) ?? "warn") + (levelOf(bounds, value) ? 1 : 0);
    assert.ok(rank(tighter, low) <= rank(tighter, high));
    assert.ok(rank(wider, high) <= rank(tighter, high));
  }));
});

Deno.test("whatever of a margin is given, there is one that is no wider than its most and no less than its least", () => {
  const bytes = fc.option(fc.nat(1024 * MIB), { nil: undefined });
  const given = fc.record({ min: bytes, max: bytes }).map(({ min, max }) => ({
    ...min === undefined ? {} : { min },
    ...max === undefined ? {} : { max },
  }));
  fc.assert(
    fc.property(fc.constantFrom(NOTIFIED_MARGIN, TRIPWIRE_MARGIN), given, (usual, given) => {
      const { min, max } = marginOf(usual, given);
      assert.deepEqual([given.min ?? min, given.max ?? max], [min, max]);
      assert.ok(min <= max || (given.min !== undefined && given.max !== undefined));
    }),
  );
});

Deno.test("the early mark lies below the threshold, above nothing, and no further than 2 MiB", () => {
  fc.assert(fc.property(size, fc.integer({ min: 1, max: 512 }), (threshold, cpus) => {
    fc.pre(threshold > 0);
    const mark = earlyMark(threshold, cpus);
    assert.ok(mark >= 1 && mark <= threshold && threshold - mark <= 2 * MIB);
  }));
});

/** Whatever it is at, whatever is seen, and whenever that is. */
function atAnyLook<T>(
  beside: fc.Arbitrary<T>,
  holds: (state: Engagement, seen: Sight, patience: Patience, now: number, beside: T) => void,
): void {
  fc.assert(
    fc.property(
      engagement,
      sight,
      patience,
      fc.nat(2000),
      beside,
      (state, seen, wait, over, by) => {
        holds(state, seen, wait, state.since + over, by);
      },
    ),
  );
}

Deno.test("nothing is struck, escalated or reclaimed below the level, nor on usage that is not known", () => {
  const unknown = fc.constantFrom({}, { value: NaN, usage: NaN }, { value: NaN });
  atAnyLook(unknown, (state, seen, patience, now, no) => {
    const looked = { ...seen, ...no };
    fc.pre(!(looked.value >= looked.threshold));
    const { step } = pursue(state, looked, patience, now);
    assert.ok(step.do === "wait" || step.do === "end", `${state.phase}: ${step.do}`);
  });
});

Deno.test("where a process would be struck it would be with more in use as well", () => {
  const isDeadly = (what: string) => what === "strike" || what === "escalate";
  atAnyLook(fc.nat(2 ** 30), (state, seen, patience, now, more) => {
    const grown = { ...seen, usage: seen.usage + more, value: seen.value + more };
    const before = pursue(state, seen, patience, now).step.do;
    const after = pursue(state, grown, patience, now).step.do;
    assert.ok(!isDeadly(before) || isDeadly(after), `${state.phase}: ${before}, then ${after}`);
  });
});

/** Full of what cannot be taken back, with nobody dying. */
const choked = fc.tuple(sight, fc.constantFrom<Sight["victim"]>("none", "dead")).map((
  [seen, victim],
): Sight => ({ ...seen, reclaimable: 0, usage: seen.limit, value: seen.limit, victim }));

Deno.test("who takes a margin a second of it, with nobody dying, is struck at once, whatever went before", () => {
  fc.assert(
    fc.property(engagement, choked, patience, fc.nat(2000), (state, seen, patience, over) => {
      // What has stalled is left alone until there is more of it.
      fc.pre(state.phase !== "stalled" || state.usage < seen.usage);
      const racing = { ...seen, rate: seen.limit - seen.threshold + 1 };
      assert.equal(pursue(state, racing, patience, state.since + over).step.do, "strike");
    }),
  );
});

Deno.test("who stalled a page below the limit is struck when he takes more, and not while he stands still", () => {
  const [limit, threshold, usage] = [100 * MIB, 98 * MIB, 100 * MIB - 4096];
  const seen: Sight = {
    value: usage,
    threshold,
    usage,
    limit,
    reclaimable: 0,
    rate: 0,
    unreclaimableRate: 0,
    waits: false,
    victim: "none",
  };
  const since = { phase: "stalled", since: 0, usage } as const;
  const hasty = { reclaim: true, grace: 0, death: 500 };
  assert.equal(pursue(since, seen, hasty, 10).step.do, "stall");
  const more = { ...seen, usage: limit, value: limit };
  assert.equal(pursue(since, more, hasty, 10).step.do, "strike");
});

Deno.test("who waits at the limit for what nobody will free is helped, whatever went before", () => {
  fc.assert(
    fc.property(engagement, choked, patience, fc.nat(2000), (state, seen, patience, over) => {
      fc.pre(seen.limit > seen.threshold);
      const stuck = { ...seen, waits: true, rate: 0 };
      assert.equal(pursue(state, stuck, patience, state.since + 10 + over).step.do, "strike");
    }),
  );
});

Deno.test("below the level it ends at once with nobody dying, and else in five seconds or the grace", () => {
  fc.assert(
    fc.property(engagement, sight, patience, fc.nat(2000), (state, seen, patience, over) => {
      const calm = { ...seen, value: Math.min(seen.value, seen.threshold - 1) };
      const late = over + (seen.victim === "alive" ? Math.max(5000, patience.grace) : 0);
      assert.equal(pursue(state, calm, patience, state.since + late).step.do, "end");
    }),
  );
});

Deno.test("page cache that has not gone in a second of reclaim is left in peace", () => {
  const phase = fc.constantFrom<Phase>("reclaiming", "spared", "stalled");
  fc.assert(
    fc.property(engagement, phase, sight, patience, (state, phase, seen, patience) => {
      const cached = { ...seen, value: seen.usage, reclaimable: seen.usage };
      fc.pre(cached.value >= cached.threshold && (cached.unreclaimableRate ?? 0) <= 0);
      const { step } = pursue({ ...state, phase }, cached, patience, state.since + 1000);
      assert.equal(step.do, "spare", phase);
    }),
  );
});

Deno.test("what turns out to be page cache once somebody has ended costs nobody else, whether he was asked or killed", () => {
  const phase = fc.constantFrom<Phase>("asked", "killed", "spared", "stalled");
  fc.assert(
    fc.property(
      engagement,
      phase,
      sight,
      patience,
      fc.nat(2000),
      (state, phase, seen, patience, over) => {
        const cached: Sight = {
          ...seen,
          value: seen.usage,
          reclaimable: seen.usage,
          victim: "dead",
        };
        fc.pre(cached.value >= cached.threshold);
        const { step } = pursue({ ...state, phase }, cached, patience, state.since + over);
        assert.ok(step.do === "spare" || step.do === "wait", `${phase}: ${step.do}`);
      },
    ),
  );
});

Deno.test("a decision is the same for the same sight, and changes nothing that it was given", () => {
  fc.assert(
    fc.property(engagement, sight, patience, fc.nat(2000), (state, seen, patience, over) => {
      const given = structuredClone({ state, seen, patience });
      const first = pursue(state, seen, patience, state.since + over);
      assert.deepEqual(pursue(state, seen, patience, state.since + over), first);
      assert.deepEqual({ state, seen, patience }, given);
    }),
  );
});

Deno.test("a look is always to come, be the rate and the distance what they may", () => {
  const number = fc.double({ min: -(2 ** 60), max: 2 ** 60, noNaN: true });
  const distance = fc.oneof(number, fc.constant(Infinity));
  fc.assert(fc.property(distance, number, fc.nat(10 ** 6), (distance, rate, count) => {
    const longest = longestLook(count);
    const wait = nextLook(distance, rate, longest, 1);
    assert.ok(wait >= 1 && wait <= longest, `${wait} ms of ${longest}`);
  }));
});
