import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type KillCycle,
  type KillTimeouts,
  nextStep,
  type Observation,
  startKillCycle,
  type Step,
} from "../../../core/policy/kill_cycle.ts";
import { MIB, observation, timeouts } from "../../fuzz/observations.ts";

const hasty: KillTimeouts = { reclaim: true, graceMs: 0, killMs: 500 };
const kind: KillTimeouts = { ...hasty, graceMs: 100 };

/** Just over the level, nothing to take back, standing still, nobody struck yet. */
const full: Observation = {
  metricValue: 98 * MIB,
  levelBytes: 98 * MIB,
  usage: 98 * MIB,
  limit: 100 * MIB,
  reclaimable: 0,
  rate: 0,
  unreclaimableRate: undefined,
  oomKillerDisabled: false,
  victim: "none",
};
const calm: Observation = { ...full, metricValue: 97 * MIB, usage: 97 * MIB };
const cached: Observation = { ...full, reclaimable: 50 * MIB };
/** The margin within less than a second. */
const rising: Partial<Observation> = { rate: 3 * MIB };
/** Half a margin in 10 ms. */
const racing: Partial<Observation> = { rate: 100 * MIB };

/** What is done at each of these times, `wait` and `spare` without their time. */
function steps(
  timeouts: KillTimeouts,
  ...course: readonly (readonly [number, Observation])[]
): string[] {
  let killCycle = startKillCycle(0);
  return course.map(([now, observation]) => {
    const result = nextStep(killCycle, observation, timeouts, now);
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

Deno.test("what is full of what cannot be taken back is struck at once", () => {
  assert.deepEqual(steps(hasty, [0, full]), ["kill"]);
  assert.deepEqual(steps(hasty, [0, { ...full, reclaimable: undefined }]), ["kill"]);
});

Deno.test("what has fallen below the level before the first look is let go", () => {
  assert.deepEqual(steps(hasty, [0, calm]), ["end"]);
});

Deno.test("page cache is taken back first, and what that makes room in is let go", () => {
  assert.deepEqual(steps(hasty, [0, cached], [2, cached], [20, calm]), ["reclaim", "wait", "end"]);
});

Deno.test("page cache that does not go in a second is left to the kernel, as long as it is that", () => {
  const course = steps(hasty, [0, cached], [999, cached], [1000, cached], [9000, cached]);
  assert.deepEqual(course, ["reclaim", "wait", "skip", "skip"]);
  assert.deepEqual(steps(hasty, [0, cached], [1000, cached], [9000, full]).at(-1), "kill");
  assert.deepEqual(steps(hasty, [0, cached], [1000, cached], [9000, calm]).at(-1), "end");
});

Deno.test("where nothing is to be taken back, page cache is left to the kernel all the same", () => {
  const passive = { ...hasty, reclaim: false };
  assert.deepEqual(steps(passive, [0, cached], [2, cached], [4, full]), [
    "skip",
    "skip",
    "kill",
  ]);
});

Deno.test("nothing is taken back where that comes too late", () => {
  const fast = { ...cached, unreclaimableRate: 5000 * MIB };
  assert.deepEqual(steps(hasty, [0, fast]), ["kill"]);
  assert.deepEqual(steps(hasty, [0, cached], [2, fast]), ["reclaim", "kill"]);
});

Deno.test("who fills page cache is let go, however fast, for as long as it is not known to be anything else", () => {
  const writer = { ...cached, rate: 5000 * MIB };
  assert.deepEqual(steps(hasty, [0, writer]), ["reclaim"]);
  assert.deepEqual(steps(hasty, [0, { ...writer, unreclaimableRate: 0 }]), ["reclaim"]);
});

Deno.test("nobody dies for nothing: where the dead have freed too little and nobody takes more, it is left at that", () => {
  const course = steps(hasty, [0, full], [5, dead(full)], [10, dead(full)], [900, full]);
  assert.deepEqual(course, ["kill", "wait", "exhausted", "exhausted"]);
});

Deno.test("what has stalled is struck again when it has grown by an eighth of the margin, however slowly", () => {
  const more = (bytes: number): Observation => ({ ...full, usage: 98 * MIB + bytes });
  const eighth = 2 * MIB / 8;
  const start = [[0, full], [10, dead(full)]] as const;
  assert.equal(steps(hasty, ...start, [900, more(eighth)]).at(-1), "exhausted");
  assert.equal(steps(hasty, ...start, [900, more(eighth + 1)]).at(-1), "kill");
  assert.equal(steps(hasty, ...start, [900, calm]).at(-1), "end");
});

Deno.test("who stalled at the limit, and has fallen since, is struck when it grows from there", () => {
  const used = (mib: number): Observation => ({
    ...full,
    usage: mib * MIB,
    metricValue: mib * MIB,
  });
  const start = [[0, full], [10, dead(used(100))]] as const;
  assert.deepEqual(steps(hasty, ...start, [20, used(98.5)], [30, used(98.6)], [40, used(99)]), [
    "kill",
    "exhausted",
    "exhausted",
    "exhausted",
    "kill",
  ]);
});

Deno.test("who waits at the limit for more than the dead have freed is helped", () => {
  const stuck: Observation = {
    ...full,
    oomKillerDisabled: true,
    usage: 100 * MIB,
    metricValue: 100 * MIB,
  };
  assert.deepEqual(steps(hasty, [0, stuck], [10, dead(stuck)]), ["kill", "kill"]);
});

Deno.test("what turns out to be page cache once somebody is dead costs nobody else", () => {
  assert.deepEqual(steps(hasty, [0, full], [10, dead(cached)]), ["kill", "skip"]);
  assert.deepEqual(steps(hasty, [0, full], [1, dead(cached, rising)]), ["kill", "wait"]);
});

Deno.test("nobody else is taken beside the dying where allocators wait at the limit", () => {
  const near = { usage: 99.9 * MIB, metricValue: 99.9 * MIB, ...rising };
  const held: Observation = { ...full, oomKillerDisabled: true };
  assert.deepEqual(steps(hasty, [0, held], [1, alive(held, near)]), ["kill", "wait"]);
  assert.deepEqual(steps(hasty, [0, held], [1, dead(held, near)]), ["kill", "kill"]);
});

Deno.test("a limit that is met soon is not too near while there is cache to be used up first", () => {
  assert.deepEqual(steps(hasty, [0, { ...cached, unreclaimableRate: 200 * MIB }]), ["reclaim"]);
});

Deno.test("what is spared is looked at every 10 ms, as it may stay so for weeks", () => {
  const { killCycle } = nextStep({ phase: "reclaiming", since: 0, usage: 0 }, cached, hasty, 1000);
  assert.deepEqual(nextStep(killCycle, cached, hasty, 2000).step, { do: "skip", until: 2010 });
});

Deno.test("the cache that turns into something else while it is taken back is struck", () => {
  assert.deepEqual(steps(hasty, [0, cached], [2, full]), ["reclaim", "kill"]);
});

Deno.test("who was asked to end is killed when the grace is over, and not before", () => {
  const asked = alive(full);
  assert.deepEqual(steps(kind, [0, full], [99, asked], [100, asked]), [
    "kill",
    "wait",
    "escalate",
  ]);
});

Deno.test("the grace is cut short when the limit is near, in time or in bytes", () => {
  assert.deepEqual(steps(kind, [0, full], [2, alive(full, racing)]), ["kill", "wait"]);
  assert.deepEqual(steps(kind, [0, full], [2, alive(full, { rate: 200 * MIB })]), [
    "kill",
    "escalate",
  ]);
  const narrow = { usage: 99.5 * MIB, metricValue: 99.5 * MIB };
  assert.deepEqual(steps(kind, [0, full], [2, alive(full, narrow)]), ["kill", "wait"]);
  const least = { usage: 99.5 * MIB + 1, metricValue: 99.5 * MIB + 1 };
  assert.deepEqual(steps(kind, [0, full], [2, alive(full, least)]), ["kill", "escalate"]);
});

Deno.test("who was asked and frees enough may live", () => {
  assert.deepEqual(steps(kind, [0, full], [50, alive(calm)], [100, alive(calm)]), [
    "kill",
    "wait",
    "end",
  ]);
  assert.deepEqual(steps(hasty, [0, full], [1, dead(full)], [2, dead(calm)]).at(-1), "end");
});

Deno.test("where the one that was asked has ended and that was not enough, the next one is asked", () => {
  const course = steps(kind, [0, full], [10, dead(full)], [109, alive(full)], [110, alive(full)]);
  assert.deepEqual(course, ["kill", "kill", "wait", "escalate"]);
});

Deno.test("a victim on its way out is waited for, and then the next one is taken", () => {
  const dying = alive(full);
  const course = steps(hasty, [0, full], [1, dying], [499, dying], [500, dying], [501, dying]);
  assert.deepEqual(course, ["kill", "wait", "wait", "kill", "wait"]);
});

Deno.test("the next one is taken at once when usage rises with the victim dead, or with it dying and the limit near", () => {
  assert.deepEqual(steps(hasty, [0, full], [1, dead(full, rising)]), ["kill", "kill"]);
  assert.deepEqual(steps(hasty, [0, full], [1, alive(full, rising)]), ["kill", "wait"]);
  const near = { usage: 99.9 * MIB, metricValue: 99.9 * MIB };
  assert.deepEqual(steps(hasty, [0, full], [1, alive(full, { ...near, ...rising })]), [
    "kill",
    "kill",
  ]);
  assert.deepEqual(steps(hasty, [0, full], [1, alive(full, near)]), ["kill", "wait"]);
});

Deno.test("once there is room again nobody else is taken, however long the killed one takes to be gone", () => {
  const course = steps(hasty, [0, full], [1, alive(calm)], [4999, alive(calm)], [
    5000,
    alive(calm),
  ]);
  assert.deepEqual(course, ["kill", "wait", "wait", "end"]);
});

const course = fc.array(fc.tuple(observation, fc.nat(300)), { maxLength: 30 });

/** Calls `see` for each look of a whole course. */
function follow(
  timeouts: KillTimeouts,
  course: readonly (readonly [Observation, number])[],
  see: (step: Step, observation: Observation, now: number) => void = () => {},
): { killCycle: KillCycle; now: number } {
  let now = 0;
  let killCycle = startKillCycle(now);
  for (const [observation, wait] of course) {
    const result = nextStep(killCycle, observation, timeouts, now += wait);
    killCycle = result.killCycle;
    see(result.step, observation, now);
  }
  return { killCycle, now };
}

Deno.test("whatever is seen, the next look is to come, and within 10 ms", () => {
  fc.assert(fc.property(timeouts, course, (timeouts, course) => {
    follow(timeouts, course, (step, _, now) => {
      if ("until" in step) assert.ok(step.until > now && step.until <= now + 10, step.do);
    });
  }));
});

Deno.test("nobody is struck or killed while there is room below the level", () => {
  fc.assert(fc.property(timeouts, course, (timeouts, course) => {
    follow(timeouts, course, (step, observation) => {
      if (observation.metricValue < observation.levelBytes) {
        assert.ok(step.do === "wait" || step.do === "skip" || step.do === "end", step.do);
      }
    });
  }));
});

Deno.test("whatever came before, usage that rises above the level with nobody alive is struck in bounded time", () => {
  const risen = observation.map((seen) => ({
    ...seen,
    usage: seen.limit,
    metricValue: seen.limit,
    reclaimable: 0,
    rate: seen.limit,
  }));
  const victim = fc.constantFrom<Observation["victim"]>("none", "dead");
  fc.assert(fc.property(timeouts, course, risen, victim, (timeouts, course, risen, victim) => {
    // From the level, as what stalled higher than that has to grow first.
    const fallen = { ...risen, usage: risen.levelBytes, metricValue: risen.levelBytes, victim };
    let { killCycle, now } = follow(timeouts, [...course, [fallen, 1]]);
    const late = now + timeouts.killMs + 2;
    for (let step: Step["do"] = "wait"; step !== "kill";) {
      assert.ok(now <= late, `still ${killCycle.phase} after ${now} ms`);
      const result = nextStep(killCycle, { ...risen, victim }, timeouts, now);
      killCycle = result.killCycle;
      step = result.step.do;
      if ("until" in result.step) now = result.step.until;
    }
  }));
});

Deno.test("a victim that lives on with no room made is killed after the grace, and followed by another", () => {
  fc.assert(fc.property(timeouts, (timeouts) => {
    let killCycle = startKillCycle(0);
    const done: string[] = [];
    const end = timeouts.graceMs + timeouts.killMs + 10;
    for (let now = 0; now <= end;) {
      const seen = done.length === 0 ? full : alive(full);
      const result = nextStep(killCycle, seen, timeouts, now);
      killCycle = result.killCycle;
      if ("until" in result.step) now = result.step.until;
      else now += done.push(result.step.do) && 1;
    }
    const expected = timeouts.graceMs > 0 ? ["kill", "escalate", "kill"] : ["kill", "kill"];
    assert.deepEqual(done.slice(0, expected.length), expected);
  }));
});
