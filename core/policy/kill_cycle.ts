/**
 * What to do about a cgroup that has reached the level at which something is to die, from the first look until there is
 * nothing more to do. Pure: who calls it looks, does what it says, and calls it again.
 */

/** What the cgroup looks like right now; bytes. */
export interface Observation {
  /** Of the level's base. */
  readonly metricValue: number;
  /** Where the level begins. */
  readonly levelBytes: number;
  readonly usage: number;
  readonly limit: number;
  /** Page cache that the kernel can take back; `undefined` when it is not known. */
  readonly reclaimable: number | undefined;
  /** Bytes per second at which usage rises; 0 or less when it does not, `undefined` after a single look. */
  readonly rate: number | undefined;
  /** The same of what cannot be taken back: who fills page cache fast is in nobody's way. */
  readonly unreclaimableRate: number | undefined;
  /** Under `hold` an allocator that meets the limit waits there. */
  readonly oomKillerDisabled: boolean;
  /** Those that were struck: alive while one of them is. */
  readonly victim: "none" | "alive" | "dead";
}

export interface KillTimeouts {
  /** Whether to make the kernel give back page cache; else it is left to do so by itself at the limit. */
  readonly reclaim: boolean;
  /** Milliseconds between asking a process to end and ending it; 0 ends it at once. */
  readonly graceMs: number;
  /** Milliseconds for a killed process to be gone and its memory free, before the next one is taken. */
  readonly killMs: number;
}

/** A process that has been killed gives back 1 GiB in some 50 ms; more than this and it hangs in the kernel. */
export const KILL_TIMEOUT_MS = 500;
/** Until the limit is met at the present rate: less, and nothing but a kill comes in time (milliseconds). */
const MIN_MS_FOR_RECLAIM = 20;
/** How often to look while something is under way (milliseconds). */
const POLL_MS = 2;
/** The kernel takes back 64 MiB of page cache in some 20 ms; what is not back by then is not coming. */
const MAX_RECLAIM_MS = 1000;
/**
 * How often to look at a cgroup that is full of page cache (milliseconds). It may stay so for weeks; what fills it with
 * something else meanwhile has to push the cache out first.
 */
const DEFERRED_POLL_MS = 10;

/** How long to wait for the end of who was killed, where there is room again (milliseconds). */
const MAX_MS_TO_EXIT = 5000;
/** Between the death of a process and the last of its memory (milliseconds). */
const FREED_AFTER_EXIT_MS = 10;

export type Phase = "reached" | "reclaiming" | "terminating" | "killed" | "skipped" | "exhausted";

export interface KillCycle {
  readonly phase: Phase;
  readonly since: number;
  /** Bytes in use as the phase began; of one that stalled the least since. */
  readonly usage: number;
}

/** Why nothing died, or nothing more. */
export type SkipReason =
  /** Usage is below the level. */
  | "recovered"
  /** What filled it can be taken back, which the kernel does by itself before it kills. */
  | "reclaimable_cache";

export type Step =
  | { readonly do: "reclaim" }
  /** Choose a victim and ask it to end; or kill it, when there is no grace. */
  | { readonly do: "kill" }
  /** The one that was asked has had its time: kill it. */
  | { readonly do: "escalate" }
  | { readonly do: "wait"; readonly until: number }
  /** It is page cache: nothing is to be done while it stays like this; look again. */
  | { readonly do: "skip"; readonly until: number }
  /** Who was killed has freed too little, and nobody takes more: nobody else is to die for nothing; look again. */
  | { readonly do: "exhausted"; readonly until: number }
  | { readonly do: "end" };

export function startKillCycle(now: number): KillCycle {
  return { phase: "reached", since: now, usage: 0 };
}

