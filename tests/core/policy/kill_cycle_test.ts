import assert from "node:assert/strict";
import fc from "fast-check";
import {
  initialDecision,
  type KillCycle,
  type KillSettings,
  msUntilNear,
  nextStep,
  type Observation,
  resetDecision,
  retryLater,
  startKillCycle,
  type Step,
} from "../../../core/policy/kill_cycle.ts";
import { metricOf } from "../../../core/policy/usage_trend.ts";
import { killSettings, MIB, observation } from "../../helpers/observations.ts";

const withoutGrace: KillSettings = {
  countSwap: true,
  reclaimFirst: true,
  graceMs: 0,
  exitTimeoutMs: 500,
};
const withGrace: KillSettings = { ...withoutGrace, graceMs: 100 };

/** Just over the level, nothing reclaimable, no growth, no process signalled yet. */
const full: Observation = {
  metricValue: 98 * MIB,
  killLevelBytes: 98 * MIB,
  usage: 98 * MIB,
  limit: 100 * MIB,
  reclaimable: 0,
  swappable: 0,
  kernelMemory: 0,
  reclaimed: 0,
  writeback: 0,
  rate: 0,
  peakRate: 0,
  unreclaimableRate: undefined,
  oomKillerDisabled: false,
  protectsPageCache: true,
  isThrottled: false,
  victim: "none",
};
const below: Observation = { ...full, metricValue: 97 * MIB, usage: 97 * MIB };
const cached: Observation = { ...full, reclaimable: 50 * MIB };
/** Uses up the margin in less than a second. */
const rising: Partial<Observation> = { rate: 3 * MIB };
/** Half of the margin in 10 ms. */
const racing: Partial<Observation> = { rate: 100 * MIB };

type Course = readonly (readonly [number, Observation])[];

/** The step at each of these times, without its `until`. */
const firstSteps = (killSettings: KillSettings, ...course: Course) =>
  stepsFrom(startKillCycle(0), killSettings, course);

/** The same shortly after a reclaim that found nothing. */
const steps = (killSettings: KillSettings, ...course: Course) =>
  stepsFrom(startKillCycle(0, 0), killSettings, course);

function stepsFrom(killCycle: KillCycle, killSettings: KillSettings, course: Course): string[] {
  return course.map(([now, observation]) => {
    const result = nextStep(killCycle, observation, killSettings, now);
    killCycle = result.killCycle;
    return result.step.do;
  });
}

const alive = (observation: Observation, more: Partial<Observation> = {}): Observation => ({
  ...observation,
  victim: "alive",
  ...more,
});
const dead = (observation: Observation, more: Partial<Observation> = {}): Observation => ({
  ...observation,
  victim: "dead",
  ...more,
});

Deno.test("nothing is killed before one reclaim was tried, and then what the reclaim gave decides", () => {
  const kill = ["reclaim", "wait", "kill"];
  assert.deepEqual(firstSteps(withoutGrace, [0, full], [19, full], [20, full]), kill);
  // The estimate says that 50 MiB are page cache; the kernel reclaims none of it, as below memory.min, and usage rises to the limit.
  const brim = { ...cached, usage: 99.9 * MIB, metricValue: 99.9 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, cached], [99, brim], [100, brim]), kill);
  const page = 4096;
  const above = { ...cached, usage: cached.usage + 2 * page, metricValue: cached.usage + 2 * page };
  const gave = (reclaimed: number) => ({ ...brim, reclaimed });
  assert.deepEqual(firstSteps(withoutGrace, [0, above], [100, gave(page)]), ["reclaim", "kill"]);
  assert.deepEqual(
    firstSteps(withoutGrace, [0, above], [100, gave(2 * page)], [1000, gave(3 * page)]),
    [
      "reclaim",
      "wait",
      "skip",
    ],
  );
});

Deno.test("a reclaim of which nothing is seen kills nothing as long as usage does not rise to the limit", () => {
  // On a busy machine nothing may have run in the time.
  const waits = ["reclaim", "wait", "skip"];
  assert.deepEqual(firstSteps(withoutGrace, [0, cached], [999, cached], [1000, cached]), waits);
  const atLimit = { ...cached, usage: 100 * MIB, metricValue: 100 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, atLimit], [999, atLimit], [1000, atLimit]), waits);
});

