/**
 * The decision against random kernels: usage that moves as it likes, victims that die late or never, limits that move.
 * A law is checked at every look; the courses are made of commands, and a failing one is shrunk to the shortest.
 */

import assert from "node:assert/strict";
import { fc } from "./cases.ts";
import {
  boundsIn,
  charge,
  createGuard,
  end,
  type Guard,
  type Look,
  look,
  usageOf,
  type WatchedCgroup,
  type World,
} from "./random_kernel.ts";
import { MIB } from "./observations.ts";

/** What a law needs to know of what went before. */
interface Past {
  /** Of the last strike or escalation. */
  actedAt: number;
  /** Since when nothing but time has passed; any change of usage, limit or members sets it anew. */
  calmSince: number;
  /** Since when usage has been below the level; `undefined` while it is not. */
  belowSince: number | undefined;
  readonly lastTriggeredAt: Map<string, number>;
  /** In this engagement. */
  readonly struckSoFar: Set<WatchedCgroup>;
}

interface Real {
  readonly world: World;
  readonly guard: Guard;
  readonly past: Past;
}

type Command = fc.Command<object, Real>;

/** Milliseconds: what comes within these is in time. */
const LOOKS_MS = 25;
const LINGER_MS = 5000;

/** Looks once and holds what was done to every law. */
function lookAt({ world, guard, past }: Real): void {
  const asked = guard.pendingKills.at(-1)?.askedAt;
  const alive = guard.pendingKills.some((each) => world.members.includes(each));
  const seen = look(world, guard);
  const { now, step, struck } = seen;
  assert.ok(guard.nextLook > now && guard.nextLook <= now + 100, "the next look is to come");
  neverBelow(seen);
  neverProtected(struck);
  if (struck && step?.do === "kill") {
    assert.ok(!past.struckSoFar.has(struck), `${struck.pid} is struck twice`);
    past.struckSoFar.add(struck);
  }
  if (step?.do === "escalate") graceful(seen, guard, asked);
  if (step?.do === "kill" && alive && seen.before?.phase === "killed") {
    patient(seen, guard, past.actedAt);
  }
  for (const level of seen.rung) {
    const since = now - (past.lastTriggeredAt.get(level) ?? -Infinity);
    assert.ok(since >= guard.triggerPolicy.cooldown, `${level} again after ${since} ms`);
    past.lastTriggeredAt.set(level, now);
  }
  if (struck) past.actedAt = now;
  if (guard.killCycle === undefined) past.struckSoFar.clear();
  const levelBytes = boundsIn(world, guard);
  const isBelow = levelBytes === undefined || usageOf(world) < levelBytes.imminent;
  past.belowSince = isBelow ? past.belowSince ?? now : undefined;
  comesToAnEnd({ world, guard, past });
  comesToAnAct(seen, { world, guard, past });
}

function neverBelow({ observation, step }: Look): void {
  if (step?.do !== "kill" && step?.do !== "escalate" && step?.do !== "reclaim") return;
  assert.ok(Number.isFinite(observation!.limit));
  assert.ok(observation!.metricValue >= observation!.levelBytes, `${step.do} below the level`);
}

function neverProtected(struck: WatchedCgroup | undefined): void {
  if (struck) assert.equal(struck.protection, "none", `${struck.pid} is protected`);
}

/** Who was asked has his time, unless the limit is near. */
function graceful(
  { observation, now }: Look,
  { timeouts }: Guard,
  asked: number | undefined,
): void {
  assert.ok(asked !== undefined, "nobody was asked");
  const { usage, limit, levelBytes: imminent, rate = 0, unreclaimableRate = rate } = observation!;
  const room = limit - usage;
  const fastest = Math.max(rate, unreclaimableRate);
  const isNear = room < (limit - imminent) / 4 ||
    (fastest > 0 && 1000 * (room + (observation!.reclaimable ?? 0)) / fastest < 20);
  assert.ok(isNear || now - asked >= timeouts.graceMs, `killed after ${now - asked} ms`);
}

