/** What is worth trying after a simulation, for whoever has just met the first one. Pure. */

import type { Verdict } from "../../core/simulate/event.ts";
import type { Started } from "./race.ts";
import { formatBytes } from "../options/units.ts";

export interface Suggestion {
  readonly command: string;
  readonly why: string;
}

const MIB = 1024 ** 2;
/** From nothing to the limit, so that a person can follow it. */
const SLOW_SECONDS = 5;

/** At most three, the nearest first. */
export function suggestionsFor(start: Started, verdict: Verdict): Suggestion[] {
  const { limit, rate, kind, swap_off } = start;
  const again = `oomkit simulate${limit === null ? "" : ` ${limitWords(limit)}`}`;
  const inspect: Suggestion = {
    command: "oomkit inspect",
    why: "the limit that holds for you right here, who set it, and how much is left",
  };
  if (start.fake !== null) {
    const other = {
      command: `sudo oomkit simulate${limit === null ? "" : ` ${limitWords(limit)}`}`,
      why: "the real thing, where cgroups can be made",
    };
    return [other, inspect];
  }
  const slowly: Suggestion[] = rate === null && limit !== null
    ? [{
      command: `${again} --rate ${slowRate(limit)}/s`,
      why: "slow enough to be watched: both thresholds are told seconds before the end",
    }]
    : [];
  switch (verdict.outcome) {
    case "oom_kill":
      return [
        ...slowly,
        ...(kind === "file" ? [] : [{
          command: `${again} --kind file`,
          why: "page cache instead: the kernel takes it back in time, and nobody has to die",
        }]),
        swap_off === null ? inspect : guarding(start, again),
      ].slice(0, 3);
    case "user_kill":
      return [
        { command: again, why: "the same without a guard: then the kernel has to kill" },
        inspect,
      ];
    case "survived":
    case "interrupted":
    case "failed":
      return [
        ...(limit === null ? [] : [{
          command: again,
          why: kind === "file"
            ? "memory that cannot be taken back instead: the kernel has to kill"
            : "let it grow into the limit: the kernel has to kill",
        }]),
        inspect,
      ];
  }
}

/** By a pattern, so that nothing else is guarded; the cgroup of the next run comes while it is looked for. */
function guarding({ cgroup }: Started, again: string): Suggestion {
  const pattern = `${cgroup.slice(0, cgroup.lastIndexOf("/"))}/oomkit-sim-*`;
  return {
    command: `oomkit guard '${pattern.replaceAll("'", `'\\''`)}' --policy process`,
    why:
      `in a second terminal, then ${again} --expect user_kill here: it acts before the kernel does`,
  };
}

function limitWords(limit: number): string {
  return limit % MIB === 0 ? `--mb ${limit / MIB}` : `--limit ${limit}`;
}

/** Such as `4M`: a size as the options take it. */
function slowRate(limit: number): string {
  const rate = limit / SLOW_SECONDS;
  if (rate < MIB) return `${Math.max(1, Math.round(rate / 1024))}K`;
  return `${Math.round(rate / MIB)}M`;
}

/** Why it came as it did, for a reader to whom all of this is new; `undefined` where the verdict says it all. */
export function whyText({ limit, kind }: Started, verdict: Verdict): string | undefined {
  if (verdict.fake) return undefined;
  const size = limit === null ? "its limit" : formatBytes(limit);
  switch (verdict.outcome) {
    case "oom_kill":
      return `usage came up to ${size}, nothing was left that the kernel could take back, and so it ` +
        "killed the process whose end frees most: no warning, no chance to clean up";
    case "survived":
      return kind === "file"
        ? "page cache can be dropped: at the limit the kernel took back the oldest pages, over and over"
        : undefined;
    case "user_kill":
      return "a signal of somebody in user space came first, while there was still room";
    default:
      return undefined;
  }
}
