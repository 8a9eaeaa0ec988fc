/**
 * A guard that is killed at any of its steps, on real kernels, leaves nothing changed: its minder puts it back, or whoever
 * comes next. A sample of the steps, at random, of `OOMKIT_STEPS_SAMPLE` in each case; `OOMKIT_STEPS=all` takes all of them,
 * `OOMKIT_STEPS_SEED` the sample that a failure names, and `OOMKIT_STEPS="main renameSync 2 after alone"` one of them.
 */

import assert from "node:assert/strict";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { makeStateFolder } from "../helpers/guarded.ts";
import { comeNext, type End, leftIn, untilNobodyIsLeft } from "../steps/life.ts";
import { changing, freezing, pausing, type Scene } from "../steps/scenes.ts";

const requested = Deno.env.get("OOMKIT_STEPS");
const seed = Number(Deno.env.get("OOMKIT_STEPS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** A life takes seconds where the machine is emulated. */
const isSlow = Deno.env.has("OOMKIT_PROGRAM");
const sampleSize = Deno.env.get("OOMKIT_STEPS_SAMPLE");

const nameOf = ({ step, side, isMinded }: End) =>
  `${step} ${side} ${isMinded ? "minded" : "alone"}`;

function endsAt(steps: readonly string[]): End[] {
  return steps.flatMap((step) =>
    (["before", "after"] as const).flatMap((side) =>
      [true, false].map((isMinded): End => ({ step, side, isMinded }))
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

/** @returns whether it came to that end. */
async function dieAt(scene: Scene, end: End, who: "guard" | "release"): Promise<boolean> {
  await using stage = await scene();
  using state = makeStateFolder();
  const before = stage.preference();
  const { isKilled, minder } = await stage.live(state, end);
  await untilNobodyIsLeft(state, minder);
  if (!end.isMinded) await comeNext(state, who, stage.cgroup);
  assert.deepEqual(stage.preference(), before);
  assert.deepEqual(leftIn(state), []);
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

const STRUCK = "sentry signal 1";
const CASES: readonly Case[] = [
  { what: "changes a cgroup", scene: changing, sample: [8, 1] },
  { what: "stops processes for a moment", scene: pausing, sample: [5, 1], from: STRUCK },
  { what: "freezes a container", scene: freezing, sample: [3, 1], from: STRUCK, only: 1 },
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
        if (await dieAt(scene, end, n % 2 === 0 ? "guard" : "release")) killed += 1;
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