/** Nobody else dies while one is dying, unless that takes too long, or the limit would be met before. */
function patient({ observation, now }: Look, { timeouts }: Guard, actedAt: number): void {
  const { usage, limit, levelBytes: imminent, rate = 0, oomKillerDisabled } = observation!;
  const isNext = !oomKillerDisabled && rate > limit - imminent &&
    limit - usage < (limit - imminent) / 4;
  assert.ok(isNext || now - actedAt >= timeouts.killMs, `the next one after ${now - actedAt} ms`);
}

/** Below the level an engagement ends, and the guard is ready for the next one. */
function comesToAnEnd({ world, guard, past }: Real): void {
  if (past.belowSince === undefined || guard.killCycle === undefined) return;
  const most = Math.max(LINGER_MS, guard.timeouts.graceMs) + LOOKS_MS;
  assert.ok(world.now - past.belowSince <= most, `still ${guard.killCycle.phase}`);
}

/** Above the level, with nothing to be taken back and somebody to be taken, there is an act in bounded time. */
function comesToAnAct(seen: Look, { world, guard, past }: Real): void {
  const { observation, step } = seen;
  if (observation === undefined || seen.candidates === 0) return;
  if (
    observation.metricValue < observation.levelBytes ||
    observation.usage - observation.reclaimable! < observation.levelBytes
  ) return;
  // Nobody takes more: nobody else is to die for nothing.
  const isStuck = observation.oomKillerDisabled &&
    observation.limit - observation.usage < (observation.limit - observation.levelBytes) / 4;
  if (step?.do === "exhausted" && !isStuck) return;
  const since = Math.max(past.actedAt, past.calmSince);
  const most = Math.max(guard.timeouts.graceMs, guard.timeouts.killMs) + LOOKS_MS;
  assert.ok(world.now - since <= most, `${guard.killCycle?.phase} since ${world.now - since} ms`);
}

/** Lets time pass, with every look that falls into it. */
function pass(real: Real, ms: number): void {
  const { world, guard } = real;
  for (const until = world.now + ms; world.now < until;) {
    world.now = Math.min(until, Math.max(guard.nextLook, world.now));
    if (world.now >= guard.nextLook) lookAt(real);
  }
}

function command(what: string, run: (real: Real) => void, isCalm = false): Command {
  return {
    check: () => true,
    run(_, real) {
      run(real);
      if (!isCalm) real.past.calmSince = real.world.now;
    },
    toString: () => what,
  };
}

const of = ({ members }: World, which: number) =>
  members.length === 0 ? undefined : members[which % members.length];

const bytes = fc.oneof(fc.nat(MIB), fc.nat(16 * MIB), fc.nat(256 * MIB));
const which = fc.nat(20);
const PROTECTIONS = ["none", "none", "none", "init", "self", "immune", "exempt"] as const;

