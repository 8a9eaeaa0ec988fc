/**
 * A guard that is killed at any of its steps, on real kernels, leaves nothing changed: its watchdog restores it, or the next guard
 * or `guard --restore`. Each case takes a random sample of `OOMKIT_STEPS_SAMPLE` steps. `OOMKIT_STEPS=all` takes
 * all steps, `OOMKIT_STEPS_SEED` repeats the sample that a failure names, and `OOMKIT_STEPS="main renameSync 2 after alone"`
 * takes one step.
 */

import assert from "node:assert/strict";
import { kernelTest } from "../helpers/kernel_cases.ts";
import { makeStateDirectory } from "../helpers/guarded.ts";
import { filesIn, type KillPoint, restoreBy, untilAllHaveExited } from "../steps/guard_run.ts";
import { changing, freezing, type Scenario, suspending } from "../steps/scenarios.ts";

const requested = Deno.env.get("OOMKIT_STEPS");
const seed = Number(Deno.env.get("OOMKIT_STEPS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** One run takes seconds on an emulated machine. */
const isSlow = Deno.env.has("OOMKIT_PROGRAM");
const sampleSize = Deno.env.get("OOMKIT_STEPS_SAMPLE");

const nameOf = ({ step, side, hasWatchdog }: KillPoint) =>
  `${step} ${side} ${hasWatchdog ? "watched" : "alone"}`;

function killPointsAt(steps: readonly string[]): KillPoint[] {
  return steps.flatMap((step) =>
    (["before", "after"] as const).flatMap((side) =>
      [true, false].map((hasWatchdog): KillPoint => ({ step, side, hasWatchdog }))
    )
  );
}

function chosen(killPoints: readonly KillPoint[], count: number): readonly KillPoint[] {
  if (requested === "all") return killPoints;
  if (requested !== undefined) {
    return killPoints.filter((killPoint) => nameOf(killPoint) === requested);
  }
  let state = seed;
  const next = () => {
    // The constants of ISO C's example of rand().
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: count }, () => killPoints[Math.floor(next() * killPoints.length)]!);
}

/** @returns whether it was killed there. */
async function killAt(
  scenario: Scenario,
  killPoint: KillPoint,
  by: "guard" | "--restore",
): Promise<boolean> {
  await using prepared = await scenario();
  using state = makeStateDirectory();
  const before = prepared.changeableState();
  const { isKilled, watchdog } = await prepared.run(state, killPoint);
  await untilAllHaveExited(state, watchdog);
  if (!killPoint.hasWatchdog) await restoreBy(state, by, prepared.cgroup);
  assert.deepEqual(prepared.changeableState(), before);
  assert.deepEqual(filesIn(state), []);
  return isKilled;
}

interface Case {
  readonly what: string;
  readonly scenario: Scenario;
  /** Size of the sample, here and on an emulated machine. */
  readonly sample: readonly [number, number];
  /** The first step that is sampled: another case covers the steps before. */
  readonly from?: string;
  readonly only?: 1 | 2;
}

/** A run can lack a step of the first one: a sample without a killed guard continues with so many kill points at most. */
const MAX_EXTRA = 10;
const FIRST_KILL = "monitor signal 1";
const CASES: readonly Case[] = [
  { what: "changes a cgroup", scenario: changing, sample: [8, 1] },
  { what: "suspends processes", scenario: suspending, sample: [5, 1], from: FIRST_KILL },
  { what: "freezes a container", scenario: freezing, sample: [3, 1], from: FIRST_KILL, only: 1 },
];

for (const { what, scenario, sample: [size, sizeIfSlow], from, only } of CASES) {
  kernelTest(
    `a guard that ${what} can be killed at any step, and nothing stays changed`,
    async () => {
      using state = makeStateDirectory();
      const first = await (async () => {
        await using prepared = await scenario();
        return await prepared.run(state);
      })();
      const begin = requested === undefined && from !== undefined ? first.steps.indexOf(from) : 0;
      assert.ok(begin >= 0, `it never reached ${from}`);
      const steps = first.steps.slice(begin);
      const killPoints = killPointsAt(steps);
      const failures: string[] = [];
      let killed = 0;
      const count = Number(sampleSize ?? (isSlow ? sizeIfSlow : size));
      for (const [n, killPoint] of chosen(killPoints, count + MAX_EXTRA).entries()) {
        if (requested === undefined && n >= count && killed > 0) break;
        try {
          if (await killAt(scenario, killPoint, n % 2 === 0 ? "guard" : "--restore")) killed += 1;
        } catch (error) {
          failures.push(`${nameOf(killPoint)}: ${error instanceof Error ? error.message : error}`);
        }
      }
      const result =
        `${killPoints.length} kill points of ${steps.length} steps, killed at ${killed}`;
      if (requested ?? sampleSize) await Deno.stdout.write(new TextEncoder().encode(`${result}\n`));
      assert.deepEqual(failures, [], `${result}, OOMKIT_STEPS_SEED=${seed}`);
      assert.ok(killed > 0, result);
    },
    only === undefined ? {} : { only },
  );
}