Deno.test("a reclaim that worked does not save a cgroup full of unreclaimable memory", () => {
  const above = { ...full, usage: 99 * MIB, metricValue: 99 * MIB };
  const worked = { ...above, reclaimed: MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, above], [5, worked]), ["reclaim", "kill"]);
});

Deno.test("dirty page cache is waited for, as by the kernel", () => {
  const dirty = { ...cached, writeback: 10 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, dirty], [100, dirty], [1000, dirty]), [
    "reclaim",
    "wait",
    "skip",
  ]);
});

Deno.test("page cache that is not reclaimed on v1, which cannot protect it, is not killed for: a disk still reads it", () => {
  const reading = { ...cached, protectsPageCache: false };
  const brim = { ...reading, usage: 99.9 * MIB, metricValue: 99.9 * MIB };
  assert.deepEqual(
    firstSteps(withoutGrace, [0, reading], [100, brim], [1000, brim], [5000, brim]),
    ["reclaim", "wait", "skip", "skip"],
  );
  const allocated = { ...full, protectsPageCache: false };
  assert.deepEqual(firstSteps(withoutGrace, [0, allocated], [100, allocated]), ["reclaim", "kill"]);
  assert.deepEqual(firstSteps(withoutGrace, [0, reading], [1000, brim], [1010, allocated]), [
    "reclaim",
    "skip",
    "reclaim",
  ]);
});

Deno.test("where an allocator waits near the limit, nothing is killed for what it may go on to allocate", () => {
  // 16 MiB in 10 ms, beside page cache of 50 MiB.
  const bursting = { ...cached, ...racing, rate: 1600 * MIB, unreclaimableRate: 5000 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, bursting]), ["kill"]);
  for (const waits of [{ isThrottled: true }, { oomKillerDisabled: true }]) {
    const seen = { ...bursting, ...waits };
    assert.deepEqual(firstSteps(withoutGrace, [0, seen], [2, seen]), ["reclaim", "wait"]);
    // Nothing is left to be reclaimed.
    const allocated = { ...full, ...waits, rate: 1600 * MIB };
    assert.deepEqual(firstSteps(withoutGrace, [0, seen], [2, allocated]), ["reclaim", "kill"]);
    assert.deepEqual(firstSteps(withoutGrace, [0, allocated]), ["kill"]);
  }
});

Deno.test("a reclaim is repeated only for more than the last one has left", () => {
  const isTried = (unreclaimed: number, seen: Observation) =>
    stepsFrom(startKillCycle(0, unreclaimed), withoutGrace, [[0, seen]])[0] === "reclaim";
  assert.ok(!isTried(50 * MIB, cached));
  assert.ok(isTried(49 * MIB, cached));
  assert.ok(!isTried(0, full));
  assert.ok(isTried(0, { ...full, kernelMemory: MIB }));
});

Deno.test("kernel memory on v1 is reclaimed before a kill, and however fast it grows nothing is killed first", () => {
  const slab = { ...full, kernelMemory: 60 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, { ...slab, ...racing }]), ["reclaim"]);
  const anonymous = { ...slab, unreclaimableRate: 200 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, anonymous]), ["kill"]);
  // What is left is not slab.
  const brim = { ...slab, usage: 99.9 * MIB, metricValue: 99.9 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, slab], [100, brim]), ["reclaim", "kill"]);
});

Deno.test("nothing is killed while swap has room, and nothing is reclaimed: the kernel swaps by itself", () => {
  const swapping = { ...full, swappable: 50 * MIB };
  assert.deepEqual(firstSteps(withoutGrace, [0, swapping], [5000, swapping]), ["skip", "skip"]);
  const used = { ...full, swappable: 0 };
  assert.deepEqual(firstSteps(withoutGrace, [0, swapping], [10, used], [120, used]), [
    "skip",
    "reclaim",
    "kill",
  ]);
  const racingWithLittleSwap = {
    ...full,
    ...racing,
    swappable: MIB,
    unreclaimableRate: racing.rate,
  };
  assert.deepEqual(firstSteps(withoutGrace, [0, racingWithLittleSwap]), ["skip"]);
});