const commands = fc.commands<object, Real>([
  fc.tuple(which, bytes, fc.nat(40)).map(([which, bytes, ms]) =>
    command(`fill(${which}, ${bytes}, ${ms} ms)`, (real) => {
      const steps = Math.max(1, ms);
      for (let step = 0; step < steps; step++) {
        const member = of(real.world, which);
        if (member && member.killedAt === undefined) {
          charge(real.world, member, Math.floor(bytes / steps));
        }
        real.past.calmSince = real.world.now;
        pass(real, ms / steps);
      }
    })
  ),
  fc.tuple(which, bytes).map(([which, bytes]) =>
    command(`free(${which}, ${bytes})`, ({ world }) => {
      const member = of(world, which);
      if (member) member.anon = Math.max(0, member.anon - bytes);
    })
  ),
  bytes.map((bytes) =>
    command(`cache(${bytes})`, ({ world }) => {
      world.cache += Math.max(0, Math.min(bytes, world.limit - usageOf(world)));
    })
  ),
  bytes.map((bytes) =>
    command(
      `reclaim(${bytes})`,
      ({ world }) => void (world.cache = Math.max(0, world.cache - bytes)),
    )
  ),
  fc.tuple(bytes, fc.constantFrom(...PROTECTIONS)).map(([bytes, protection]) =>
    command(`start(${bytes}, ${protection})`, ({ world }) => {
      const isInit = protection === "init";
      const isThere = world.members.some(({ pid }) => pid === 1);
      if (isInit && isThere) return;
      const pid = isInit ? 1 : 2 + world.lost.length + world.members.length + world.now * 100;
      const member: WatchedCgroup = { pid, anon: 0, protection };
      world.members.push(member);
      charge(world, member, bytes);
    })
  ),
  which.map((which) =>
    command(`die(${which})`, ({ world }) => {
      const struck = world.members.filter((each) => each.killedAt ?? each.askedAt !== undefined);
      const member = struck[which % Math.max(1, struck.length)];
      if (member) end(world, member);
    })
  ),
  fc.oneof(fc.integer({ min: 0, max: 512 * MIB }), fc.constant(Infinity)).map((limit) =>
    command(`limit(${limit})`, ({ world }) => {
      world.limit = limit;
      if (usageOf(world) > limit) world.cache = Math.max(0, world.cache - (usageOf(world) - limit));
    })
  ),
  fc.oneof(fc.nat(20), fc.nat(2000), fc.constant(7000)).map((ms) =>
    command(`pass(${ms} ms)`, (real) => pass(real, ms), true)
  ),
], { maxCommands: 40 });

const settings = fc.record({
  timeouts: fc.record({
    reclaim: fc.boolean(),
    graceMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300 })),
    killMs: fc.nat(600),
  }),
  triggerPolicy: fc.record({
    hysteresis: fc.double({ min: 0, max: 1, noNaN: true }),
    cooldown: fc.nat(500),
    repeat: fc.boolean(),
  }),
  margin: fc.record({
    ratio: fc.double({ min: 0.01, max: 0.2, noNaN: true }),
    min: fc.integer({ min: 1, max: 4 * MIB }),
    max: fc.integer({ min: 4 * MIB, max: 64 * MIB }),
  }),
  oomKillerDisabled: fc.boolean(),
});

function begin(
  settings: Parameters<typeof createGuard>[0],
  oomKillerDisabled: boolean,
  anon: number,
): Real {
  const members = [10, 11].map((pid): WatchedCgroup => ({ pid, anon, protection: "none" }));
  return {
    world: { now: 0, limit: 64 * MIB, cache: 0, members, oomKillerDisabled, lost: [] },
    guard: createGuard(settings),
    past: {
      actedAt: -Infinity,
      calmSince: 0,
      belowSince: undefined,
      lastTriggeredAt: new Map(),
      struckSoFar: new Set(),
    },
  };
}

Deno.test("no course of a random kernel leads to a blow that breaks a law, or to none where one is due", () => {
  fc.assert(fc.property(settings, commands, ({ oomKillerDisabled, ...settings }, commands) => {
    fc.modelRun(
      () => ({ model: {}, real: begin(settings, oomKillerDisabled, 4 * MIB) }),
      commands,
    );
  }));
});

Deno.test("a victim whose memory is free ends the engagement, and the same level is acted on again", () => {
  const unhurried = settings.filter(({ timeouts: { killMs } }) => killMs >= 100);
  fc.assert(fc.property(unhurried, fc.nat(40), ({ oomKillerDisabled, ...settings }, late) => {
    const real = begin(settings, oomKillerDisabled, MIB);
    const { world, guard, past } = real;
    for (const victim of [...world.members]) {
      pass(real, 20);
      assert.equal(guard.killCycle, undefined);
      victim.anon += boundsIn(world, guard)!.imminent - usageOf(world);
      past.calmSince = world.now;
      pass(real, 20);
      assert.deepEqual([...past.struckSoFar], [victim]);
      pass(real, late);
      end(world, victim);
      past.calmSince = world.now;
      pass(real, LOOKS_MS);
      assert.equal(guard.killCycle, undefined);
    }
  }));
});
