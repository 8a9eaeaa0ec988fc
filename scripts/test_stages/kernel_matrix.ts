/** Which cgroup version is tested on which kernel: one combination a day in each test run, all of them by `deno task kernels`. */

import type { KernelRelease } from "../guest_kernel/debian_kernels.ts";
import type { Architecture } from "../guest_kernel/image.ts";
import { Mistake } from "../terminal.ts";

export type Version = "v1" | "v2";

export interface Combination {
  readonly version: Version;
  readonly release: KernelRelease;
  /** amd64 without it. */
  readonly architecture?: Architecture;
}

/** Debian's 6.12 cloud kernel has no cgroup v1 memory controller (CONFIG_MEMCG_V1 is not set). */
const combinations: readonly Combination[] = [
  { version: "v2", release: "5.10" },
  { version: "v2", release: "6.1" },
  { version: "v2", release: "6.12" },
  { version: "v1", release: "5.10" },
  { version: "v1", release: "6.1" },
];

/** Not among those of the day: it takes twenty minutes and needs an executable of its own. */
const nightly: readonly Combination[] = [
  ...combinations,
  { version: "v2", release: "6.1", architecture: "arm64" },
];

const nameOf = ({ version, release, architecture }: Combination) =>
  [version, release, ...architecture === undefined ? [] : [architecture]].join("-");

/** Chooses the combinations by name: some, `all`, or, by default, the one of the day. */
export const MATRIX_VARIABLE = "OOMKIT_TEST_KERNELS";

const MS_PER_DAY = 24 * 60 * 60 * 1000;

/** @param names the value of {@link MATRIX_VARIABLE}. @param now milliseconds since 1970. */
export function chosenCombinations(names: string | undefined, now: number): readonly Combination[] {
  if (names === undefined || names === "") {
    return [combinations[Math.floor(now / MS_PER_DAY) % combinations.length]!];
  }
  if (names === "all") return nightly;
  return names.split(",").map((name) => {
    const found = nightly.find((combination) => nameOf(combination) === name);
    if (found !== undefined) return found;
    const known = nightly.map(nameOf).join(", ");
    throw new Mistake(`cannot test on "${name}" of ${MATRIX_VARIABLE}: it must be all, ${known}`);
  });
}
