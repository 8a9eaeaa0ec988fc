/**
 * How many cases a property is tried with. Whoever imports this, or is run with `--preload` of it, gets as many as
 * OOMKIT_FUZZ_RUNS says, and few without it. A failure prints its seed: OOMKIT_FUZZ_SEED=<seed> makes the same cases again.
 */

import fc from "fast-check";

/** Enough to find what is plainly wrong, in a run that people wait for. */
const FEW = 200;

fc.configureGlobal({ numRuns: wholeNumber("OOMKIT_FUZZ_RUNS") ?? FEW, ...seeded() });

function seeded(): { seed?: number } {
  const seed = wholeNumber("OOMKIT_FUZZ_SEED");
  return seed === undefined ? {} : { seed };
}

function wholeNumber(name: string): number | undefined {
  const text = Deno.env.get(name);
  if (text === undefined || text === "") return undefined;
  if (/^-?\d{1,10}$/.test(text)) return Number(text);
  throw new Error(`cannot use ${name}="${text}": it is no whole number`);
}

export { fc };
