/** The text of a `/proc/meminfo`. */

/** A machine at rest, in MiB. */
const AT_REST = {
  MemTotal: 16_000,
  MemFree: 2000,
  MemAvailable: 12_000,
  Buffers: 100,
  Cached: 10_000,
  "Active(anon)": 1000,
  "Inactive(anon)": 1000,
  "Active(file)": 5000,
  "Inactive(file)": 5000,
  SwapTotal: 0,
  SwapFree: 0,
  Dirty: 0,
  Writeback: 0,
  Shmem: 100,
  SReclaimable: 300,
  SUnreclaim: 200,
  Hugetlb: 0,
};

export type MeminfoRows = Partial<Readonly<Record<keyof typeof AT_REST, number>>>;

/** @param rows MiB; the others are those of a machine at rest. */
export const meminfoOf = (rows: MeminfoRows): string =>
  Object.entries({ ...AT_REST, ...rows })
    .map(([key, mebibytes]) =>
      `${`${key}:`.padEnd(16)}${String(1024 * mebibytes).padStart(8)} kB\n`
    )
    .join("");
