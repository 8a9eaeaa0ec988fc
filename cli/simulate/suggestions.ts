/** Explains a simulation and suggests what to try next, for readers that have just seen their first one. Pure. */

import type { Verdict } from "../../core/simulate/event.ts";
import { formatBytes } from "../options/units.ts";
import type { StartEvent } from "./run_log.ts";

export interface Suggestion {
  readonly command: string;
  /** What the command shows. */
  readonly shows: string;
}

const MIB = 1024 ** 2;
/** From nothing to the limit, slow enough for a person to follow. */
const SLOW_SECONDS = 5;

/** At most three, the closest first. */
export function suggestionsFor(start: StartEvent, verdict: Verdict): Suggestion[] {
  const { limit, rate, kind, swap_off, fake_reason } = start;
  const again = `oomkit simulate${limit === null ? "" : ` ${limitOption(limit)}`}`;
  const inspect: Suggestion = {
    command: "oomkit inspect",
    shows: "which limit applies to your shell, what set it, and how much memory is left",
  };
  if (fake_reason !== null) {
    return [
      { command: `sudo ${again}`, shows: "a real OOM, with the permission to create cgroups" },
      inspect,
    ];
  }
  switch (verdict.outcome) {
    case "oom_kill": {
      const slowly: Suggestion[] = rate === null && limit !== null
        ? [{
          command: `${again} --rate ${slowRate(limit)}/s`,
          shows: "slow enough to follow: both alerts fire seconds before the OOM kill",
        }]
        : [];
      const file: Suggestion[] = kind === "file" ? [] : [{
        command: `${again} --kind file`,
        shows: "page cache instead: the kernel reclaims it in time, and nothing is killed",
      }];
      return [...slowly, ...file, swap_off === null ? inspect : guardSuggestion(start, again)];
    }
    case "user_kill":
      return [
        { command: again, shows: "the same without a guard: the kernel has to kill" },
        inspect,
      ];
    case "survived":
    case "interrupted":
    case "failed": {
      const shows = kind === "file"
        ? "memory that cannot be reclaimed: the kernel has to kill"
        : "growth up to the limit: the kernel has to kill";
      return limit === null ? [inspect] : [{ command: again, shows }, inspect];
    }
  }
}

/** A pattern, because the next run has another cgroup, and so that nothing else is guarded. */
function guardSuggestion({ cgroup }: StartEvent, again: string): Suggestion {
  const pattern = `${cgroup.slice(0, cgroup.lastIndexOf("/"))}/oomkit-sim-*`;
  return {
    command: `oomkit guard '${pattern.replaceAll("'", `'\\''`)}' --policy process`,
    shows: `in a second terminal, then \`${again} --expect user_kill\` in this one: ` +
      "the guard kills before the kernel does",
  };
}

function limitOption(limit: number): string {
  return limit % MIB === 0 ? `--mb ${limit / MIB}` : `--limit ${limit}`;
}

/** Such as `4M`: a size as the options take it. */
function slowRate(limit: number): string {
  const rate = limit / SLOW_SECONDS;
  if (rate < MIB) return `${Math.max(1, Math.round(rate / 1024))}K`;
  return `${Math.round(rate / MIB)}M`;
}

/** Why the simulation ended as it did; `undefined` where the verdict says it all. */
export function explanation({ limit, kind }: StartEvent, verdict: Verdict): string | undefined {
  if (verdict.fake) return undefined;
  switch (verdict.outcome) {
    case "oom_kill":
      return `usage reached ${limit === null ? "its limit" : formatBytes(limit)}, the kernel ` +
        "found nothing left to reclaim, and killed the process that frees the most memory: " +
        "no warning, no chance to clean up";
    case "survived":
      return kind === "file"
        ? "page cache can be dropped: at the limit the kernel reclaimed the oldest pages again and again"
        : undefined;
    case "user_kill":
      return "a signal from user space came first, while there was still memory left";
    default:
      return undefined;
  }
}
