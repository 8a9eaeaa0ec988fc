/** Recordings of real runs: `--record` on watch, guard and simulate. */

import assert from "node:assert/strict";
import type { RecordedSnapshot, RecordingLine } from "../../core/record/format.ts";
import { readRecording } from "../../core/record/reader.ts";
import { isRecordingLine } from "../helpers/recording_schema.ts";
import { makeFolder } from "../helpers/folder.ts";
import { isKillAction, killActionsOf, startGuarded, until } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { eatToDeath, kernelTest, killOf, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { simulateJson } from "../helpers/simulation.ts";
import { startWatched } from "../helpers/watched.ts";

const LIMIT = 64 * MIB;

async function readBack(path: string): Promise<RecordingLine[]> {
  const lines = await Array.fromAsync(readRecording(path));
  for (const line of lines) assert.ok(isRecordingLine(line), JSON.stringify(line));
  assert.equal(lines[0]?.type, "recording");
  assert.deepEqual({ ...lines.at(-1)!, at: 0 }, { type: "end", at: 0, reason: "ended" });
  return lines;
}

const of = <T extends RecordingLine["type"]>(lines: readonly RecordingLine[], type: T) =>
  lines.filter((line): line is Extract<RecordingLine, { type: T }> => line.type === type);

const isStrike = ({ decision }: RecordedSnapshot) => decision === "kill";

kernelTest(
  "the recording of a guard has the look at which it struck, and all that it told",
  async () => {
    using folder = makeFolder();
    await using cgroup = makeRealCgroup("recorded");
    cgroup.limit(LIMIT);
    const path = `${folder.path}/run.jsonl.gz`;
    const mode = cgroup.version === 1 ? "hold" : "throttle";
    const words = ["--record", path, "--mode", mode, "--policy", "process", cgroup.path];
    await using guarded = await startGuarded(words);
    const { pid } = await eatToDeath(cgroup);
    await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    const told = await guarded.stop();
    const lines = await readBack(path);
    const [described] = of(lines, "cgroup");
    assert.equal(described?.path, cgroup.path);
    assert.equal(described?.limit, LIMIT);
    assert.equal(described?.mode, mode);
    const [strike] = of(lines, "snapshot").filter(isStrike);
    const imminent = described!.reference_lines.find(({ name }) => name === "imminent")!;
    assert.equal(strike?.victim, "none");
    assert.ok(strike!.usage >= imminent.bytes && strike!.usage <= LIMIT, String(strike!.usage));
    // One that takes long to die is struck at once more, and nobody else is there.
    assert.ok(of(lines, "snapshot").filter(isStrike).length >= killActionsOf(told).length);
    assert.equal(of(lines, "lost").length, 0);
    const recorded = of(lines, "event").map(({ event }) => JSON.parse(JSON.stringify(event)));
    // Those of the start come before anybody can be told of them.
    assert.deepEqual(recorded, told.slice(-recorded.length));
    assert.ok(recorded.length >= told.length);
    const { code, stdout, stderr } = await runOomkit(["simulate", "--replay", path]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /all decisions are as recorded, at the same samples\n/, stdout);
  },
);

kernelTest("a guard that is killed leaves a recording of all but its last moments", async () => {
  using folder = makeFolder();
  await using cgroup = makeRealCgroup("recorded");
  cgroup.limit(LIMIT);
  const path = `${folder.path}/run.jsonl`;
  const words = ["--record", path, "--mode", "notify", "--warn", "10%", cgroup.path];
  await using guarded = await startGuarded(words);
  await using process = await startHungryProcess(cgroup);
  await process.feed(LIMIT / 2);
  await guarded.next((event) => event.type === "level_reached");
  await until(
    "it is written",
    () => Deno.readTextFileSync(path).includes('"type":"level_reached"'),
  );
  Deno.kill(guarded.pid, "SIGKILL");
  const lines = await Array.fromAsync(readRecording(path));
  assert.notEqual(lines.at(-1)?.type, "end");
  assert.ok(of(lines, "snapshot").some(({ levels: triggered }) => triggered?.includes("warn")));
});

kernelTest("the recording of a watch has what it read, and what it told", async () => {
  using folder = makeFolder();
  await using cgroup = makeRealCgroup("recorded");
  cgroup.limit(LIMIT);
  const path = `${folder.path}/run.jsonl`;
  await using watched = await startWatched(["--record", path, "--threshold", "50%", cgroup.path]);
  const { pid } = await eatToDeath(cgroup);
  await watched.next(killOf(pid));
  const told = await watched.stop();
  const lines = await readBack(path);
  const [described] = of(lines, "cgroup");
  assert.deepEqual(described?.reference_lines, [{ name: "threshold", bytes: LIMIT / 2 }]);
  assert.equal(described?.limit_owner, cgroup.path);
  assert.ok(of(lines, "snapshot").some(({ usage }) => usage <= LIMIT));
  assert.deepEqual(
    of(lines, "event").map(({ event }) => event.type),
    told.map(({ type }) => type),
  );
});

kernelTest(
  "the recording of a simulation has each look of its allocator, and the verdict",
  async () => {
    using folder = makeFolder();
    const path = `${folder.path}/run.jsonl`;
    const run = await simulateJson(["--mb", "20", "--record", path]);
    assert.equal(run.code, 0, run.stderr);
    const lines = await readBack(path);
    const highest = Math.max(...of(lines, "snapshot").map(({ usage }) => usage));
    assert.ok(highest > 0.9 * 20 * MIB && highest <= 20 * MIB, String(highest));
    assert.ok(of(lines, "snapshot").length > 20);
    assert.equal(of(lines, "event").at(-1)?.event.type, "verdict");
  },
);

kernelTest("a recording that is full, or is there already, leaves the run as it is", async () => {
  using folder = makeFolder();
  const path = `${folder.path}/run.jsonl`;
  const words = ["--mb", "20", "--rate", "60M/s", "--record-max", "64K", "--record", path];
  const run = await simulateJson(words);
  assert.equal(run.code, 0, run.stderr);
  const refused = await simulateJson(words).catch((error) => error);
  assert.match(
    String(refused.stderr ?? refused),
    /the file exists already; name another file, or replace it with --force/,
  );
  const again = await simulateJson([...words, "--force"]);
  assert.equal(again.code, 0, again.stderr);
});
