/**
 * Fixtures: `guard --record` on Linux 6.18, cgroup v1, 64 MiB, with `tail /dev/zero` or `dd` to fill it; and
 * `OOMKIT_RECORD=… deno task bench:race --runs 15 --only notify,64,unthrottled,idle`.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type GuardPolicy, singlePolicy } from "../../../core/guard/policy.ts";
import { policyOfRecord, recordedPolicy } from "../../../core/guard/record.ts";
import { replay, type Replayed } from "../../../core/guard/replay.ts";
import { rowsOf } from "../../../core/guard/replay.ts";
import type { RecordedSnapshot, RecordingLine } from "../../../core/record/format.ts";
import { readRecording } from "../../../core/record/reader.ts";
import { cgroup, head } from "../record/recording.ts";

const MIB = 1024 ** 2;
const FIXTURES = new URL("../../fixtures/recordings", import.meta.url).pathname;
const asRecorded = { other: undefined, override: (policy: GuardPolicy) => policy };

const replayed = (name: string, options = asRecorded) =>
  replay(readRecording(`${FIXTURES}${name}.jsonl`), options);

const actsOf = (each: Replayed) => rowsOf(each).map(({ act }) => act);

const recorded: readonly (readonly [string, readonly string[]])[] = [
  ["race", ["warn", "critical", "imminent", "kill"]],
  ["reclaim", ["warn", "critical", "imminent", "reclaim", "reclaim", "reclaim"]],
  ["grace", ["warn", "critical", "imminent", "kill", "escalate"]],
  ["rehearsal", ["warn", "critical", "imminent", "kill"]],
];

for (const [name, acts] of recorded) {
  Deno.test(`the recorded ${name} under its own policy does what was done, at the same looks`, async () => {
    const once = await replayed(name);
    const rows = rowsOf(once);
    for (const row of rows) assert.equal(row.replayed, row.recorded, JSON.stringify(row));
    assert.deepEqual(rows.map(({ act }) => act), acts);
    assert.deepEqual(await replayed(name), once);
  });
}

Deno.test("the races of a benchmark are won at the very looks at which they were won", async () => {
  const rows = rowsOf(await replay(readRecording(`${FIXTURES}bench_race.jsonl.gz`), asRecorded));
  for (const row of rows) assert.equal(row.replayed, row.recorded, JSON.stringify(row));
  assert.equal(rows.filter(({ act }) => act === "kill").length, 15);
});

Deno.test("under a wider margin the recorded race is struck earlier, and what follows is left open", async () => {
  const margin = { ratio: 0.1, max: 100 * MIB };
  const override = (policy: GuardPolicy) => ({ ...policy, levels: { ...policy.levels, margin } });
  const rows = rowsOf(await replayed("race", { other: undefined, override }));
  const strikes = rows.filter(({ act }) => act === "kill");
  assert.equal(strikes.length, 1);
  const [{ replayed: now, recorded: then, usage, limit }] = strikes as [typeof strikes[number]];
  assert.ok(now! < then!);
  assert.ok(usage >= 0.9 * limit!);
});

Deno.test("what is left is told by the limit that held then", async () => {
  const lines = await Array.fromAsync(readRecording(`${FIXTURES}race.jsonl`));
  const described = lines.find((line) => line.type === "cgroup")!;
  const later = { ...described, limit: 1024 * MIB, at: lines.at(-1)!.at };
  const run = replay(ReadableStream.from([...lines.slice(0, -1), later]), asRecorded);
  for (const { limit } of rowsOf(await run)) assert.equal(limit, 64 * MIB);
});

Deno.test("under a policy that kills nobody the recorded race tells of levels alone", async () => {
  const actions = { warn: [], critical: [], imminent: [] };
  const override = (policy: GuardPolicy) => ({ ...policy, actions });
  const rows = rowsOf(await replayed("race", { other: undefined, override }));
  const strike = rows.find(({ act }) => act === "kill");
  assert.equal(strike?.replayed, undefined);
  assert.ok(strike?.recorded);
  assert.ok(rows.some(({ act, replayed }) => act === "imminent" && replayed !== undefined));
});

const deadly: GuardPolicy = {
  ...policyOfRecord({
    rule: null,
    mode: "notify",
    warn: 65,
    critical: 90,
    margin: {},
    metric: "usage",
    actions: { warn: [], critical: [], imminent: ["process"] },
    hysteresis: 0.05,
    cooldown: 0,
    repeat: false,
    reclaim: true,
    grace_period: 0,
    kill_timeout: 500,
    dry_run: false,
  }),
};

const run = (lines: readonly RecordingLine[], policy = deadly) =>
  replay(ReadableStream.from(lines), { other: singlePolicy(policy), override: (each) => each });

const limited = { ...cgroup, limit: 64 * MIB };
const look = (at: number, mib: number, more: Partial<RecordedSnapshot> = {}): RecordedSnapshot => ({
  type: "snapshot",
  at: 1_000_000 + at,
  id: 1,
  usage: mib * MIB,
  ...more,
});

Deno.test("a watch's recording is guarded by the plan that is given, and late lines are put in order", async () => {
  const late = [look(30, 63.5), look(10, 50), look(20, 60)];
  const result = await run([head, limited, look(0, 10), ...late]);
  assert.deepEqual(actsOf(result), ["warn", "critical", "imminent", "kill"]);
  const [each] = result.cgroups;
  assert.equal(each?.recorded, undefined);
  assert.equal(each?.replayed.at(-1)?.at, 1_000_030);
});

Deno.test("after a strike that did not happen nothing is said until usage is below the level again", async () => {
  const above = [look(10, 63.5), look(20, 63.6), look(700, 63.9)];
  const again = [look(800, 5), look(20_000, 63.5)];
  const strikes = async (lines: RecordingLine[]) =>
    actsOf(await run([head, limited, look(0, 10), ...lines])).filter((act) => act === "kill");
  assert.equal((await strikes(above)).length, 1);
  assert.equal((await strikes([...above, ...again])).length, 2);
});

Deno.test("what is known to be page cache is not struck for, and of what is not known it is said", async () => {
  const pageCache = (mib: number) => ({ reclaimable: mib * MIB, inactive_file: mib * MIB });
  const filling = [look(0, 10, pageCache(8)), look(10, 63.5, pageCache(61))];
  const known = await run([head, limited, ...filling]);
  assert.ok(!actsOf(known).includes("kill"));
  assert.equal(known.cgroups[0]?.assumedReads, 0);
  const unknown = await run([head, limited, look(0, 10), look(10, 63.5)]);
  assert.ok(actsOf(unknown).includes("kill"));
  assert.ok(unknown.cgroups[0]!.assumedReads > 0);
});

Deno.test("whoever has no limit of its own, or is exempt, is left alone, and it is said why", async () => {
  const left = async (line: typeof limited) => (await run([head, line as never])).cgroups[0]?.left;
  assert.match(await left({ ...limited, limit: null } as never) ?? "", /no limit/);
  assert.match(await left({ ...limited, limit_owner: "/" }) ?? "", /another's/);
  assert.match(await left({ ...limited, limit: 4096 }) ?? "", /margin/);
});

Deno.test("whatever is seen, nobody is struck below the level, and the same leads to the same", async () => {
  const samples = fc.array(
    fc.record({
      at: fc.nat(3000),
      mib: fc.double({ min: 0, max: 64, noNaN: true }),
      pageCache: fc.option(fc.nat(64 * MIB), { nil: undefined }),
    }),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(samples, fc.boolean(), async (list, isWorkingSet) => {
      const policy: GuardPolicy = { ...deadly, metric: isWorkingSet ? "working-set" : "usage" };
      const lines = list.map(({ at, mib, pageCache }) =>
        look(at, mib, {
          usage: Math.floor(mib * MIB),
          ...(pageCache !== undefined && { reclaimable: pageCache, inactive_file: pageCache }),
        })
      );
      const result = await run([head, limited, ...lines], policy);
      const imminent = 64 * MIB - Math.floor(64 * MIB * 0.02);
      for (const { act, usage } of result.cgroups[0]!.replayed) {
        if (act === "kill") assert.ok(usage >= imminent);
      }
      assert.deepEqual(await run([head, limited, ...lines], policy), result);
    }),
  );
});

Deno.test("a plan is recorded as what it decides by, and read back as that", () => {
  const policy: GuardPolicy = {
    ...deadly,
    rule: "databases",
    actions: {
      warn: [{ kind: "signal", argument: "SIGUSR1" }, { kind: "exec", argument: "secret" }],
      critical: [{ kind: "reclaim" }, { kind: "noop" }],
      imminent: [{ kind: "container" }],
    },
  };
  const text = JSON.stringify(recordedPolicy(policy));
  assert.ok(!text.includes("secret"));
  assert.equal(JSON.stringify(recordedPolicy(policyOfRecord(JSON.parse(text)))), text);
});
