/**
 * Sets the number of cases of each property, for modules that import this and for runs with `--preload` of it:
 * OOMKIT_FUZZ_RUNS, or a few by default. A failure prints its seed, and OOMKIT_FUZZ_SEED=<seed> repeats its cases.
 */

import fc from "fast-check";

/** Enough to find obvious errors in a short run. */
const DEFAULT_RUNS = 200;

fc.configureGlobal({ numRuns: wholeNumber("OOMKIT_FUZZ_RUNS") ?? DEFAULT_RUNS, ...seeded() });

/** Parameters of a property that has the same few cases in each run, unless a number of runs or a seed is given. */
export function repeatable(numRuns: number): { seed?: number; numRuns?: number } {
  const isGiven = wholeNumber("OOMKIT_FUZZ_RUNS") !== undefined || "seed" in seeded();
  return isGiven ? {} : { seed: 1, numRuns };
}

function seeded(): { seed?: number } {
  const seed = wholeNumber("OOMKIT_FUZZ_SEED");
  return seed === undefined ? {} : { seed };
}

function wholeNumber(name: string): number | undefined {
  const text = Deno.env.get(name);
  if (text === undefined || text === "") return undefined;
  if (/^-?\d{1,10}$/.test(text)) return Number(text);
  throw new Error(`cannot use ${name}="${text}": it is not a whole number`);
}

export { fc };