Deno.test("a skipped cgroup that rises to its limit while the kernel reclaims nothing is tried", () => {
  const brim = { ...cached, usage: 99.9 * MIB, metricValue: 99.9 * MIB, rate: MIB };
  const dirty = { ...cached, writeback: 10 * MIB };
  const start: Course = [[0, dirty], [1000, dirty]];
  const withReclaim = (reclaimed: number) => ({ ...brim, reclaimed });
  const skipped = ["reclaim", "skip"];
  assert.deepEqual(firstSteps(withoutGrace, ...start, [1200, brim]), [...skipped, "reclaim"]);
  assert.deepEqual(firstSteps(withoutGrace, ...start, [1200, withReclaim(1)]), [
    ...skipped,
    "skip",
  ]);
});

Deno.test("nothing is killed for unknown page cache, because it may be all of usage", () => {
  const unknown: Observation = { ...full, reclaimable: undefined };
  assert.deepEqual(steps(withoutGrace, [0, unknown], [999, unknown], [1000, unknown]), [
    "reclaim",
    "wait",
    "skip",
  ]);
  assert.deepEqual(steps(withoutGrace, [0, { ...unknown, ...racing }]), ["reclaim"]);
  assert.equal(metricOf("working-set", full.usage, undefined), 0);
});

Deno.test("a new policy does not inherit the wait after failed kills under the old one", () => {
  const decision = initialDecision();
  assert.equal(retryLater(decision, 0), 100);
  assert.equal(retryLater(decision, 100), 300);
  resetDecision(decision);
  assert.deepEqual(decision, initialDecision());
  assert.equal(retryLater(decision, 1000), 1100);
});

Deno.test("nothing is killed if usage is below the level again at the first sample", () => {
  assert.deepEqual(steps(withoutGrace, [0, below]), ["end"]);
});

Deno.test("page cache is reclaimed first, and the cycle ends if that makes room", () => {
  assert.deepEqual(steps(withoutGrace, [0, cached], [2, cached], [20, below]), [
    "reclaim",
    "wait",
    "end",
  ]);
});

Deno.test("page cache that is not reclaimed in a second is left to the kernel, as long as it stays so", () => {
  // Other files are read as fast as the kernel reclaims.
  const stream = { ...cached, reclaimed: 50 * MIB };
  const start: Course = [[0, cached], [999, stream], [1000, stream]];
  const course = steps(withoutGrace, ...start, [9000, stream]);
  assert.deepEqual(course, ["reclaim", "wait", "skip", "skip"]);
  assert.deepEqual(steps(withoutGrace, ...start, [9000, full]).at(-1), "kill");
  assert.deepEqual(steps(withoutGrace, ...start, [9000, below]).at(-1), "end");
});

Deno.test("page cache is left to the kernel also if reclaim is switched off", () => {
  const passive = { ...withoutGrace, reclaimFirst: false };
  assert.deepEqual(steps(passive, [0, cached], [2, cached], [4, full]), [
    "skip",
    "skip",
    "kill",
  ]);
});

Deno.test("nothing is reclaimed if that comes too late", () => {
  const fast = { ...cached, unreclaimableRate: 5000 * MIB };
  assert.deepEqual(steps(withoutGrace, [0, fast]), ["kill"]);
  assert.deepEqual(steps(withoutGrace, [0, cached], [2, fast]), ["reclaim", "kill"]);
});

Deno.test("growth of page cache is not killed for, however fast, as long as it is not known to be anything else", () => {
  const writer = { ...cached, rate: 5000 * MIB };
  assert.deepEqual(steps(withoutGrace, [0, writer]), ["reclaim"]);
  assert.deepEqual(steps(withoutGrace, [0, { ...writer, unreclaimableRate: 0 }]), ["reclaim"]);
});

Deno.test("no second process is killed when the first has freed too little but usage does not rise", () => {
  const course = steps(withoutGrace, [0, full], [5, dead(full)], [10, dead(full)], [900, full]);
  assert.deepEqual(course, ["kill", "wait", "exhausted", "exhausted"]);
});

