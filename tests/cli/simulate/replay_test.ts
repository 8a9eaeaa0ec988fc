import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { Ajv2020 } from "ajv/dist/2020.js";
import schema from "../../../docs/schema/replay.schema.json" with { type: "json" };
import { makeDirectory } from "../../helpers/directory.ts";
import type { ReplayReport } from "../../../cli/simulate/replay.ts";
import { cgroup, head, snapshots, textOf } from "../../core/record/recording.ts";
import { isRecordingLine } from "../../helpers/recording_schema.ts";
import { runOomkit } from "../../helpers/run_oomkit.ts";

const FIXTURES = new URL("../../fixtures/recordings/", import.meta.url).pathname;
const MIB = 1024 ** 2;
const RACE = `${FIXTURES}race.jsonl`;
const isReport = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

const replay = (...args: readonly string[]) => runOomkit(["simulate", "--replay", ...args]);

async function report(...args: readonly string[]): Promise<ReplayReport> {
  const { code, stdout, stderr } = await replay(...args, "--json");
  assert.equal(code, 0, stderr);
  const parsed: ReplayReport = JSON.parse(stdout);
  assert.ok(isReport(parsed as unknown), JSON.stringify(isReport.errors));
  return parsed;
}

Deno.test("the recordings in the fixtures match the schema", () => {
  for (const name of ["race", "reclaim", "grace", "rehearsal"]) {
    const lines = Deno.readTextFileSync(`${FIXTURES}${name}.jsonl`).trimEnd().split("\n");
    for (const line of lines) assert.ok(isRecordingLine(JSON.parse(line)), line);
  }
});

Deno.test("a recorded race is replayed with the same decisions at the same samples, twice byte for byte the same", async () => {
  const [first, second] = await Promise.all([replay(RACE), replay(RACE)]);
  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stdout, second.stdout);
  assert.match(first.stdout, /kill +at 62\.8 MiB, 1\.3 MiB left: as recorded\n/);
  assert.match(first.stdout, /all decisions are as recorded, at the same samples\n$/);
  assert.equal((await report(RACE)).matches_recording, true);
});

Deno.test("options of the command line, of variables and of a file override the recorded policy", async () => {
  using directory = makeDirectory();
  const config = directory.write("c.toml", '[guard]\nwarn = "30%"\npolicy = "process"\n');
  const packed = `${directory.path}/race.jsonl.gz`;
  Deno.writeFileSync(packed, gzipSync(Deno.readFileSync(RACE)));
  const wide = await report(packed, "--margin-ratio", "0.1", "--max-margin", "100M");
  assert.deepEqual(wide.policy.overrides, ["--margin-ratio", "--max-margin"]);
  assert.equal(wide.matches_recording, false);
  const [kill] = wide.decisions.filter(({ decision }) => decision === "kill");
  assert.ok(kill!.later_ms! < 0);
  assert.ok(wide.notes.some((note) => /is unknown/.test(note)));

  const filed = await report(RACE, "--config", config);
  assert.equal(filed.policy.from, "configuration");
  assert.equal(filed.policy.policies?.[0]?.warn, 30);
  const over = await report(RACE, "--config", config, "--warn", "40%");
  assert.equal(over.policy.policies?.[0]?.warn, 40);

  const { stdout } = await runOomkit(["simulate", "--replay", RACE], {
    env: { OOMKIT_POLICY: "noop" },
  });
  assert.match(stdout, /kill .*only in the recording/);
});

Deno.test("under a configuration the replay reclaims page cache first, as a guard does", async () => {
  using directory = makeDirectory();
  const write = (text: string) => directory.write("c.toml", `[guard]\npolicy = "process"\n${text}`);
  const recording = `${FIXTURES}reclaim.jsonl`;
  const byDefault = await report(recording, "--config", write(""));
  assert.equal(byDefault.policy.policies?.[0]?.reclaim, true);
  assert.equal(byDefault.matches_recording, true, JSON.stringify(byDefault));
  const without = await report(recording, "--config", write("reclaim = false\n"));
  assert.equal(without.policy.policies?.[0]?.reclaim, false);
  assert.ok(
    !without.decisions.some(({ decision, replayed_at }) => decision === "reclaim" && replayed_at),
  );
});

Deno.test("another action at the same sample does not match the recording", async () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["--policy", "container"], "at imminent: container instead of process"],
    [["--on-warn", "signal"], "at warn: signal:SIGUSR1 instead of nothing"],
    [["--grace-period", "1s"], "kill: grace period of 1.0 s instead of immediate SIGKILL"],
  ];
  for (const [args, note] of cases) {
    const other = await report(RACE, ...args);
    assert.equal(other.matches_recording, false);
    assert.ok(other.notes.includes(note), JSON.stringify(other.notes));
    assert.ok(other.decisions.every(({ later_ms }) => later_ms === 0));
  }
  assert.match((await replay(RACE, "--policy", "container")).stdout, /but their actions differ\n/);
});

