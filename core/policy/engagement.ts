/**
 * What to do about a cgroup that has reached the level at which something is to die, from the first look until there is
 * nothing more to do. Pure: who calls it looks, does what it says, and calls it again.
 */

/** What the cgroup looks like right now; bytes. */
export interface Sight {
  /** Of the level's base. */
  readonly value: number;
  /** Where the level begins. */
  readonly threshold: number;
  readonly usage: number;
  readonly limit: number;
  /** Page cache that the kernel can take back; `undefined` when it is not known. */
  readonly reclaimable: number | undefined;
  /** Bytes per second at which usage rises; 0 or less when it does not, `undefined` after a single look. */
  readonly rate: number | undefined;
  /** The same of what cannot be taken back: who fills page cache fast is in nobody's way. */
  readonly unreclaimableRate: number | undefined;
  /** Under `hold` an allocator that meets the limit waits there. */
  readonly waits: boolean;
  /** Those that were struck: alive while one of them is. */
  readonly victim: "none" | "alive" | "dead";
}

export interface Patience {
  /** Whether to make the kernel give back page cache; else it is left to do so by itself at the limit. */
  readonly reclaim: boolean;
  /** Milliseconds between asking a process to end and ending it; 0 ends it at once. */
  readonly grace: number;
  /** Milliseconds for a killed process to be gone and its memory free, before the next one is taken. */
  readonly death: number;
}

/** A process that has been killed gives back 1 GiB in some 50 ms; more than this and it hangs in the kernel. */
export const DEATH_MS = 500;
/** Until the limit is met at the present rate: less, and nothing but a kill comes in time (milliseconds). */
const TOO_LATE_MS = 20;
/** How often to look while something is under way (milliseconds). */
const LOOK_MS = 2;
/** The kernel takes back 64 MiB of page cache in some 20 ms; what is not back by then is not coming. */
const RECLAIM_MS = 1000;
/**
 * How often to look at a cgroup that is full of page cache (milliseconds). It may stay so for weeks; what fills it with
 * something else meanwhile has to push the cache out first.
 */
const SPARED_LOOK_MS = 10;

/** How long to wait for the end of who was killed, where there is room again (milliseconds). */
const LINGER_MS = 5000;
/** Between the death of a process and the last of its memory (milliseconds). */
const SETTLE_MS = 10;

export type Phase = "reached" | "reclaiming" | "asked" | "killed" | "spared" | "stalled";

export interface Engagement {
  readonly phase: Phase;
  readonly since: number;
  /** Bytes in use as the phase began; of one that stalled the least since. */
  readonly usage: number;
}

/** Why nothing died, or nothing more. */
export type End =
  /** Usage is below the level. */
  | "recovered"
  /** What filled it can be taken back, which the kernel does by itself before it kills. */
  | "reclaimable";

export type Step =
  | { readonly do: "reclaim" }
  /** Choose a victim and ask it to end; or kill it, when there is no grace. */
  | { readonly do: "strike" }
  /** The one that was asked has had its time: kill it. */
  | { readonly do: "escalate" }
  | { readonly do: "wait"; readonly until: number }
  /** It is page cache: nothing is to be done while it stays like this; look again. */
  | { readonly do: "spare"; readonly until: number }
  /** Who was killed has freed too little, and nobody takes more: nobody else is to die for nothing; look again. */
  | { readonly do: "stall"; readonly until: number }
  | { readonly do: "end" };

export function engage(now: number): Engagement {
  return { phase: "reached", since: now, usage: 0 };
}