Deno.test("an exhausted cycle kills again after growth by an eighth of the margin, however slow", () => {
  const more = (bytes: number): Observation => ({ ...full, usage: 98 * MIB + bytes });
  const eighth = 2 * MIB / 8;
  const start = [[0, full], [10, dead(full)]] as const;
  assert.equal(steps(withoutGrace, ...start, [900, more(eighth)]).at(-1), "exhausted");
  assert.equal(steps(withoutGrace, ...start, [900, more(eighth + 1)]).at(-1), "kill");
  assert.equal(steps(withoutGrace, ...start, [900, below]).at(-1), "end");
});

Deno.test("growth in an exhausted cycle counts from the lowest usage since", () => {
  const used = (mib: number): Observation => ({
    ...full,
    usage: mib * MIB,
    metricValue: mib * MIB,
  });
  const start = [[0, full], [10, dead(used(100))]] as const;
  assert.deepEqual(
    steps(withoutGrace, ...start, [20, used(98.5)], [30, used(98.6)], [40, used(99)]),
    [
      "kill",
      "exhausted",
      "exhausted",
      "exhausted",
      "kill",
    ],
  );
});

Deno.test("a second process is killed when allocators wait at the limit for more than the first has freed", () => {
  const stuck: Observation = {
    ...full,
    oomKillerDisabled: true,
    usage: 100 * MIB,
    metricValue: 100 * MIB,
  };
  assert.deepEqual(steps(withoutGrace, [0, stuck], [10, dead(stuck)]), ["kill", "kill"]);
});

Deno.test("no second process is killed for what turns out to be page cache", () => {
  assert.deepEqual(steps(withoutGrace, [0, full], [10, dead(cached)]), ["kill", "skip"]);
  assert.deepEqual(steps(withoutGrace, [0, full], [1, dead(cached, rising)]), ["kill", "wait"]);
});

Deno.test("no second process is killed while the first exits if allocators wait at the limit", () => {
  const near = { usage: 99.9 * MIB, metricValue: 99.9 * MIB, ...rising };
  const held: Observation = { ...full, oomKillerDisabled: true };
  assert.deepEqual(steps(withoutGrace, [0, held], [1, alive(held, near)]), ["kill", "wait"]);
  assert.deepEqual(steps(withoutGrace, [0, held], [1, dead(held, near)]), ["kill", "kill"]);
});

Deno.test("a limit that is reached soon is not too near while there is page cache to be used up first", () => {
  assert.deepEqual(steps(withoutGrace, [0, { ...cached, unreclaimableRate: 200 * MIB }]), [
    "reclaim",
  ]);
});

Deno.test("a skipped cgroup is polled every 10 ms, as it may stay so for weeks", () => {
  const { killCycle } = nextStep(
    { ...startKillCycle(0), phase: "reclaiming" },
    cached,
    withoutGrace,
    1000,
  );
  assert.deepEqual(nextStep(killCycle, cached, withoutGrace, 2000).step, {
    do: "skip",
    until: 2010,
  });
});

Deno.test("a kill follows when page cache turns into something else during the reclaim", () => {
  assert.deepEqual(steps(withoutGrace, [0, cached], [100, full]), ["reclaim", "kill"]);
});

Deno.test("a terminating process is killed when the grace period is over, and not before", () => {
  const terminating = alive(full);
  assert.deepEqual(steps(withGrace, [0, full], [99, terminating], [100, terminating]), [
    "kill",
    "wait",
    "escalate",
  ]);
});

Deno.test("the grace period is cut short when the limit is near, in time or in bytes", () => {
  assert.deepEqual(steps(withGrace, [0, full], [2, alive(full, racing)]), ["kill", "wait"]);
  const grown = { ...full, usage: full.usage + 1 };
  assert.deepEqual(steps(withGrace, [0, full], [2, alive(grown, { rate: 200 * MIB })]), [
    "kill",
    "escalate",
  ]);
  const narrow = { usage: 99.5 * MIB, metricValue: 99.5 * MIB };
  assert.deepEqual(steps(withGrace, [0, full], [2, alive(full, narrow)]), ["kill", "wait"]);
  const least = { usage: 99.5 * MIB + 1, metricValue: 99.5 * MIB + 1 };
  assert.deepEqual(steps(withGrace, [0, full], [2, alive(full, least)]), ["kill", "escalate"]);
});

