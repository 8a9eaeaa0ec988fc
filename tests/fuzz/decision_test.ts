/** What must hold of a decision, whatever was read: when nothing is done, who is never chosen, and that more usage is not less alarming. */

import assert from "node:assert/strict";
import { isKept, planFor, type Plans } from "../../core/guard/plan.ts";
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
import { type Attribute, chooseVictim, STANDINGS } from "../../core/policy/choose.ts";
import { pursue } from "../../core/policy/engagement.ts";
import { freshBells, nextRing, ring } from "../../core/policy/levels.ts";
import { effectiveLimit, headroom } from "../../core/policy/limits.ts";
import { longestLook, nextLook } from "../../core/policy/pace.ts";
import { fits, type Rule, ruleFor } from "../../core/policy/rules.ts";
import { diesWithGroup, groupOf, rankVictims } from "../../core/policy/victim.ts";
import type { Process } from "../../core/snapshot.ts";
import { fc } from "./cases.ts";
import { engagement, MIB, patience, sight } from "./sights.ts";

const level = fc.constantFrom(...LEVELS);
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
    const mark = earlyMark(threshold, cpus);
    assert.ok(mark >= 1 && mark <= threshold && threshold - mark <= 2 * MIB);
  }));
});

Deno.test("nothing is struck, escalated or reclaimed below the level, nor on usage that is not known", () => {
  const unknown = fc.constantFrom({}, { value: NaN, usage: NaN }, { value: NaN });
  fc.assert(
    fc.property(
      engagement,
      sight,
      patience,
      fc.nat(2000),
      unknown,
      (state, seen, patience, over, no) => {
        const looked = { ...seen, ...no };
        fc.pre(!(looked.value >= looked.threshold));
        const { step } = pursue(state, looked, patience, state.since + over);
        assert.ok(step.do === "wait" || step.do === "end", `${state.phase}: ${step.do}`);
      },
    ),
  );
});

