/**
 * A guard that is killed at any of its steps, on real kernels, leaves nothing changed: its watchdog restores it, or the next guard
 * or `guard --restore`. A random sample of `OOMKIT_STEPS_SAMPLE` steps in each case; `OOMKIT_STEPS=all` takes all of them,
 * `OOMKIT_STEPS_SEED` the sample that a failure names, and `OOMKIT_STEPS="main renameSync 2 after alone"` one of them.
 */

import assert from "node:assert/strict";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { makeStateFolder } from "../helpers/guarded.ts";
import { type End, filesIn, restoreBy, untilAllHaveExited } from "../steps/life.ts";
import { changing, freezing, type Scene, suspending } from "../steps/scenes.ts";

const requested = Deno.env.get("OOMKIT_STEPS");
const seed = Number(Deno.env.get("OOMKIT_STEPS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** A life takes seconds where the machine is emulated. */
const isSlow = Deno.env.has("OOMKIT_PROGRAM");
const sampleSize = Deno.env.get("OOMKIT_STEPS_SAMPLE");

const nameOf = ({ step, side, hasWatchdog }: End) =>
  `${step} ${side} ${hasWatchdog ? "watched" : "alone"}`;

function endsAt(steps: readonly string[]): End[] {
  return steps.flatMap((step) =>
    (["before", "after"] as const).flatMap((side) =>
      [true, false].map((hasWatchdog): End => ({ step, side, hasWatchdog }))
    )
  );
}

function chosen(ends: readonly End[], many: number): readonly End[] {
  if (requested === "all") return ends;
  if (requested !== undefined) return ends.filter((end) => nameOf(end) === requested);
  let state = seed;
  const next = () => {
    // The constants of ISO C's example of rand().
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: many }, () => ends[Math.floor(next() * ends.length)]!);
}

/** @returns whether it was killed there. */
async function dieAt(scene: Scene, end: End, by: "guard" | "--restore"): Promise<boolean> {
  await using stage = await scene();
  using state = makeStateFolder();
  const before = stage.changeableState();
  const { isKilled, watchdog } = await stage.live(state, end);
  await untilAllHaveExited(state, watchdog);
  if (!end.hasWatchdog) await restoreBy(state, by, stage.cgroup);
  assert.deepEqual(stage.changeableState(), before);
  assert.deepEqual(filesIn(state), []);
  return isKilled;
}

interface Case {
  readonly what: string;
  readonly scene: Scene;
  /** How many ends make a sample, here and in the emulated machine. */
  readonly sample: readonly [number, number];
  /** A sample is of the steps from here on: those before are another case's. */
  readonly from?: string;
  readonly only?: 1 | 2;
}

const FIRST_KILL = "monitor signal 1";
const CASES: readonly Case[] = [
  { what: "changes a cgroup", scene: changing, sample: [8, 1] },
  { what: "suspends processes", scene: suspending, sample: [5, 1], from: FIRST_KILL },
  { what: "freezes a container", scene: freezing, sample: [3, 1], from: FIRST_KILL, only: 1 },
];

for (const { what, scene, sample: [many, fewer], from, only } of CASES) {
  kernelTest(`a guard that ${what} is killed at any step, and nothing stays changed`, async () => {
    using state = makeStateFolder();
    const first = await (async () => {
      await using stage = await scene();
      return await stage.live(state);
    })();
    const begin = requested === undefined && from !== undefined ? first.steps.indexOf(from) : 0;
    assert.ok(begin >= 0, `it never came to ${from}`);
    const steps = first.steps.slice(begin);
    const ends = endsAt(steps);
    const failures: string[] = [];
    let killed = 0;
    for (const [n, end] of chosen(ends, Number(sampleSize ?? (isSlow ? fewer : many))).entries()) {
      try {
        if (await dieAt(scene, end, n % 2 === 0 ? "guard" : "--restore")) killed += 1;
      } catch (error) {
        failures.push(`${nameOf(end)}: ${error instanceof Error ? error.message : error}`);
      }
    }
    const told = `${ends.length} ends of ${steps.length} steps, killed at ${killed}`;
    if (requested ?? sampleSize) await Deno.stdout.write(new TextEncoder().encode(`${told}\n`));
    assert.deepEqual(failures, [], `${told}, OOMKIT_STEPS_SEED=${seed}`);
    assert.ok(killed > 0, told);
  }, only === undefined ? {} : { only });
}
