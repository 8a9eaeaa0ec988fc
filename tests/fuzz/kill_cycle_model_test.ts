/**
 * The decision against random kernels: arbitrary usage, victims that exit late or never, limits that change. Rules are checked
 * at every poll. A run is a list of commands; a failing one is shrunk to the shortest.
 */

import assert from "node:assert/strict";
import { fc } from "./cases.ts";
import { MIB } from "../helpers/observations.ts";
import {
  charge,
  createGuard,
  exit,
  type Guard,
  levelBytesIn,
  type Poll,
  poll,
  type SimulatedProcess,
  usageOf,
  type World,
} from "./random_kernel.ts";

/** What the rules need to know of earlier polls. */
interface Past {
  /** Time of the last kill or escalation. */
  actedAt: number;
  /** Time of the last change of usage, limit or processes. */
  unchangedSince: number;
  /** Since when usage has been below the level; `undefined` while it is not. */
  belowSince: number | undefined;
  readonly lastTriggeredAt: Map<string, number>;
  /** Processes killed in this kill cycle. */
  readonly killed: Set<SimulatedProcess>;
}

interface Real {
  readonly world: World;
  readonly guard: Guard;
  readonly past: Past;
}

type Command = fc.Command<object, Real>;

/** The time of a few polls, within which a reaction is in time. */
const POLLS_MS = 25;
const MAX_MS_TO_EXIT = 5000;

/** Polls once and checks every rule. */
function pollAndCheck({ world, guard, past }: Real): void {
  const terminatedAt = guard.pendingKills.at(-1)?.terminatedAt;
  const alive = guard.pendingKills.some((each) => world.processes.includes(each));
  const seen = poll(world, guard);
  const { now, step, signalled } = seen;
  const latest = Math.max(now + 100, guard.decision.retryAt);
  assert.ok(guard.nextPollAt > now && guard.nextPollAt <= latest, "the next poll is due");
  neverBelow(seen);
  neverProtected(signalled);
  if (signalled && step?.do === "kill") {
    assert.ok(!past.killed.has(signalled), `${signalled.pid} is killed twice`);
    past.killed.add(signalled);
  }
  if (step?.do === "escalate") graceful(seen, guard, terminatedAt);
  if (step?.do === "kill" && alive && seen.before?.phase === "sigkill_sent") {
    patient(seen, guard, past.actedAt);
  }
  for (const level of seen.triggered) {
    const since = now - (past.lastTriggeredAt.get(level) ?? -Infinity);
    assert.ok(since >= guard.triggerPolicy.cooldown, `${level} again after ${since} ms`);
    past.lastTriggeredAt.set(level, now);
  }
  if (signalled) past.actedAt = now;
  if (guard.decision.killCycle === undefined) past.killed.clear();
  const levelBytes = levelBytesIn(world, guard);
  const isBelow = levelBytes === undefined || usageOf(world) < levelBytes.imminent;
  past.belowSince = isBelow ? past.belowSince ?? now : undefined;
  ends({ world, guard, past });
  acts(seen, { world, guard, past });
}

function neverBelow({ observation, step }: Poll): void {
  if (step?.do !== "kill" && step?.do !== "escalate" && step?.do !== "reclaim") return;
  assert.ok(Number.isFinite(observation!.limit));
  assert.ok(observation!.metricValue >= observation!.killLevelBytes, `${step.do} below the level`);
}

function neverProtected(signalled: SimulatedProcess | undefined): void {
  if (signalled) assert.equal(signalled.protection, "none", `${signalled.pid} is protected`);
}

/** A terminating process has its grace period, unless the limit is near. */
function graceful(
  { observation, now }: Poll,
  { killSettings }: Guard,
  terminatedAt: number | undefined,
): void {
  assert.ok(terminatedAt !== undefined, "no process was terminated");
  const { usage, limit, killLevelBytes: imminent, rate = 0, unreclaimableRate = rate } =
    observation!;
  const room = limit - usage;
  const fastest = Math.max(rate, unreclaimableRate);
  const isNear = room < (limit - imminent) / 4 ||
    (fastest > 0 && 1000 * (room + (observation!.reclaimable ?? 0)) / fastest < 20);
  assert.ok(
    isNear || now - terminatedAt >= killSettings.graceMs,
    `killed after ${now - terminatedAt} ms`,
  );
}

/** No second process is killed while one exits, unless that takes too long, or the limit would be reached before. */
function patient({ observation, now }: Poll, { killSettings }: Guard, actedAt: number): void {
  const { usage, limit, killLevelBytes: imminent, rate = 0, oomKillerDisabled } = observation!;
  const isNext = !oomKillerDisabled && rate > limit - imminent &&
    limit - usage < (limit - imminent) / 4;
  assert.ok(
    isNext || now - actedAt >= killSettings.exitTimeoutMs,
    `the next one after ${now - actedAt} ms`,
  );
}

/** Below the level a kill cycle ends, and the guard is ready for the next one. */
function ends({ world, guard, past }: Real): void {
  if (past.belowSince === undefined || guard.decision.killCycle === undefined) return;
  const maxMs = Math.max(MAX_MS_TO_EXIT, guard.killSettings.graceMs) + POLLS_MS;
  assert.ok(world.now - past.belowSince <= maxMs, `still ${guard.decision.killCycle.phase}`);
}