Deno.test("the growth before SIGTERM does not cut the grace period short", () => {
  const before = { ...full, rate: 0, peakRate: 1000 * MIB };
  assert.deepEqual(steps(withGrace, [0, { ...before, rate: 1000 * MIB }], [50, alive(before)]), [
    "kill",
    "wait",
  ]);
});

Deno.test("a terminating process that frees enough may live", () => {
  assert.deepEqual(steps(withGrace, [0, full], [50, alive(below)], [100, alive(below)]), [
    "kill",
    "wait",
    "end",
  ]);
  assert.deepEqual(steps(withoutGrace, [0, full], [1, dead(full)], [2, dead(below)]).at(-1), "end");
});

Deno.test("the next process is terminated when the first has exited and that was not enough", () => {
  const course = steps(withGrace, [0, full], [10, dead(full)], [109, alive(full)], [
    110,
    alive(full),
  ]);
  assert.deepEqual(course, ["kill", "kill", "wait", "escalate"]);
});

Deno.test("an exiting victim is waited for, and then the next one is killed", () => {
  const exiting = alive(full);
  const course = steps(withoutGrace, [0, full], [1, exiting], [499, exiting], [500, exiting], [
    501,
    exiting,
  ]);
  assert.deepEqual(course, ["kill", "wait", "wait", "kill", "wait"]);
});

Deno.test("the next process is killed immediately when usage rises after the exit, or before it near the limit", () => {
  assert.deepEqual(steps(withoutGrace, [0, full], [1, dead(full, rising)]), ["kill", "kill"]);
  assert.deepEqual(steps(withoutGrace, [0, full], [1, alive(full, rising)]), ["kill", "wait"]);
  const near = { usage: 99.9 * MIB, metricValue: 99.9 * MIB };
  assert.deepEqual(steps(withoutGrace, [0, full], [1, alive(full, { ...near, ...rising })]), [
    "kill",
    "kill",
  ]);
  assert.deepEqual(steps(withoutGrace, [0, full], [1, alive(full, near)]), ["kill", "wait"]);
});

Deno.test("once there is room again no other process is killed, however long the first one takes to exit", () => {
  const course = steps(withoutGrace, [0, full], [1, alive(below)], [4999, alive(below)], [
    5000,
    alive(below),
  ]);
  assert.deepEqual(course, ["kill", "wait", "wait", "end"]);
});

const course = fc.array(fc.tuple(observation, fc.nat(300)), { maxLength: 30 });

/** Calls `see` for each sample. */
function follow(
  killSettings: KillSettings,
  course: readonly (readonly [Observation, number])[],
  see: (step: Step, observation: Observation, now: number) => void = () => {},
): { killCycle: KillCycle; now: number } {
  let now = 0;
  let killCycle = startKillCycle(now);
  for (const [observation, wait] of course) {
    const result = nextStep(killCycle, observation, killSettings, now += wait);
    killCycle = result.killCycle;
    see(result.step, observation, now);
  }
  return { killCycle, now };
}

Deno.test("whatever is observed, the next poll is due within 10 ms, and later only far from the level", () => {
  fc.assert(fc.property(killSettings, course, (killSettings, course) => {
    follow(killSettings, course, (step, { killLevelBytes }, now) => {
      if (!("until" in step)) return;
      // At 2.5 GiB/s half of the level is filled by then.
      const longest = step.do === "skip" ? killLevelBytes / (5 * GIB / 1000) : 0;
      const latest = now + Math.min(200, Math.max(10, longest));
      assert.ok(step.until > now && step.until <= latest, step.do);
    });
  }));
});

Deno.test("more swap than memory makes no level farther away than it is", () => {
  const level = { killLevelBytes: 50 * MIB, usage: 60 * MIB, metricValue: 60 * MIB };
  assert.equal(msUntilNear({ ...full, ...level, swappable: 900 * MIB }), 10);
});

const GIB = 1024 * MIB;

/** A cgroup of 1 GiB at its level of 1000 MiB, full of page cache. */
const cacheOf = (anon: number): Partial<Observation> => ({
  metricValue: 1010 * MIB,
  usage: 1010 * MIB,
  killLevelBytes: 1000 * MIB,
  limit: GIB,
  reclaimable: (1010 - anon) * MIB,
});

