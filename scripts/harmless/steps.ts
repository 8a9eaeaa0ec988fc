/** The steps of the memory program, as the workloads write them. */

const NAMES = [
  // Maps so many MiB and writes to them: private, shared, in 2 MiB pages, freed lazily, locked.
  ...["anon", "shared", "huge", "lazy", "locked"],
  // Maps so many MiB: writes to nothing, to one page in 2 MiB.
  ...["reserve", "sparse"],
  // With the last mapping: writes to its first MiB, to all of it, discards its pages, unmaps it.
  ...["part", "again", "dontneed", "free"],
  // Maps so many MiB of a file and writes, reads or locks all pages.
  ...["write-file", "read-file", "lock-file"],
  // Fills so many pipes; writes until usage is so many MiB.
  ...["pipes", "up-to"],
  // Waits for so many milliseconds, or until a file is there.
  ...["hold", "until"],
] as const;

type StepName = typeof NAMES[number];

export interface Step {
  readonly name: StepName;
  /** MiB, milliseconds or a number. */
  readonly amount: number;
  /** MiB per second. */
  readonly rate?: number;
  readonly path?: string;
}

/** @param word as `anon:24`, `anon:24@100`, `read-file:24:/path`, `until:/path` or `free`. */
export function stepOf(word: string): Step {
  const [, name, amount, rate, path] =
    /^([a-z-]+)(?::(\d+(?:\.\d+)?)(?:@(\d+))?)?(?::(\/.*))?$/.exec(word) ?? [];
  if (name === undefined || !(NAMES as readonly string[]).includes(name)) {
    throw new Error(`no such step: ${word}`);
  }
  return {
    name: name as StepName,
    amount: Number(amount ?? 0),
    ...(rate !== undefined && { rate: Number(rate) }),
    ...(path !== undefined && { path }),
  };
}
