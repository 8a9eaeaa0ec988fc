/** Recordings of real runs: `--record` on watch, guard and simulate. */

import assert from "node:assert/strict";
import type { RecordedSnapshot, RecordingLine } from "../../core/record/format.ts";
import { readRecording } from "../../core/record/reader.ts";
import { isRecordingLine } from "../helpers/recording_schema.ts";
import { makeDirectory } from "../helpers/directory.ts";
import {
  changingModeOf,
  isKillAction,
  killActionsOf,
  startGuarded,
  until,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { allocateUntilKilled, kernelTest, killOf, MIB } from "../helpers/kernel_cases.ts";
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

const isKill = ({ decision }: RecordedSnapshot) => decision === "kill";

kernelTest(
  "the recording of a guard has the sample of each kill, and all its events",
  async () => {
    using directory = makeDirectory();
    await using cgroup = makeRealCgroup("recorded");
    cgroup.limit(LIMIT);
    const path = `${directory.path}/run.jsonl.gz`;
    const mode = changingModeOf(cgroup);
    const words = ["--record", path, "--mode", mode, "--policy", "process", cgroup.path];
    await using guarded = await startGuarded(words);
    const { pid } = await allocateUntilKilled(cgroup);
    await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    const events = await guarded.stop();
    const lines = await readBack(path);
    const [described] = of(lines, "cgroup");
    assert.equal(described?.path, cgroup.path);
    assert.equal(described?.limit, LIMIT);
    assert.equal(described?.mode, mode);
    const [kill] = of(lines, "snapshot").filter(isKill);
    const imminent = described!.reference_lines.find(({ name }) => name === "imminent")!;
    assert.equal(kill?.victim, "none");
    assert.ok(kill!.usage >= imminent.bytes && kill!.usage <= LIMIT, String(kill!.usage));
    // A victim that exits slowly is signalled again, and there is no other process.
    assert.ok(of(lines, "snapshot").filter(isKill).length >= killActionsOf(events).length);
    assert.equal(of(lines, "lost").length, 0);
    const recorded = of(lines, "event").map(({ event }) => JSON.parse(JSON.stringify(event)));
    // The events of the start are not recorded if they come before the recording is open.
    // The message is added where an event leaves the program: a reader of the recording can write it again.
    const emitted = events.map(({ message: _, ...event }) => event);
    assert.deepEqual(recorded, emitted.slice(-recorded.length));
    assert.ok(recorded.length >= events.length);
    const { code, stdout, stderr } = await runOomkit(["simulate", "--replay", path]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /all decisions are as recorded, at the same samples\n/, stdout);
  },
);

kernelTest("a killed guard leaves a recording of all but its last moments", async () => {
  using directory = makeDirectory();
  await using cgroup = makeRealCgroup("recorded");
  cgroup.limit(LIMIT);
  const path = `${directory.path}/run.jsonl`;
  const words = ["--record", path, "--mode", "notify", "--warn", "10%", cgroup.path];
  await using guarded = await startGuarded(words);
  await using process = await startHungryProcess(cgroup);
  await process.feed(LIMIT / 2);
  await guarded.next((event) => event.type === "level_reached");
  await until(
    "the level is written",
    () => Deno.readTextFileSync(path).includes('"type":"level_reached"'),
  );
  Deno.kill(guarded.pid, "SIGKILL");
  const lines = await Array.fromAsync(readRecording(path));
  assert.notEqual(lines.at(-1)?.type, "end");
  assert.ok(of(lines, "snapshot").some(({ levels: triggered }) => triggered?.includes("warn")));
});

kernelTest("the recording of a watch has its samples and its events", async () => {
  using directory = makeDirectory();
  await using cgroup = makeRealCgroup("recorded");
  cgroup.limit(LIMIT);
  const path = `${directory.path}/run.jsonl`;
  await using watched = await startWatched(["--record", path, "--threshold", "50%", cgroup.path]);
  const { pid } = await allocateUntilKilled(cgroup);
  await watched.next(killOf(pid));
  const events = await watched.stop();
  const lines = await readBack(path);
  const [described] = of(lines, "cgroup");
  assert.deepEqual(described?.reference_lines, [{ name: "threshold", bytes: LIMIT / 2 }]);
  assert.equal(described?.limit_owner, cgroup.path);
  assert.ok(of(lines, "snapshot").some(({ usage }) => usage <= LIMIT));
  assert.deepEqual(
    of(lines, "event").map(({ event }) => event.type),
    events.map(({ type }) => type),
  );
});

kernelTest(
  "the recording of a simulation has the samples of its allocator, and the verdict",
  async () => {
    using directory = makeDirectory();
    const path = `${directory.path}/run.jsonl`;
    const run = await simulateJson(["--mb", "20", "--record", path]);
    assert.equal(run.code, 0, run.stderr);
    const lines = await readBack(path);
    const highest = Math.max(...of(lines, "snapshot").map(({ usage }) => usage));
    assert.ok(highest > 0.9 * 20 * MIB && highest <= 20 * MIB, String(highest));
    assert.ok(of(lines, "snapshot").length > 20);
    assert.equal(of(lines, "event").at(-1)?.event.type, "verdict");
  },
);

kernelTest(
  "a full recording does not affect the run, and an existing file is refused without --force",
  async () => {
    using directory = makeDirectory();
    const path = `${directory.path}/run.jsonl`;
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
  },
);
