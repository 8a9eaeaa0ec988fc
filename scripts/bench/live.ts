/** Costs of the live view of 1,000 cgroups: a frame, a round of reads, and both together on top of the watch. */

import type { Capabilities } from "../../cli/terminal/capabilities.ts";
import { screenDiff } from "../../cli/terminal/terminal.ts";
import { Poller } from "../../cli/live/poll.ts";
import { screenLines } from "../../cli/live/screen.ts";
import { firstView, shownRows, type View, withRows } from "../../cli/live/view.ts";
import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { delay } from "../../core/timing.ts";
import { MIB } from "../cgroups.ts";
import { executable } from "../command.ts";
import { createBenchCgroup, endChild, makeChildren, startChild } from "./cleanup.ts";
import { cpuShare } from "./costs.ts";
import { type Measured, row, summarize } from "./statistics.ts";

const CGROUPS = 1000;
const FRAMES = 200;
const ROUNDS = 20;
const RUNS = 3;
/** Of one run. */
const SECONDS = 20;

const size = { columns: 160, rows: 50 };
const can: Capabilities = { colours: 256, unicode: true };

export async function live(): Promise<Measured> {
  const parent = createBenchCgroup();
  const cgroups = makeChildren(parent, CGROUPS, 64 * MIB);
  const subjects = cgroups.map((cgroup) => ({ cgroup, limitOwner: cgroup, marks: () => [] }));
  const poller = new Poller(() => subjects, () => performance.now());
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    await poller.round();
    rounds.push(performance.now() - begun);
  }
  const sorting: number[] = [];
  const drawing: number[] = [];
  const bytes: number[] = [];
  const reading: number[] = [];
  let before: readonly string[] = [];
  let view: View = firstView("watch");
  for (let frame = 0; frame < FRAMES; frame++) {
    // As if every figure had changed.
    const moved = poller.rows().map((row, at) => ({
      ...row,
      usage: ((frame * 7919 + at * 31) % 16384) * 4096,
    }));
    let begun = performance.now();
    view = withRows(view, moved);
    sorting.push(performance.now() - begun);
    begun = performance.now();
    const shown = shownRows(view, size);
    const text = screenDiff(before, before = screenLines(view, size, can), size.columns);
    drawing.push(performance.now() - begun);
    bytes.push(text.length);
    begun = performance.now();
    poller.readShown(shown);
    // Values younger than a second are not read again.
    if (frame % 20 === 0) reading.push(performance.now() - begun);
  }
  const shares = [
    row("oomkit watch -r, lines", await shareOf(parent, "--no-live")),
    row("oomkit watch -r, live view", await shareOf(parent, "--live")),
  ];
  return {
    tables: [
      {
        title: `live view of ${CGROUPS} cgroups on ${size.columns} × ${size.rows}`,
        unit: "ms",
        rows: [
          row("a frame in which every row has changed", drawing, "at most 10 a second"),
          row("sorting the rows, after a round", sorting, "at most one a second"),
          row("reading all cgroups", rounds, "at most one a second, in slices of 4 ms"),
          row("reading the rows on the screen", reading, "at most one a second each"),
        ],
      },
      { title: `idle, ${SECONDS} s each`, unit: "% of a core", rows: shares },
    ],
    lines: [`a frame in which every row has changed: ${summarize(bytes).median} bytes`],
  };
}

/** On a terminal with output is discarded. The arguments contain no spaces. */
async function shareOf(parent: Cgroup, flag: string): Promise<number[]> {
  const script = `stty cols ${size.columns} rows ${size.rows}; ` +
    `exec ${executable} watch ${flag} --for 10m -r ${parent.path}`;
  const child = startChild(["script", "--quiet", "--command", script, "/dev/null"], {
    stdin: "null",
    stdout: "null",
    stderr: "null",
    env: { TERM: "xterm-256color" },
  }, "SIGTERM");
  try {
    const pid = await onlyChildOf(child.pid);
    // Until everything is armed and the first screens are drawn.
    await delay(4000);
    const shares: number[] = [];
    for (let run = 0; run < RUNS; run++) shares.push(await cpuShare(pid, SECONDS * 1000));
    return shares;
  } finally {
    endChild(child, "SIGTERM");
    await child.status;
  }
}

async function onlyChildOf(pid: number): Promise<number> {
  for (;;) {
    const [child] = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).split(" ");
    if (Number(child) > 0) return Number(child);
    await delay(20);
  }
}
