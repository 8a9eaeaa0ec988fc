/** Counters by name that stay few, however many names there are. Pure. */

export interface CappedCounts {
  add(name: string): void;
  /** {@link OTHER} among them, once something was forgotten. */
  entries(): Iterable<readonly [name: string, count: bigint]>;
}

/** Where the counts of forgotten names are summed up, so that the sum over all names only grows. */
export const OTHER = "other";

/**
 * @param most names besides {@link OTHER}. Beyond it the one that was counted longest ago is forgotten; when it is counted
 * again it begins anew, as a series that was gone.
 * @param isKept a name whose count must not begin anew while it is so; of at most `most - 1` names.
 */
export function createCappedCounts(
  most: number,
  isExcluded: (name: string) => boolean = () => false,
): CappedCounts {
  const counts = new Map<string, bigint>();
  let other = 0n;
  const forgetOne = () => {
    for (const [name, count] of counts) {
      if (isExcluded(name)) continue;
      counts.delete(name);
      other += count;
      return;
    }
  };
  return {
    add(name) {
      if (name === OTHER) return void (other += 1n);
      const count = counts.get(name) ?? 0n;
      counts.delete(name);
      if (counts.size >= most) forgetOne();
      counts.set(name, count + 1n);
    },
    *entries() {
      yield* counts;
      if (other > 0n) yield [OTHER, other];
    },
  };
}
