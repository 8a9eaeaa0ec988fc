/**
 * Fixtures: `guard --record` on Linux 6.18, cgroup v1, 64 MiB, with `tail /dev/zero` or `dd` to fill it; and
 * `OOMKIT_RECORD=… deno task bench:race --runs 15 --only notify,64,unthrottled,idle`.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type GuardPolicy, singlePolicy } from "../../../core/guard/policy.ts";
import { policyOfRecord, recordedPolicy } from "../../../core/guard/record.ts";
import { replay, type Replayed, rowsOf } from "../../../core/guard/replay.ts";
import type { RecordedSnapshot, RecordingLine } from "../../../core/record/format.ts";
import { readRecording } from "../../../core/record/reader.ts";
import { cgroup, head } from "../record/recording.ts";

const MIB = 1024 ** 2;
const FIXTURES = new URL("../../fixtures/recordings/", import.meta.url).pathname;
const asRecorded = { other: undefined, override: (policy: GuardPolicy) => policy };

const replayed = (name: string, options = asRecorded) =>
  replay(readRecording(`${FIXTURES}${name}.jsonl`), options);

const kindsOf = (each: Replayed) => rowsOf(each).map(({ kind }) => kind);

const recorded: readonly (readonly [string, readonly string[]])[] = [
  ["race", ["warn", "critical", "imminent", "kill"]],
  ["reclaim", ["warn", "imminent", "reclaim", "critical", ...Array(4).fill("reclaim")]],
  ["grace", ["warn", "critical", "imminent", "kill", "escalate"]],
  ["rehearsal", ["warn", "critical", "imminent", "kill"]],
];

for (const [name, kinds] of recorded) {
  Deno.test(`the recorded ${name} under its own policy gives the recorded decisions, at the same samples`, async () => {
    const once = await replayed(name);
    const rows = rowsOf(once);
    for (const row of rows) assert.equal(row.replayed, row.recorded, JSON.stringify(row));
    assert.deepEqual(rows.map(({ kind }) => kind), kinds);
    assert.deepEqual(await replayed(name), once);
  });
}

Deno.test("the kills of a benchmark are replayed at the samples at which they happened", async () => {
  const rows = rowsOf(await replay(readRecording(`${FIXTURES}bench_race.jsonl.gz`), asRecorded));
  for (const row of rows) assert.equal(row.replayed, row.recorded, JSON.stringify(row));
  assert.equal(rows.filter(({ kind }) => kind === "kill").length, 15);
});

Deno.test("under a wider margin the recorded race has an earlier kill, and nothing after it", async () => {
  const margin = { ratio: 0.1, max: 100 * MIB };
  const override = (policy: GuardPolicy) => ({ ...policy, levels: { ...policy.levels, margin } });
  const rows = rowsOf(await replayed("race", { other: undefined, override }));
  const kills = rows.filter(({ kind }) => kind === "kill");
  assert.equal(kills.length, 1);
  const [{ replayed: now, recorded: then, usage, limit }] = kills as [typeof kills[number]];
  assert.ok(now! < then!);
  assert.ok(usage >= 0.9 * limit!);
});

Deno.test("a decision has the limit of its time", async () => {
  const lines = await Array.fromAsync(readRecording(`${FIXTURES}race.jsonl`));
  const described = lines.find((line) => line.type === "cgroup")!;
  const later = { ...described, limit: 1024 * MIB, at: lines.at(-1)!.at };
  const run = replay(ReadableStream.from([...lines.slice(0, -1), later]), asRecorded);
  for (const { limit } of rowsOf(await run)) assert.equal(limit, 64 * MIB);
});

Deno.test("under a policy without a kill the recorded race only triggers levels", async () => {
  const actions = { warn: [], critical: [], imminent: [] };
  const override = (policy: GuardPolicy) => ({ ...policy, actions });
  const rows = rowsOf(await replayed("race", { other: undefined, override }));
  const kill = rows.find(({ kind }) => kind === "kill");
  assert.equal(kill?.replayed, undefined);
  assert.ok(kill?.recorded);
  assert.ok(rows.some(({ kind, replayed }) => kind === "imminent" && replayed !== undefined));
});

const killing: GuardPolicy = {
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

const run = (lines: readonly RecordingLine[], policy = killing) =>
  replay(ReadableStream.from(lines), { other: singlePolicy(policy), override: (each) => each });

const limited = { ...cgroup, limit: 64 * MIB };
/** Without page cache, unless it is given. */
const snapshot = (
  at: number,
  mib: number,
  more: Partial<RecordedSnapshot> = {},
): RecordedSnapshot => ({
  type: "snapshot",
  at: 1_000_000 + at,
  id: 1,
  usage: mib * MIB,
  inactive_file: 0,
  reclaimable: 0,
  ...more,
});