Deno.test("where a process would be struck it would be with more in use as well", () => {
  const isDeadly = (what: string) => what === "strike" || what === "escalate";
  const more = fc.nat(2 ** 30);
  fc.assert(
    fc.property(
      engagement,
      sight,
      patience,
      fc.nat(2000),
      more,
      (state, seen, patience, over, more) => {
        const now = state.since + over;
        const grown = { ...seen, usage: seen.usage + more, value: seen.value + more };
        const before = pursue(state, seen, patience, now).step.do;
        const after = pursue(state, grown, patience, now).step.do;
        assert.ok(!isDeadly(before) || isDeadly(after), `${state.phase}: ${before}, then ${after}`);
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

const cgroups = ["/a", "/a/b", "/a/b/c", "/a/d"];
const shy = /\bshy\b/u;
const somebody = fc.record({
  pid: fc.integer({ min: 1, max: 12 }),
  rss: fc.option(fc.nat(64 * MIB), { nil: undefined }),
  oomScoreAdj: fc.oneof(fc.constant(-1000), fc.integer({ min: -1000, max: 1000 })),
  comm: fc.string({ unit: "binary", maxLength: 15 }),
  cmdline: fc.array(fc.constantFrom("shy", "victim", "", "--me", "x\ny"), { maxLength: 3 }),
  cgroup: fc.constantFrom(...cgroups),
});
const processes = fc.uniqueArray(somebody, { selector: ({ pid }) => pid }).map((all) =>
  all.map(({ rss, ...rest }): Process => ({
    startTime: BigInt(rest.pid),
    nsPids: [rest.pid],
    state: "S",
    ...rest,
    ...rss === undefined ? {} : { rss },
  }))
);

Deno.test("nobody who is protected is ever chosen, by whatever he or his protection is called", () => {
  const marks = fc.dictionary(
    fc.constantFrom(...cgroups),
    fc.constantFrom<Attribute | "kept">("prefer", "avoid", "omit", "kept"),
  );
  const own = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 });
  const expressions = fc.record({
    prefer: fc.subarray([/./u, shy]),
    avoid: fc.subarray([/victim/u]),
    ignore: fc.subarray([shy]),
  });
  fc.assert(
    fc.property(
      processes,
      marks,
      own,
      expressions,
      fc.boolean(),
      (all, marks, own, wishes, pidOneIsInit) => {
        const attributes = new Map(Object.entries(marks));
        const untouchable = new Set(own);
        const place = { processes: all, capacity: 64 * MIB, pidOneIsInit, untouchable, attributes };
        const { choices, spared } = chooseVictim(place, wishes);
        for (const { process } of choices) {
          const { pid, oomScoreAdj, rss, cgroup, cmdline, comm } = process;
          assert.ok(!untouchable.has(pid), "oomkit itself");
          assert.ok(!(pid === 1 && pidOneIsInit), "init");
          assert.ok(oomScoreAdj !== -1000 && rss !== undefined);
          assert.ok(!["omit", "kept"].includes(attributes.get(cgroup) ?? ""), "exempt");
          const line = cmdline.length > 0 ? cmdline.join(" ") : comm;
          assert.ok(wishes.ignore.length === 0 || !shy.test(line), "ignored");
        }
        assert.equal(choices.length + spared.length, all.length);
        const standings = choices.map(({ standing }) => STANDINGS.indexOf(standing));
        assert.deepEqual(standings, standings.toSorted((a, b) => a - b));
      },
    ),
  );
});

Deno.test("who grows is never taken later than before, as long as all others stay what they are", () => {
  fc.assert(fc.property(processes, fc.nat(), fc.nat(2 ** 30), (all, which, more) => {
    const ranks = (them: readonly Process[]) =>
      rankVictims(them, 64 * MIB).map(({ process: { pid } }) => pid);
    const before = ranks(all);
    fc.pre(before.length > 0);
    const pid = before[which % before.length]!;
    const grown = all.map((each) => each.pid === pid ? { ...each, rss: each.rss! + more } : each);
    assert.ok(ranks(grown).indexOf(pid) <= before.indexOf(pid));
  }));
});

Deno.test("what dies as a whole holds the victim, lies within the limit's owner, and leaves out whom the kernel spares", () => {
  const marked = fc.subarray(["/", ...cgroups]);
  fc.assert(fc.property(fc.constantFrom(...cgroups), marked, processes, (victim, marked, all) => {
    for (const owner of ["/", "/a", "/a/b", "/a/b/c"]) {
      const isWithin = (path: string, top: string) =>
        top === "/" || `${path}/`.startsWith(`${top}/`);
      fc.pre(isWithin(victim, "/a"));
      if (!isWithin(victim, owner)) continue;
      const group = groupOf(victim, owner, (path) => marked.includes(path));
      if (group === undefined) assert.ok(!marked.includes(victim));
      else assert.ok(marked.includes(group) && isWithin(victim, group) && isWithin(group, owner));
    }
    for (const each of all) {
      if (each.oomScoreAdj === -1000 || each.pid === 1) assert.ok(!diesWithGroup(each));
    }
  }));
});

const pathText = fc.array(fc.constantFrom("a", "b.slice", "c.service", "poda", "x\ny"), {
  maxLength: 4,
})
  .map((names) => `/${names.join("/")}`);
const labels = new Map([["uid", new Map([["app", "db"]])]]);
const someRule: fc.Arbitrary<Rule> = fc.record({
  selector: fc.record({
    cgroups: fc.subarray([/^\/a/, /^\/b\.slice/, /./s], { minLength: 1 }),
    units: fc.subarray([/^c\.service$/, /^b\.slice$/], { minLength: 1 }),
    labels: fc.constantFrom([["app", "db"]] as const, [["app", "web"]] as const),
  }, { requiredKeys: [] }),
  isExempt: fc.boolean(),
  isGentle: fc.boolean(),
});

Deno.test("the rule that holds is the first that fits, and no rule that it says nothing of changes that", () => {
  const pod = fc.constantFrom(undefined, "uid", "unknown");
  fc.assert(fc.property(fc.array(someRule), pathText, pod, (rules, path, podUid) => {
    const at = { path, podUid };
    const number = ruleFor(rules, at, labels);
    rules.forEach(({ selector, isGentle }, each) => {
      const fitting = fits(selector, at, labels, isGentle);
      if (each < number) assert.ok(!fitting);
      if (each === number) assert.ok(fitting);
    });
    // A label of a pod that is not known may only spare, never end.
    if (podUid === "unknown" && number < rules.length && rules[number]!.selector.labels) {
      assert.ok(rules[number]!.isGentle);
    }
  }));
});

Deno.test("what a rule exempts has no plan and is left alone, also beneath what is guarded", () => {
  fc.assert(fc.property(fc.array(someRule), pathText, level, (rules, path, level) => {
    const actions = { warn: [], critical: [], threshold: [], [level]: [{ kind: "process" }] };
    const all = rules.map(({ isGentle }) =>
      isGentle ? { actions: { ...actions, [level]: [] } } : { actions }
    );
    const plans = { all: [...all, { actions }], rules, labels } as unknown as Plans;
    const number = ruleFor(rules, { path, podUid: undefined }, labels);
    const isExempt = rules[number]?.isExempt ?? false;
    assert.equal(planFor(plans, path) === undefined, isExempt);
    assert.equal(isKept(plans, path), isExempt || (rules[number]?.isGentle ?? false));
  }));
});
