import assert from "node:assert/strict";
import { paletteOf } from "../../../cli/terminal/palette.ts";
import { widthOf } from "../../../cli/terminal/width.ts";
import { endingLines } from "../../../cli/simulate/show.ts";
import { eventLines, headingLines } from "../../../cli/simulate/show.ts";
import { suggestionsFor } from "../../../cli/simulate/next.ts";
import { createRaceLog, type Race, rateAt, type Started } from "../../../cli/simulate/race.ts";
import { raceLines, type RaceLook } from "../../../cli/simulate/view.ts";
import {
  type SimulationBody,
  simulationEvent,
  type Verdict,
} from "../../../core/simulate/event.ts";
import { makeEvent } from "../../../core/events/event.ts";

const MIB = 1024 ** 2;
const T0 = Date.parse("2026-01-01T00:00:00Z");
const CGROUP = "/ci/oomkit-sim-7";

const look: RaceLook = {
  width: 80,
  unicode: true,
  palette: paletteOf({ colours: 0, unicode: true }),
  marks: [{ name: "warn", bytes: 13 * MIB }, { name: "critical", bytes: 18 * MIB }],
};

const start: Started = {
  ...simulationEvent(T0, CGROUP, {
    type: "start",
    hierarchy: 2,
    fake: null,
    root: null,
    limit: 20 * MIB,
    limit_owner: CGROUP,
    kind: "anon",
    rate: null,
    step: 65536,
    stop_at: null,
    pids: [9],
    swap_off: true,
    group_kill: false,
    sources: ["poll"],
  }),
};

const verdict: Verdict = {
  type: "verdict",
  outcome: "oom_kill",
  expected: "oom_kill",
  as_expected: true,
  ended_by: "itself",
  fake: false,
  processes: [{ pid: 9, exit_code: 137, signal: "SIGKILL", oom_killed: true }],
  oom_kill_count: 1n,
  oom_kill_log_lines: 1,
  group_kills: null,
  sources_agree: true,
  limit: 20 * MIB,
  limit_owner: CGROUP,
  peak: 20 * MIB,
  limit_hits: 36n,
  lasted_ms: 1000,
  crossings: [],
};

/** From nothing to 20 MiB in a second, then 2 s at the limit. */
function race(started: Started = start): Race {
  const log = createRaceLog();
  const tell = (at: number, body: SimulationBody) =>
    log.tell(simulationEvent(T0 + at, started.cgroup, body));
  log.tell(started as Parameters<typeof log.tell>[0]);
  tell(0, { type: "allocator_started", pid: 9, usage: 0 });
  for (let at = 0; at <= 1000; at += 50) log.see(T0 + at, 20 * MIB * at / 1000);
  log.see(T0 + 2990, 20 * MIB);
  log.tell(
    makeEvent(T0 + 1010, started.cgroup, "inotify", { type: "max", count: 5n, usage: 20 * MIB }),
  );
  log.tell(makeEvent(T0 + 3000, started.cgroup, "kmsg", {
    type: "oom_kill",
    victim: {
      pid: 9,
      comm: "alloc",
      uid: 0,
      anon_rss: null,
      file_rss: null,
      shmem_rss: null,
      oom_score_adj: null,
    },
    scope: "cgroup",
    limit: 20 * MIB,
    limit_owner: started.cgroup,
    inferred: false,
  }));
  tell(3010, { type: "exit", pid: 9, exit_code: 137, signal: "SIGKILL" });
  return log.race();
}

const barAt = (at: number, parts: Partial<RaceLook> = {}, slowness = 1): string[] =>
  raceLines(race(), { at: T0 + at, window: 500, slowness }, { ...look, ...parts });

Deno.test("the bar tells how full it is, how fast it fills, and how long that can go on", () => {
  assert.deepEqual(barAt(500), [
    "",
    "  █████████████████████████░░░░░░┆░░░░░░░░░░░░┇░░░░  50%  10.0 MiB of 20.0 MiB",
    "  growing · 20.0 MiB/s · full in 500 ms · after 500 ms",
  ]);
  assert.deepEqual(barAt(500, { width: 40 }), [
    "",
    "  ████████████████░░░░┆░░░░░░┇░░░  50%",
    "  growing · 10.0 MiB of 20.0 MiB",
  ]);
});

Deno.test("what it is about follows what has happened up to then, and nothing that comes later", () => {
  const states = [-1, 600, 1100, 3005].map((at) => barAt(at)[2]!.trim().split(" · ")[0]);
  assert.deepEqual(states, [
    "about to begin",
    "growing",
    "at the limit: the kernel takes back",
    "killed by the kernel",
  ]);
});

Deno.test("what is shown again slower says so", () => {
  assert.match(barAt(500, {}, 50)[2]!, /shown 50 times slower$/);
});

