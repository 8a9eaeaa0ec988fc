import assert from "node:assert/strict";
import { Replay } from "../../../cli/live/replay.ts";
import type { Row } from "../../../cli/live/rows.ts";
import { type ReplayCommand, updateView } from "../../../cli/live/view.ts";
import { keysOf } from "../../../cli/terminal/keys.ts";
import type { RecordingLine } from "../../../core/record/format.ts";
import { Timeline } from "../../../core/record/timeline.ts";
import { incident, MIB, START } from "../../helpers/recorded_incident.ts";
import { row, view } from "./rows.ts";

const open = (lines: readonly RecordingLine[] = incident) =>
  new Replay(new Timeline(lines), ({ type }) => type);
const seconds = (replay: Replay) => (replay.facts().at - START) / 1000;
const named = (replay: Replay, name: string): Row | undefined =>
  replay.rows().find(({ path }) => path.endsWith(`/${name}`));

/** Where each command leads, in seconds. */
function places(commands: readonly ReplayCommand[]): number[] {
  const replay = open();
  return commands.map((command) => {
    replay.control(command);
    return seconds(replay);
  });
}

Deno.test("a replay starts paused at the first moment, and steps to the next and the previous one", () => {
  assert.deepEqual(places(["step-back", "step", "step", "step-back"]), [0, 2, 4, 2]);
  assert.ok(!open().isPlaying);
});

Deno.test("a recording without its end is said to be incomplete", () => {
  assert.ok(open().facts().isWhole);
  const cut = open(incident.filter(({ type }) => type !== "end"));
  assert.ok(!cut.facts().isWhole);
});

Deno.test("a replay jumps by minutes and between kills, and stops at both ends", () => {
  assert.deepEqual(places(["minute", "minute", "minute", "minute", "minute-back"]), [
    60,
    120,
    180,
    180,
    120,
  ]);
  const jumps = ["next-kill", "next-kill", "next-kill", "previous-kill", "previous-kill"] as const;
  assert.deepEqual(places(jumps), [60, 120, 120, 60, 60]);
  const replay = open();
  assert.equal(replay.control("next-kill"), "/kubepods/burstable/batch");
  assert.equal(replay.control("next-kill"), "/kubepods/burstable/cache");
  assert.equal(replay.control("next-kill"), undefined);
});

Deno.test("a replay plays at its speed, pauses at the end, and starts again from there", () => {
  const replay = open();
  replay.advance(1000);
  assert.equal(seconds(replay), 0, "it is paused");
  replay.control("play");
  replay.advance(1000);
  assert.equal(seconds(replay), 1);
  replay.control("faster");
  replay.control("faster");
  replay.advance(1000);
  assert.equal(seconds(replay), 5);
  replay.control("slower");
  replay.advance(500);
  assert.equal(seconds(replay), 6);
  replay.advance(1e9);
  assert.deepEqual([seconds(replay), replay.isPlaying], [180, false]);
  replay.control("play");
  assert.deepEqual([seconds(replay), replay.isPlaying], [0, true]);
  replay.control("step");
  assert.ok(!replay.isPlaying, "a step pauses");
});

Deno.test("the rows are those of the moment: usage, rate, counts, and what was removed", () => {
  const replay = open();
  replay.control("next-kill");
  const batch = named(replay, "batch")!;
  assert.deepEqual([batch.usage, batch.limit, batch.mode], [62 * MIB, 64 * MIB, "notify"]);
  assert.equal(batch.workingSet, 60 * MIB);
  assert.equal(Math.round(batch.rate! / MIB * 10), 5, "MiB a second, over the last four");
  assert.equal(batch.counts.guardVictim, "python3 (4971) at 62.8M of 64.0M");
  assert.deepEqual(replay.log(9).map((entry) => "event" in entry && entry.facts), [
    "level_reached",
    "action",
  ]);
  replay.control("next-kill");
  const removed = named(replay, "batch")!;
  assert.deepEqual([removed.isRemoved, removed.removedFor], [true, 58]);
  assert.deepEqual([replay.totals.actions, replay.totals.kills], [1, 1]);
  replay.control("minute");
  assert.equal(named(replay, "batch"), undefined, "a minute after its removal");
  assert.deepEqual(replay.facts().kills.map((at) => (at - START) / 1000), [60, 120]);
});

Deno.test("a cgroup that is created again has no rate, page cache or usage over time of the one before", () => {
  const described = incident.find((line) => line.type === "cgroup" && line.id === 1)!;
  const again = { at: START + 69_000, id: 9 };
  const sample: RecordingLine = { type: "snapshot", ...again, usage: 40 * MIB };
  const lines: RecordingLine[] = [{ ...described, ...again } as RecordingLine, sample];
  const replay = open([...incident, ...lines, { ...sample, at: START + 71_000, usage: 44 * MIB }]);
  replay.control("minute");
  while (seconds(replay) < 69) replay.control("step");
  const first = named(replay, "batch")!;
  assert.deepEqual([first.isRemoved, first.rate, first.workingSet], [false, undefined, undefined]);
  // Intervals of 3 s: the one with the last sample before the removal, the one between both, the one with the first sample after it.
  assert.deepEqual(first.history.slice(-3), [62 * MIB, undefined, 40 * MIB]);
  while (seconds(replay) < 71) replay.control("step");
  assert.equal(named(replay, "batch")!.rate, 2 * MIB);
});

Deno.test("the events of a recording may have any fields", () => {
  const strange = incident.map((line): RecordingLine =>
    line.type === "event"
      ? {
        ...line,
        event: {
          ...line.event,
          ...{ victim: "x", count: [], usage_before: {}, limit: "y", outcome: "killed" },
        } as never,
      }
      : line
  );
  const replay = open(strange);
  replay.control("minute");
  replay.control("minute");
  assert.deepEqual([replay.totals.kills, replay.totals.kernelVictim], [1, undefined]);
  assert.equal(replay.rows().length, 3);
});

Deno.test("the keys of a replay move in it, except while something is typed or the help is shown", () => {
  const replaying = view([row("/a")], { replay: open().facts() });
  const size = { columns: 80, rows: 24 };
  const move = (keys: string, from = replaying) =>
    keysOf(keys, true).keys.reduce(
      ({ view }, key) => updateView(view, key, size),
      { view: from } as ReturnType<typeof updateView>,
    ).move;
  const cases: [string, ReplayCommand | undefined][] = [
    [" ", "play"],
    ["\x1b[C", "step"],
    ["\x1b[D", "step-back"],
    [".", "step"],
    [",", "step-back"],
    ["]", "minute"],
    ["[", "minute-back"],
    ["x", "next-kill"],
    ["X", "previous-kill"],
    ["+", "faster"],
    ["-", "slower"],
    ["j", undefined],
    ["/x", undefined],
    ["? ", undefined],
    ["\r\x1b[C", "step"],
  ];
  for (const [keys, expected] of cases) assert.equal(move(keys), expected, JSON.stringify(keys));
  assert.equal(move("x", view([row("/a")])), undefined, "nothing is replayed");
});