/** memory.stat was not read. */
function withoutStat(at: number, mib: number): RecordedSnapshot {
  const { inactive_file: _, reclaimable: __, ...rest } = snapshot(at, mib);
  return rest;
}

Deno.test("the recording of a watch is replayed under the given policy, with late lines in order", async () => {
  const late = [snapshot(30, 63.5), snapshot(10, 50), snapshot(20, 60)];
  const result = await run([head, limited, snapshot(0, 10), ...late]);
  assert.deepEqual(kindsOf(result), ["warn", "critical", "imminent", "kill"]);
  const [each] = result.cgroups;
  assert.equal(each?.recorded, undefined);
  assert.equal(each?.replayed.at(-1)?.at, 1_000_030);
});

Deno.test("after a kill that is not in the recording nothing is decided until usage is below the level again", async () => {
  const above = [snapshot(10, 63.5), snapshot(20, 63.6), snapshot(700, 63.9)];
  const again = [snapshot(800, 5), snapshot(20_000, 63.5)];
  const kills = async (lines: RecordingLine[]) =>
    kindsOf(await run([head, limited, snapshot(0, 10), ...lines])).filter((kind) =>
      kind === "kill"
    );
  assert.equal((await kills(above)).length, 1);
  assert.equal((await kills([...above, ...again, snapshot(20_100, 63.5)])).length, 2);
});

Deno.test("no process is killed for page cache, known or unknown, and assumed reads are counted", async () => {
  const pageCache = (mib: number) => ({ reclaimable: mib * MIB, inactive_file: mib * MIB });
  const filling = [snapshot(0, 10, pageCache(8)), snapshot(10, 63.5, pageCache(61))];
  const known = await run([head, limited, ...filling]);
  assert.ok(!kindsOf(known).includes("kill"));
  assert.equal(known.cgroups[0]?.assumedReads, 0);
  for (const metric of ["usage", "working-set"] as const) {
    const unread = [withoutStat(0, 10), withoutStat(10, 63.5), withoutStat(20, 63.9)];
    const unknown = await run([head, limited, ...unread], { ...killing, metric });
    assert.ok(!kindsOf(unknown).includes("kill"), metric);
    assert.ok(unknown.cgroups[0]!.assumedReads > 0);
  }
});

Deno.test("a cgroup without a limit of its own is not guarded, with the reason", async () => {
  const reason = async (line: typeof limited) =>
    (await run([head, line as never])).cgroups[0]?.notGuarded ?? "";
  assert.match(await reason({ ...limited, limit: null } as never), /no limit/);
  assert.match(await reason({ ...limited, limit_owner: "/" }), /that of a parent/);
  const levels = { ...killing.levels, margin: { min: MIB } };
  const wide = await run([head, { ...limited, limit: MIB } as never], { ...killing, levels });
  assert.match(wide.cgroups[0]?.notGuarded ?? "", /margin/);
});

Deno.test("whatever is recorded, no process is killed below the level, and the result is reproducible", async () => {
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
      const policy: GuardPolicy = { ...killing, metric: isWorkingSet ? "working-set" : "usage" };
      const lines = list.map(({ at, mib, pageCache }) => ({
        ...withoutStat(at, mib),
        usage: Math.floor(mib * MIB),
        ...(pageCache !== undefined && { reclaimable: pageCache, inactive_file: pageCache }),
      }));
      const result = await run([head, limited, ...lines], policy);
      const imminent = 64 * MIB - Math.floor(64 * MIB * 0.02);
      for (const { kind, usage } of result.cgroups[0]!.replayed) {
        if (kind === "kill") assert.ok(usage >= imminent);
      }
      assert.deepEqual(await run([head, limited, ...lines], policy), result);
    }),
  );
});

Deno.test("a policy is recorded without its commands, and reads back the same", () => {
  const policy: GuardPolicy = {
    ...killing,
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