Deno.test("a guard without cgroups is distinguished from a recording without a guard", async () => {
  using directory = makeDirectory();
  const [first] = Deno.readTextFileSync(RACE).split("\n");
  const { matches_recording, notes } = await report(directory.write("r.jsonl", `${first}\n`));
  assert.deepEqual([matches_recording, notes], [true, ["the recording is truncated"]]);
});

Deno.test("the rows of a recording over several days show the date", async () => {
  using directory = makeDirectory();
  const lines = [0, 1, 2].flatMap((day) => [
    { ...snapshots(1)[0]!, at: day * 86_400_000 + 1_000_000, usage: 10 * MIB },
    { ...snapshots(1)[0]!, at: day * 86_400_000 + 1_001_000, usage: 70 * MIB },
  ]);
  const path = directory.write("r.jsonl", textOf([head, { ...cgroup, limit: 64 * MIB }, ...lines]));
  const { stdout } = await replay(path, "--metric", "usage");
  assert.match(
    stdout,
    /\n {2}1970-01-02 00:16:41\.000000 {2}imminent +at 70\.0 MiB, 6\.0 MiB above/,
  );
});

Deno.test("a simulation on a fake tree can be recorded and replayed", async () => {
  using directory = makeDirectory();
  const path = `${directory.path}/run.jsonl`;
  const words = ["simulate", "--fake", `${directory.path}/tree`, "--mb", "20", "--rate", "20M/s"];
  const { code, stderr } = await runOomkit([...words, "--expect", "oom_kill", "--record", path]);
  assert.equal(code, 0, stderr);
  // On a busy machine the last snapshot may lie far below the limit.
  const result = await report(path, "--policy", "process", "--margin-ratio", "0.5");
  assert.equal(result.matches_recording, null);
  assert.ok(result.decisions.some(({ decision }) => decision === "kill"));
});

const newer = '{"type":"recording","v":3}\n';
const MISTAKES: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["a recording that is not there", ["/no/such/run.jsonl"], /cannot read \/no\/such.*No such file/],
  ["a file of something else", ["/etc/passwd"], /\/etc\/passwd, line 1: it is not JSON/],
  ["a directory", ["/"], /it is not a regular file/],
  [
    "a recording of a later version",
    ["NEWER"],
    /line 1: it has version 3, and this oomkit reads version 2/,
  ],
  ["a limit beside a recording", [RACE, "--mb", "20"], /cannot use --mb with --replay/],
  ["a recording of a replay", [RACE, "--record", "x"], /cannot use --record with --replay/],
  ["levels out of order", [RACE, "--warn", "95%"], /--warn 95% and --critical 90%/],
  ["a mode that was not available", [RACE, "--mode", "throttle"], /cgroup v1 has no memory\.high/],
  [
    "margins out of order",
    [RACE, "--min-margin", "9M", "--max-margin", "1M"],
    /minimum is above the maximum/,
  ],
  ["a configuration that is not there", [RACE, "--config", "/no/such.toml"], /\/no\/such\.toml/],
];

for (const [what, args, expected] of MISTAKES) {
  Deno.test(`replaying ${what} ends with one line and exit 2`, async () => {
    using directory = makeDirectory();
    const path = directory.write("newer", newer);
    const { code, stdout, stderr } = await replay(
      ...args.map((each) => each === "NEWER" ? path : each),
    );
    assert.equal(code, 2, stderr);
    assert.equal(stdout, "");
    assert.match(stderr, expected);
    assert.match(stderr, /^oomkit: [^\n]+\n$/);
  });
}

Deno.test("a guard option without --replay ends with one line and exit 2", async () => {
  const { code, stderr } = await runOomkit(["simulate", "--policy", "process"]);
  assert.equal(code, 2);
  assert.match(stderr, /^oomkit: cannot use --policy without --replay; add a recording: [^\n]+\n$/);
});

for (const command of [["watch", "/"], ["guard", "/"], ["simulate"]]) {
  Deno.test(`${command[0]} does not start when its recording cannot be written`, async () => {
    using directory = makeDirectory();
    const there = directory.write("there", "mine");
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["--record", there],
        /the file exists already; name another file, or replace it with --force/,
      ],
      [["--record", `${directory.path}/no/r`], /cannot write the recording to .*No such file/],
      [["--record", directory.path, "--force"], /it is not a regular file/],
      [["--record", `${directory.path}/r`, "--record-max", "1K"], /too small for a recording/],
    ];
    for (const [args, expected] of cases) {
      const { code, stderr } = await runOomkit([...command, ...args]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, expected);
      assert.match(stderr, /^oomkit: [^\n]+\n$/);
    }
    assert.equal(Deno.readTextFileSync(there), "mine");
  });
}
