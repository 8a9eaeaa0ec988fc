/** Whether a guard's own cgroup is large enough for what it guards: `deno task bench:node`, deploy/README.md. */

import type { OwnLimits } from "../../core/cgroup/own_limits.ts";
import { formatBytes, formatCount } from "../options/units.ts";

const MIB = 1024 ** 2;

/** A line through what sufficed: 60 MiB for 61 cgroups (not for 101), 128 MiB for 441 (not 96), 210 MiB for 1,000 (192 on v2). */
const FIXED_BYTES = 50 * MIB;
const BYTES_PER_CGROUP = 0.16 * MIB;

/** CPU seconds of a start at 10m: 0.5 for 41 cgroups, 4.8 for 441; and the seconds that a start may take. */
const FIXED_CPU_SECONDS = 0.4;
const CPU_SECONDS_PER_CGROUP = 0.011;
const START_SECONDS = 300;

/** @returns a sentence for a guard with too little; `undefined` for one with enough. */
export function ownSizeWarning(cgroups: number, { memory, cpus }: OwnLimits): string | undefined {
  const short = [
    [`${formatBytes(memory)} of memory`, (memory - FIXED_BYTES) / BYTES_PER_CGROUP],
    [
      `${Math.round(1000 * cpus)}m of CPU`,
      (cpus * START_SECONDS - FIXED_CPU_SECONDS) / CPU_SECONDS_PER_CGROUP,
    ],
  ] as const;
  const parts = short.filter(([, enough]) => enough < cgroups).map(([what, enough]) =>
    `${what} for ${formatCount(Math.max(0, Math.floor(enough)), "cgroup")}`
  );
  return parts.length === 0
    ? undefined
    : `the limits of the guard's own cgroup suffice for fewer cgroups than the ${cgroups} that it guards: ${
      parts.join(", ")
    }; raise them (deploy/README.md)`;
}