/** @param now milliseconds of a clock that does not go backwards. */
export function pursue(
  engagement: Engagement,
  sight: Sight,
  patience: Patience,
  now: number,
): { readonly engagement: Engagement; readonly step: Step } {
  const stay = (step: Step) => ({ engagement, step });
  const go = (phase: Phase, step: Step) => ({
    engagement: { phase, since: now, usage: sight.usage },
    step,
  });
  const look: Step = { do: "wait", until: now + (engagement.phase === "killed" ? 1 : LOOK_MS) };
  const strike = () => go(patience.grace > 0 ? "asked" : "killed", { do: "strike" });
  const spare = () => go("spared", { do: "spare", until: now + SPARED_LOOK_MS });
  const over = now - engagement.since;

  // Put so that usage which is no number is none above the level.
  if (!(sight.value >= sight.threshold)) {
    // A victim on its way out is still in the usage, and one that is asked may free enough to live. How long it takes to be
    // gone is nobody else's fault.
    const time = engagement.phase === "asked" ? patience.grace : LINGER_MS;
    return stay(sight.victim !== "alive" || over >= time ? { do: "end" } : look);
  }
  switch (engagement.phase) {
    case "reached":
      if (!isCache(sight) || isTooLate(sight)) return strike();
      return patience.reclaim ? go("reclaiming", { do: "reclaim" }) : spare();
    case "reclaiming":
      if (!isCache(sight) || isTooLate(sight)) return strike();
      return over < RECLAIM_MS ? stay(look) : spare();
    case "spared":
      return isCache(sight) ? stay({ do: "spare", until: now + SPARED_LOOK_MS }) : strike();
    case "asked":
      if (sight.victim !== "alive") return isCache(sight) ? spare() : strike();
      return over >= patience.grace || isTooLate(sight) || isNearlyFull(sight)
        ? go("killed", { do: "escalate" })
        : stay(look);
    case "killed":
      // Dying, it is still in the usage; what rises meanwhile is somebody else's doing, whom the kernel would take next.
      if (sight.victim === "alive") {
        const isNext = isRising(sight) && isPressing(sight);
        return isNext || over >= patience.death ? strike() : stay(look);
      }
      if (isRising(sight) && !isCache(sight)) return strike();
      if (!isSettled(sight, over)) return stay(look);
      if (isCache(sight)) return spare();
      return isStuck(sight)
        ? strike()
        : go("stalled", { do: "stall", until: now + SPARED_LOOK_MS });
    case "stalled":
      if (isCache(sight)) return spare();
      if (isStuck(sight) || hasGrown(sight, engagement.usage)) return strike();
      return {
        // What has fallen since grows from there: who stalled at the limit itself could grow no further.
        engagement: { ...engagement, usage: Math.min(engagement.usage, sight.usage) },
        step: { do: "stall", until: now + SPARED_LOOK_MS },
      };
  }
}

/** All that the dead have had is free, and it was not enough. */
const isSettled = ({ rate }: Sight, over: number) => over >= SETTLE_MS && (rate ?? 0) >= 0;

/** Fast enough to use up the margin within a second; what is slower is seen by how much it comes to. */
const isRising = ({ rate, limit, threshold }: Sight) =>
  rate !== undefined && rate > limit - threshold;

/** Of who stalled close to the limit half of what was left counts: by an eighth of the margin the kernel would have met it. */
const hasGrown = ({ usage, limit, threshold }: Sight, since: number) =>
  usage - since > Math.min((limit - threshold) / 8, Math.max(0, limit - since) / 2);

/** Who needs more waits for it at the limit. */
const isStuck = (sight: Sight) => sight.waits && isNearlyFull(sight);

/** Without what the kernel can take back, usage would be below the level. */
function isCache({ usage, reclaimable, threshold }: Sight): boolean {
  return reclaimable !== undefined && usage - reclaimable < threshold;
}

/** At this rate the limit is met, and what could be taken back is used up, before anything gentle has worked. */
function isTooLate(sight: Sight): boolean {
  const { usage, limit, reclaimable } = sight;
  // Without page cache the two are the same, and the one is known sooner.
  const rate = sight.unreclaimableRate ?? (isCache(sight) ? undefined : sight.rate);
  if (rate === undefined || rate <= 0) return false;
  return 1000 * (limit - usage + (reclaimable ?? 0)) / rate < TOO_LATE_MS;
}

/** The limit would be met before the memory of who is dying is free, and somebody else would be killed for it. */
const isPressing = (sight: Sight) => !sight.waits && isNearlyFull(sight);

/** Less than a quarter of the margin is left. */
function isNearlyFull({ usage, limit, threshold }: Sight): boolean {
  return limit - usage < (limit - threshold) / 4;
}
