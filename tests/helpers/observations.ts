/** Arbitrary observations of a cgroup and states of a kill cycle, also such as no kernel would show. */

import type { KillCycle, KillSettings, Observation, Phase } from "../../core/policy/kill_cycle.ts";
import { fc } from "../fuzz/cases.ts";

export const MIB = 1024 ** 2;

const share = fc.double({ min: 0, max: 1, noNaN: true });
const rate = fc.option(
  fc.oneof(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), fc.integer({ min: -MIB, max: MIB })),
  { nil: undefined },
);

export const observation: fc.Arbitrary<Observation> = fc.record({
  limit: fc.oneof(
    fc.integer({ min: 2 * MIB, max: 256 * MIB }),
    fc.integer({ min: 2 * MIB, max: 2 ** 40 }),
  ),
  margin: fc.oneof(share, fc.constant(0.98)),
  // Above the limit, too: it may have been lowered.
  used: fc.oneof(share, fc.double({ min: 0.9, max: 1.1, noNaN: true })),
  cache: fc.option(share, { nil: undefined }),
  inactive: fc.oneof(share, fc.constant(0)),
  kernel: fc.oneof(share, fc.constant(0)),
  rate,
  peakRate: fc.oneof(fc.constant(0), fc.nat(2 ** 40)),
  unreclaimableRate: rate,
  reclaimed: fc.option(fc.nat({ max: 2 ** 40 }), { nil: undefined }),
  writeback: fc.oneof(fc.constant(0), fc.nat({ max: 64 * MIB })),
  swap: fc.oneof(fc.constant(0), share),
  oomKillerDisabled: fc.boolean(),
  protectsPageCache: fc.boolean(),
  isThrottled: fc.boolean(),
  victim: fc.constantFrom<Observation["victim"]>("none", "alive", "dead"),
}).map(({ limit, margin, used, cache, inactive, kernel, swap, ...rest }) => {
  const usage = Math.floor(limit * used);
  const reclaimable = cache === undefined ? undefined : Math.floor(usage * cache);
  return {
    metricValue: usage - Math.floor((reclaimable ?? 0) * inactive),
    killLevelBytes: 1 + Math.floor((limit - 2) * margin),
    usage,
    limit,
    reclaimable,
    swappable: Math.floor((usage - (reclaimable ?? 0)) * swap * (1 - kernel)),
    kernelMemory: Math.floor((usage - (reclaimable ?? 0)) * kernel),
    ...rest,
  };
});

export const killSettings: fc.Arbitrary<KillSettings> = fc.record({
  countSwap: fc.boolean(),
  reclaimFirst: fc.boolean(),
  graceMs: fc.oneof(fc.constant(0), fc.nat(1000)),
  exitTimeoutMs: fc.nat(1000),
}, { noNullPrototype: true });

export const killCycle: fc.Arbitrary<KillCycle> = fc.record({
  phase: fc.constantFrom<Phase>(
    "reached",
    "reclaiming",
    "sigterm_sent",
    "sigkill_sent",
    "skipped",
    "exhausted",
  ),
  since: fc.nat(10_000),
  usage: fc.nat({ max: 2 ** 40 }),
  unreclaimed: fc.option(fc.nat({ max: 2 ** 40 }), { nil: undefined }),
  reclaimed: fc.option(fc.nat({ max: 2 ** 40 }), { nil: undefined }),
}, { noNullPrototype: true });
