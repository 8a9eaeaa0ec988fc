/** Numbers that a seed reproduces: everything that a soak draws comes from here, and nothing of it from the clock. */

export interface Random {
  /** A whole number of [0, n). */
  below(n: number): number;
  /** True so many times in a hundred. */
  chance(percent: number): boolean;
  pick<Thing>(things: readonly Thing[]): Thing;
  /** One of these, each as often as its weight says. */
  weighed<Thing extends { readonly weight: number }>(things: readonly Thing[]): Thing;
}

/** Marsaglia's xorshift with 32 bits; the state must not be 0. @param seed a whole number. */
export function makeRandom(seed: number): Random {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>>= 0;
  };
  // Seeds that lie side by side begin alike.
  for (let round = 0; round < 16; round++) next();
  const below = (n: number) => Math.floor(next() / 2 ** 32 * n);
  return {
    below,
    chance: (percent) => below(100) < percent,
    pick: (things) => things[below(things.length)]!,
    weighed(things) {
      let left = below(things.reduce((sum, { weight }) => sum + weight, 0));
      return things.find(({ weight }) => (left -= weight) < 0)!;
    },
  };
}