Deno.test("a rate is of the looks there were, and nothing where a look is overdue", () => {
  assert.equal(rateAt(race(), T0 + 600, 500), 20 * MIB);
  assert.equal(rateAt(race(), T0 - 1, 500), undefined);
  assert.equal(rateAt(race(), T0 + 2500, 500), 0);
});

Deno.test("the ending is a plot, the verdict, why, what rests it, and what to try next", () => {
  const lines = endingLines(race(), verdict, CGROUP, look, true);
  assert.deepEqual(lines, [
    "",
    "20.0 MiB ┤━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━✕",
    "     90% ┤╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▂▅███████████████████████████████████████████████",
    "         ┤                  ▃▆██████████████████████████████████████████████████",
    "     65% ┤╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▂▅█████████████████████████████████████████████████████",
    "         ┤            ▂▃▆███████████████████████████████████████████████████████",
    "         ┤         ▂▅███████████████████████████████████████████████████████████",
    "         ┤       ▃▆█████████████████████████████████████████████████████████████",
    "         ┤   ▂▃▅████████████████████████████████████████████████████████████████",
    "         ┤ ▃▆███████████████████████████████████████████████████████████████████",
    "       0 ┼───────────────────────┬──────────────────────┬──────────────────────┬",
    "          0                     1 s                    2 s                   3 s",
    "                                 ▲ limit hit                            killed ▲",
    "                                                                         ended ▲",
    "",
    "✔ the kernel's OOM killer ended pid 9 with SIGKILL",
    "",
    "  why        usage came up to 20.0 MiB, nothing was left that the kernel could",
    "             take back, and so it killed the process whose end frees most: no",
    "             warning, no chance to clean up",
    "  limit      20.0 MiB, the cgroup's own; usage peaked at 20.0 MiB, the limit was",
    "             hit 36 times",
    "  exit       status 137 = 128 + 9, SIGKILL, sent by the kernel",
    "  witnesses  the cgroup's oom_kill counter and the kernel log agree: 1 kill",
    "  time       1.0 s from the first page to the last",
    "",
    "  try next",
    "  oomkit simulate --mb 20 --rate 4M/s",
    "    slow enough to be watched: both thresholds are told seconds before the end",
    "  oomkit simulate --mb 20 --kind file",
    "    page cache instead: the kernel takes it back in time, and nobody has to die",
    "  oomkit guard '/ci/oomkit-sim-*' --policy process",
    "    in a second terminal, then oomkit simulate --mb 20 --expect user_kill here:",
    "    it acts before the kernel does",
    "",
  ]);
});

Deno.test("nothing of it is wider than the terminal, whatever the cgroup is called", () => {
  for (const name of ["/漢字漢字/oomkit-sim-1", `/${"x".repeat(400)}`, "/\x1b[2J\n/oomkit-sim-1"]) {
    const hostile: Started = { ...start, cgroup: name, limit_owner: name };
    for (const width of [40, 55, 80, 300]) {
      for (const unicode of [true, false]) {
        const narrow = { ...look, width, unicode };
        const played = race(hostile);
        const lines = [
          ...headingLines(hostile, narrow),
          ...played.events.flatMap((event) => eventLines(event, T0, (_, text) => text, narrow)),
          ...raceLines(played, { at: T0 + 900, window: 500, slowness: 1 }, narrow),
          ...endingLines(played, { ...verdict, limit_owner: `${name}/up` }, name, narrow, true),
        ];
        for (const line of lines) {
          assert.ok(widthOf(line) <= width, `${width}: ${line}`);
          // deno-lint-ignore no-control-regex
          assert.doesNotMatch(line, /[\x00-\x1f]/);
          if (!unicode) assert.match(line, /^[\x20-\x7e]*$/);
        }
      }
    }
  }
});

Deno.test("what is suggested differs from what was done, and is a command that the options allow", () => {
  const commands = (parts: Partial<Started>, outcome: Verdict["outcome"]) =>
    suggestionsFor({ ...start, ...parts }, { ...verdict, outcome }).map(({ command }) => command);
  assert.deepEqual(commands({}, "oom_kill"), [
    "oomkit simulate --mb 20 --rate 4M/s",
    "oomkit simulate --mb 20 --kind file",
    "oomkit guard '/ci/oomkit-sim-*' --policy process",
  ]);
  assert.deepEqual(
    commands({ limit: 1_500_000, rate: 9 }, "oom_kill")[0],
    "oomkit simulate --limit 1500000 --kind file",
  );
  assert.deepEqual(commands({}, "user_kill"), ["oomkit simulate --mb 20", "oomkit inspect"]);
  assert.deepEqual(commands({ fake: "no right" }, "oom_kill"), [
    "sudo oomkit simulate --mb 20",
    "oomkit inspect",
  ]);
});