/** @param now milliseconds of a clock that does not go backwards. */
export function nextStep(
  killCycle: KillCycle,
  observation: Observation,
  timeouts: KillTimeouts,
  now: number,
): { readonly killCycle: KillCycle; readonly step: Step } {
  const stay = (step: Step) => ({ killCycle, step });
  const go = (phase: Phase, step: Step) => ({
    killCycle: { phase, since: now, usage: observation.usage },
    step,
  });
  const look: Step = { do: "wait", until: now + (killCycle.phase === "killed" ? 1 : POLL_MS) };
  const strike = () => go(timeouts.graceMs > 0 ? "terminating" : "killed", { do: "kill" });
  const spare = () => go("skipped", { do: "skip", until: now + DEFERRED_POLL_MS });
  const over = now - killCycle.since;

  // Put so that usage which is no number is none above the level.
  if (!(observation.metricValue >= observation.levelBytes)) {
    // A victim on its way out is still in the usage, and one that is asked may free enough to live. How long it takes to be
    // gone is nobody else's fault.
    const time = killCycle.phase === "terminating" ? timeouts.graceMs : MAX_MS_TO_EXIT;
    return stay(observation.victim !== "alive" || over >= time ? { do: "end" } : look);
  }
  switch (killCycle.phase) {
    case "reached":
      if (!isCache(observation) || isTooLate(observation)) return strike();
      return timeouts.reclaim ? go("reclaiming", { do: "reclaim" }) : spare();
    case "reclaiming":
      if (!isCache(observation) || isTooLate(observation)) return strike();
      return over < MAX_RECLAIM_MS ? stay(look) : spare();
    case "skipped":
      return isCache(observation) ? stay({ do: "skip", until: now + DEFERRED_POLL_MS }) : strike();
    case "terminating":
      if (observation.victim !== "alive") return isCache(observation) ? spare() : strike();
      return over >= timeouts.graceMs || isTooLate(observation) || isNearlyFull(observation)
        ? go("killed", { do: "escalate" })
        : stay(look);
    case "killed":
      // Dying, it is still in the usage; what rises meanwhile is somebody else's doing, whom the kernel would take next.
      if (observation.victim === "alive") {
        const isNext = isRising(observation) && isPressing(observation);
        return isNext || over >= timeouts.killMs ? strike() : stay(look);
      }
      if (isRising(observation) && !isCache(observation)) return strike();
      if (!isSettled(observation, over)) return stay(look);
      if (isCache(observation)) return spare();
      return isStuck(observation)
        ? strike()
        : go("exhausted", { do: "exhausted", until: now + DEFERRED_POLL_MS });
    case "exhausted":
      if (isCache(observation)) return spare();
      if (isStuck(observation) || hasGrown(observation, killCycle.usage)) return strike();
      return {
        // What has fallen since grows from there: who stalled at the limit itself could grow no further.
        killCycle: { ...killCycle, usage: Math.min(killCycle.usage, observation.usage) },
        step: { do: "exhausted", until: now + DEFERRED_POLL_MS },
      };
  }
}

/** All that the dead have had is free, and it was not enough. */
const isSettled = ({ rate }: Observation, over: number) =>
  over >= FREED_AFTER_EXIT_MS && (rate ?? 0) >= 0;

/** Fast enough to use up the margin within a second; what is slower is seen by how much it comes to. */
const isRising = ({ rate, limit, levelBytes }: Observation) =>
  rate !== undefined && rate > limit - levelBytes;

/** Of who stalled close to the limit half of what was left counts: by an eighth of the margin the kernel would have met it. */
const hasGrown = ({ usage, limit, levelBytes }: Observation, since: number) =>
  usage - since > Math.min((limit - levelBytes) / 8, Math.max(0, limit - since) / 2);

/** Who needs more waits for it at the limit. */
const isStuck = (observation: Observation) =>
  observation.oomKillerDisabled && isNearlyFull(observation);

/** Without what the kernel can take back, usage would be below the level. */
function isCache({ usage, reclaimable, levelBytes }: Observation): boolean {
  return reclaimable !== undefined && usage - reclaimable < levelBytes;
}

/** At this rate the limit is met, and what could be taken back is used up, before anything gentle has worked. */
function isTooLate(observation: Observation): boolean {
  const { usage, limit, reclaimable } = observation;
  // Without page cache the two are the same, and the one is known sooner.
  const rate = observation.unreclaimableRate ??
    (isCache(observation) ? undefined : observation.rate);
  if (rate === undefined || rate <= 0) return false;
  return 1000 * (limit - usage + (reclaimable ?? 0)) / rate < MIN_MS_FOR_RECLAIM;
}

/** The limit would be met before the memory of who is dying is free, and somebody else would be killed for it. */
const isPressing = (observation: Observation) =>
  !observation.oomKillerDisabled && isNearlyFull(observation);

/** Less than a quarter of the margin is left. */
function isNearlyFull({ usage, limit, levelBytes }: Observation): boolean {
  return limit - usage < (limit - levelBytes) / 4;
}
