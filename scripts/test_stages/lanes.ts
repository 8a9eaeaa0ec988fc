/** Several jobs at once, no more than there are lanes. */

/** Begins them in their order; the results are in the same order. Rejects with the first that rejects. */
export async function inLanes<Result>(
  jobs: readonly (() => Promise<Result>)[],
  lanes: number,
): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = [...jobs.entries()];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [at, job] = next;
      results[at] = await job();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

export interface Weighed {
  readonly path: string;
  readonly weight: number;
}

/**
 * Parts of about the same weight: the heaviest first, each into what is lightest so far.
 * @returns no empty ones; paths sorted within each.
 */
export function shards(files: readonly Weighed[], count: number): string[][] {
  const parts = Array.from({ length: count }, () => ({ weight: 0, paths: [] as string[] }));
  for (const { path, weight } of files.toSorted((one, other) => other.weight - one.weight)) {
    const lightest = parts.reduce((one, other) => other.weight < one.weight ? other : one);
    lightest.weight += weight;
    lightest.paths.push(path);
  }
  return parts.filter(({ paths }) => paths.length > 0).map(({ paths }) => paths.sort());
}
