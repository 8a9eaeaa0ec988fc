import assert from "node:assert/strict";
import { paletteOf } from "../../../cli/terminal/palette.ts";
import { widthOf } from "../../../cli/terminal/width.ts";
import {
  barLines,
  type Canvas,
  endingLines,
  eventLines,
  headingLines,
} from "../../../cli/simulate/live_text.ts";
import { eventRows } from "../../../cli/simulate/text.ts";
import { RunLog } from "../../../cli/simulate/timeline.ts";
import { suggestionsFor } from "../../../cli/simulate/verdict.ts";
import {
  type SimulationBody,
  simulationEvent,
  type StartEvent,
  type Verdict,
} from "../../../core/simulate/event.ts";
import { shellCommands } from "../../helpers/shell_words.ts";
import { makeEvent } from "../../../core/events/event.ts";

const MIB = 1024 ** 2;
const T0 = Date.parse("2026-01-01T00:00:00Z");
const CGROUP = "/ci/oomkit-sim-7";

const canvas: Canvas = {
  width: 80,
  unicode: true,
  palette: paletteOf({ colours: 0, unicode: true }),
  program: "oomkit",
  marks: [{ name: "warn", bytes: 13 * MIB }, { name: "critical", bytes: 18 * MIB }],
};

const start: StartEvent = {
  ...simulationEvent(T0, CGROUP, {
    type: "start",
    hierarchy: 2,
    fake_reason: null,
    fake_root: null,
    limit: 20 * MIB,
    limit_owner: CGROUP,
    kind: "anon",
    rate: null,
    step: 65536,
    stop_at: null,
    pids: [9],
    swap_off: true,
    group_kill: false,
    machine: false,
    sources: ["poll"],
  }),
};

const verdict: Verdict = {
  type: "verdict",
  outcome: "oom_kill",
  expected: "oom_kill",
  as_expected: true,
  ended_by: "exit",
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
  duration_ms: 1000,
  thresholds: [],
  machine: null,
};