Deno.test("page cache is left to the kernel where other memory cannot come near the level within 20 ms", () => {
  const first = (anon: number, rest: Partial<Observation>) =>
    stepsFrom(startKillCycle(0), withoutGrace, [[0, { ...full, ...cacheOf(anon), ...rest }]])[0];
  const throttled = { isThrottled: true };
  assert.equal(first(900, throttled), "skip");
  assert.equal(first(950, throttled), "reclaim");
  assert.equal(first(900, { protectsPageCache: false }), "skip");
  // The kernel's figures may be wrong, and nothing slows an allocator down.
  assert.equal(first(900, {}), "reclaim");
});

Deno.test("a cgroup full of page cache is polled as often as other memory could come near the level", () => {
  const pause = (anon: number) => {
    const seen = { ...full, ...cacheOf(anon), isThrottled: true };
    const { step } = nextStep(startKillCycle(0), seen, withoutGrace, 0);
    return step.do === "skip" ? Math.round(step.until) : step.do;
  };
  assert.deepEqual([0, 500, 900, 940].map(pause), [195, 98, 20, 12]);
});

Deno.test("below the level a victim that exits slowly is polled less and less often", () => {
  const killCycle: KillCycle = { ...startKillCycle(0), phase: "sigkill_sent", usage: 98 * MIB };
  const pause = (now: number, rate = 0) => {
    const { step } = nextStep(killCycle, alive(below, { rate }), withoutGrace, now);
    return step.do === "wait" ? step.until - now : step.do;
  };
  assert.deepEqual([1, 8, 40, 800, 5000].map((now) => pause(now)), [1, 1, 5, 10, "end"]);
  // Another process may be about to fill the cgroup.
  assert.equal(pause(800, MIB), 1);
});

Deno.test("no process is signalled below the level", () => {
  fc.assert(fc.property(killSettings, course, (killSettings, course) => {
    follow(killSettings, course, (step, observation) => {
      if (observation.metricValue < observation.killLevelBytes) {
        assert.ok(step.do === "wait" || step.do === "skip" || step.do === "end", step.do);
      }
    });
  }));
});

Deno.test("whatever came before, usage that rises above the level with no victim alive leads to a kill in bounded time", () => {
  const risen = observation.map((seen) => ({
    ...seen,
    usage: seen.limit,
    metricValue: seen.limit,
    reclaimable: 0,
    swappable: 0,
    kernelMemory: 0,
    writeback: 0,
    rate: seen.limit,
  }));
  const victim = fc.constantFrom<Observation["victim"]>("none", "dead");
  fc.assert(
    fc.property(killSettings, course, risen, victim, (killSettings, course, risen, victim) => {
      // From the level, because an exhausted cycle waits for growth.
      const fallen = {
        ...risen,
        usage: risen.killLevelBytes,
        metricValue: risen.killLevelBytes,
        victim,
      };
      let { killCycle, now } = follow(killSettings, [...course, [fallen, 1]]);
      const msToMeasureReclaim = 100 + 2;
      const late = now + killSettings.exitTimeoutMs + msToMeasureReclaim + 2;
      for (let step: Step["do"] = "wait"; step !== "kill";) {
        assert.ok(now <= late, `still ${killCycle.phase} after ${now} ms`);
        const result = nextStep(killCycle, { ...risen, victim }, killSettings, now);
        killCycle = result.killCycle;
        step = result.step.do;
        if ("until" in result.step) now = result.step.until;
      }
    }),
  );
});

Deno.test("a victim that lives on without making room is killed after the grace period, and followed by another", () => {
  fc.assert(fc.property(killSettings, (killSettings) => {
    let killCycle = startKillCycle(0, 0);
    const done: string[] = [];
    const end = killSettings.graceMs + killSettings.exitTimeoutMs + 10;
    for (let now = 0; now <= end;) {
      const seen = done.length === 0 ? full : alive(full);
      const result = nextStep(killCycle, seen, killSettings, now);
      killCycle = result.killCycle;
      if ("until" in result.step) now = result.step.until;
      else now += done.push(result.step.do) && 1;
    }
    const expected = killSettings.graceMs > 0 ? ["kill", "escalate", "kill"] : ["kill", "kill"];
    assert.deepEqual(done.slice(0, expected.length), expected);
  }));
});