/** Above the level, with nothing reclaimable and a candidate, there is a kill in bounded time. */
function acts(seen: Poll, { world, guard, past }: Real): void {
  const { observation, step } = seen;
  if (observation === undefined || seen.candidates === 0) return;
  if (
    observation.metricValue < observation.killLevelBytes ||
    observation.usage - observation.reclaimable! < observation.killLevelBytes
  ) return;
  // Usage does not rise: no further kill is needed.
  const isStuck = observation.oomKillerDisabled &&
    observation.limit - observation.usage < (observation.limit - observation.killLevelBytes) / 4;
  if (step?.do === "exhausted" && !isStuck) return;
  const since = Math.max(past.actedAt, past.unchangedSince);
  const maxMs = Math.max(guard.killSettings.graceMs, guard.killSettings.exitTimeoutMs) + POLLS_MS;
  assert.ok(
    world.now - since <= maxMs,
    `${guard.decision.killCycle?.phase} since ${world.now - since} ms`,
  );
}

/** Lets time pass, with every poll that is due. */
function pass(real: Real, ms: number): void {
  const { world, guard } = real;
  for (const until = world.now + ms; world.now < until;) {
    world.now = Math.min(until, Math.max(guard.nextPollAt, world.now));
    if (world.now >= guard.nextPollAt) pollAndCheck(real);
  }
}

function command(what: string, run: (real: Real) => void, isChange = true): Command {
  return {
    check: () => true,
    run(_, real) {
      run(real);
      if (isChange) real.past.unchangedSince = real.world.now;
    },
    toString: () => what,
  };
}

const nth = ({ processes }: World, which: number) =>
  processes.length === 0 ? undefined : processes[which % processes.length];

const bytes = fc.oneof(fc.nat(MIB), fc.nat(16 * MIB), fc.nat(256 * MIB));
const which = fc.nat(20);
const PROTECTIONS = ["none", "none", "none", "init", "self", "immune", "exempt"] as const;

const commands = fc.commands<object, Real>([
  fc.tuple(which, bytes, fc.nat(40)).map(([which, bytes, ms]) =>
    command(`fill(${which}, ${bytes}, ${ms} ms)`, (real) => {
      const steps = Math.max(1, ms);
      for (let step = 0; step < steps; step++) {
        const target = nth(real.world, which);
        if (target && target.killedAt === undefined) {
          charge(real.world, target, Math.floor(bytes / steps));
        }
        real.past.unchangedSince = real.world.now;
        pass(real, ms / steps);
      }
    })
  ),
  fc.tuple(which, bytes).map(([which, bytes]) =>
    command(`free(${which}, ${bytes})`, ({ world }) => {
      const target = nth(world, which);
      if (target) target.anon = Math.max(0, target.anon - bytes);
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
      const isThere = world.processes.some(({ pid }) => pid === 1);
      if (isInit && isThere) return;
      const pid = isInit ? 1 : 2 + world.kernelKills + world.processes.length + world.now * 100;
      const started: SimulatedProcess = { pid, anon: 0, protection };
      world.processes.push(started);
      charge(world, started, bytes);
    })
  ),
  which.map((which) =>
    command(`exit(${which})`, ({ world }) => {
      const signalled = world.processes.filter((each) =>
        each.killedAt ?? each.terminatedAt !== undefined
      );
      const exiting = signalled[which % Math.max(1, signalled.length)];
      if (exiting) exit(world, exiting);
    })
  ),
  fc.oneof(fc.integer({ min: 0, max: 512 * MIB }), fc.constant(Infinity)).map((limit) =>
    command(`limit(${limit})`, ({ world }) => {
      world.limit = limit;
      if (usageOf(world) > limit) world.cache = Math.max(0, world.cache - (usageOf(world) - limit));
    })
  ),
  fc.oneof(fc.nat(20), fc.nat(2000), fc.constant(7000)).map((ms) =>
    command(`pass(${ms} ms)`, (real) => pass(real, ms), false)
  ),
], { maxCommands: 40 });

const settings = fc.record({
  killSettings: fc.record({
    countSwap: fc.boolean(),
    reclaimFirst: fc.boolean(),
    graceMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300 })),
    exitTimeoutMs: fc.nat(600),
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
  const processes = [10, 11].map((pid): SimulatedProcess => ({ pid, anon, protection: "none" }));
  return {
    world: {
      now: 0,
      limit: 64 * MIB,
      cache: 0,
      reclaimed: 0,
      processes,
      oomKillerDisabled,
      kernelKills: 0,
    },
    guard: createGuard(settings),
    past: {
      actedAt: -Infinity,
      unchangedSince: 0,
      belowSince: undefined,
      lastTriggeredAt: new Map(),
      killed: new Set(),
    },
  };
}

Deno.test("with a random kernel no kill breaks a rule, and no kill is missing", () => {
  fc.assert(fc.property(settings, commands, ({ oomKillerDisabled, ...settings }, commands) => {
    fc.modelRun(
      () => ({ model: {}, real: begin(settings, oomKillerDisabled, 4 * MIB) }),
      commands,
    );
  }));
});

Deno.test("a kill cycle ends when the victim has freed its memory, and the same level leads to the next one", () => {
  const slow = settings.filter(({ killSettings: { exitTimeoutMs } }) => exitTimeoutMs >= 100);
  fc.assert(fc.property(slow, fc.nat(40), ({ oomKillerDisabled, ...settings }, late) => {
    const real = begin(settings, oomKillerDisabled, MIB);
    const { world, guard, past } = real;
    for (const victim of [...world.processes]) {
      pass(real, 20);
      assert.equal(guard.decision.killCycle, undefined);
      victim.anon += levelBytesIn(world, guard)!.imminent - usageOf(world);
      past.unchangedSince = world.now;
      pass(real, 20);
      assert.deepEqual([...past.killed], [victim]);
      pass(real, late);
      exit(world, victim);
      past.unchangedSince = world.now;
      pass(real, POLLS_MS);
      assert.equal(guard.decision.killCycle, undefined);
    }
  }));
});