/** From nothing to 20 MiB in a second, then 2 s at the limit. */
function runLog(started: StartEvent = start): RunLog {
  const log = new RunLog();
  const add = (at: number, body: SimulationBody) =>
    log.add(simulationEvent(T0 + at, started.cgroup, body));
  log.add(started);
  add(0, { type: "allocator_started", pid: 9, usage: 0 });
  for (let at = 0; at <= 1000; at += 50) log.addUsage(T0 + at, 20 * MIB * at / 1000);
  log.addUsage(T0 + 2990, 20 * MIB);
  log.add(
    makeEvent(T0 + 1010, started.cgroup, "inotify", { type: "max", count: 5n, usage: 20 * MIB }),
  );
  log.add(makeEvent(T0 + 3000, started.cgroup, "kmsg", {
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
  add(3010, { type: "exit", pid: 9, exit_code: 137, signal: "SIGKILL" });
  return log;
}

const barAt = (at: number, parts: Partial<Canvas> = {}, slowness = 1): string[] =>
  barLines(runLog(), { at: T0 + at, window: 500, slowness }, { ...canvas, ...parts });

Deno.test("the bar shows how full the cgroup is, how fast it fills, and how long until it is full", () => {
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

Deno.test("the state follows from what has happened until then, and from nothing later", () => {
  const states = [-1, 600, 1100, 3005].map((at) => barAt(at)[2]!.trim().split(" · ")[0]);
  assert.deepEqual(states, [
    "starting",
    "growing",
    "at the limit: the kernel reclaims",
    "killed by the kernel",
  ]);
});

Deno.test("a slower replay says how much slower it is", () => {
  assert.match(barAt(500, {}, 50)[2]!, /shown 50 times slower$/);
});

Deno.test("a rate is measured between samples, and zero when the next sample is overdue", () => {
  assert.equal(runLog().rateAt(T0 + 600, 500), 20 * MIB);
  assert.equal(runLog().rateAt(T0 - 1, 500), undefined);
  assert.equal(runLog().rateAt(T0 + 2500, 500), 0);
});

Deno.test("the ending is a plot, the verdict, its explanation, its facts, and what to try next", () => {
  const lines = endingLines(runLog(), verdict, CGROUP, canvas, true);
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
    "                                 ▲ limit hit                          OOM kill ▲",
    "                                                                        exited ▲",
    "",
    "✔ the kernel's OOM killer killed pid 9 with SIGKILL",
    "",
    "  why        usage reached 20.0 MiB, the kernel found nothing left to reclaim,",
    "             and killed the process that frees the most memory: no warning, no",
    "             chance to clean up",
    "  limit      20.0 MiB, set on this cgroup; usage peaked at 20.0 MiB; the limit",
    "             was hit 36 times",
    "  exit       status 137 = 128 + 9 (SIGKILL), sent by the kernel",
    "  sources    the cgroup's oom_kill counter and the kernel log agree: 1 kill",
    "  time       1.0 s from the first page to the last",
    "",
    "  try next",
    "  oomkit simulate --mb 20 --rate 4M/s",
    "    slow enough to follow: both alerts fire seconds before the OOM kill",
    "  oomkit simulate --mb 20 --kind file",
    "    page cache instead: the kernel reclaims it in time, and nothing is killed",
    "  oomkit guard '/ci/oomkit-sim-*' --policy process",
    "    in a second terminal, then in this one:",
    "  oomkit simulate --mb 20 --expect user_kill",
    "    the guard kills before the kernel does",
    "",
  ]);
});

Deno.test("only a run that leads to an OOM is called one", () => {
  const cases: [Partial<StartEvent>, string][] = [
    [{}, "a real OOM"],
    [{ stop_at: 10 * MIB }, "a real allocation"],
    [{ kind: "file" }, "a real allocation"],
  ];
  for (const [parts, name] of cases) {
    const started = { ...start, ...parts } as StartEvent;
    assert.equal(headingLines(started, canvas)[0], `oomkit simulate · ${name}, on purpose`);
    const [first] = eventRows(started, 20 * MIB, T0, (_, text) => text);
    assert.match(first!, new RegExp(`^simulate {2}${name} in a cgroup of its own, swap off: `));
  }
});

Deno.test("no line is wider than the terminal, whatever the name of the cgroup", () => {
  for (const name of ["/漢字漢字/oomkit-sim-1", `/${"x".repeat(400)}`, "/\x1b[2J\n/oomkit-sim-1"]) {
    const hostile: StartEvent = { ...start, cgroup: name, limit_owner: name };
    for (const width of [40, 55, 80, 300]) {
      for (const unicode of [true, false]) {
        const narrow = { ...canvas, width, unicode };
        const log = runLog(hostile);
        const lines = [
          ...headingLines(hostile, narrow),
          ...log.events.flatMap((event) => eventLines(event, T0, (_, text) => text, narrow)),
          ...barLines(log, { at: T0 + 900, window: 500, slowness: 1 }, narrow),
          ...endingLines(log, { ...verdict, limit_owner: `${name}/up` }, name, narrow, true),
        ];
        for (const line of lines) {
          // A word of a command is whole, to be pasted.
          const isCommand = line.includes("/oomkit-sim-*'");
          assert.ok(isCommand || widthOf(line) <= width, `${width}: ${line}`);
          // deno-lint-ignore no-control-regex
          assert.doesNotMatch(line, /[\x00-\x1f]/);
          if (!unicode) assert.match(line, /^[\x20-\x7e]*$/);
        }
      }
    }
  }
});

Deno.test("suggestions differ from the command that was run, and are valid commands", () => {
  const commands = (parts: Partial<StartEvent>, outcome: Verdict["outcome"]) =>
    suggestionsFor({ ...start, ...parts }, { ...verdict, outcome }, "oomkit")
      .map(({ command }) => command);
  assert.deepEqual(commands({}, "oom_kill"), [
    "oomkit simulate --mb 20 --rate 4M/s",
    "oomkit simulate --mb 20 --kind file",
    "oomkit guard '/ci/oomkit-sim-*' --policy process",
    "oomkit simulate --mb 20 --expect user_kill",
  ]);
  assert.deepEqual(
    commands({ limit: 1_500_000, rate: 9 }, "oom_kill")[0],
    "oomkit simulate --limit 1500000 --kind file",
  );
  assert.deepEqual(commands({}, "user_kill"), ["oomkit simulate --mb 20", "oomkit inspect"]);
  assert.deepEqual(commands({ fake_reason: "no permission" }, "oom_kill"), [
    "sudo oomkit simulate --mb 20",
    "oomkit inspect",
  ]);
});

Deno.test("a suggested command has the program's name as it was called, and is whole when it is pasted", () => {
  const called = { ...canvas, width: 40, program: "scripts/oomkit" };
  const root = "/tmp/a tree";
  const [fakeLine] = shellCommands(
    headingLines({ ...start, fake_reason: "no permission", fake_root: root }, called)
      .slice(-3).join("\n"),
  );
  assert.deepEqual(fakeLine!.words, ["scripts/oomkit", "inspect", "--root", root, CGROUP]);
  const lines = endingLines(runLog(), verdict, CGROUP, called, true);
  const commands = lines.slice(lines.indexOf("  try next") + 1)
    .filter((line) => /^ {2}(\S| {2}[-'])/.test(line)).map((line) => line.trim()).join("\n");
  assert.deepEqual(shellCommands(commands).map(({ words }) => words.join(" ")), [
    "scripts/oomkit simulate --mb 20 --rate 4M/s",
    "scripts/oomkit simulate --mb 20 --kind file",
    "scripts/oomkit guard /ci/oomkit-sim-* --policy process",
    "scripts/oomkit simulate --mb 20 --expect user_kill",
  ]);
});
