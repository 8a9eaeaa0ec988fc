/** What was struck, until it is known what became of it. */

import { pidsAt } from "../act/held.ts";
import { pausedProcess, type Pauses } from "../act/pauses.ts";
import { isEmpty, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, strikeAll } from "../act/strike.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { hasEnded, releaseMemory, signalPidfd } from "../kernel/process.ts";
import { type Pick, release } from "./aim.ts";
import { sparedBy, wholeOf } from "./casualties.ts";
import type { Blow, Message, Weighed } from "./messages.ts";
import type { Deed } from "./plan.ts";
import { headOf, type OpenBlow, type Ward } from "./ward.ts";

export interface Blows {
  /** @param struckAfter milliseconds since `now`. */
  open(
    ward: Ward,
    now: number,
    pick: Pick,
    deed: Deed,
    signal: number,
    struckAfter: number,
  ): void;
  isAlive(ward: Ward, open: OpenBlow, now: number): boolean;
  /** Strikes what has not died yet once more, where that helps, and lets those go on that were paused for long enough. */
  keepAt(ward: Ward, now: number): void;
  /**
   * Stops who allocates beside the victim, until its memory is free: it takes milliseconds, in which they would meet the
   * limit, and the kernel would take one of them too.
   *
   * @param present the pids that are in the victim's cgroup.
   */
  pauseOthers(ward: Ward, victim: Pick, present: ReadonlySet<number>, now: number): void;
  /** Tells that it did not work. */
  giveUp(ward: Ward, open: OpenBlow, reason: string): void;
  /** Tells that nobody could be struck. */
  fail(
    ward: Ward,
    now: number,
    deed: Deed,
    why: { readonly reason: string; readonly candidates: readonly Weighed[] },
  ): void;
  /** Lets go of the aim; what is struck stays held until it is told of. */
  loosen(ward: Ward): void;
  /** Tells of everything that is open, and lets go of it. The aim at the others stays. */
  abandon(ward: Ward, now: number): void;
}

/** Rounds over a cgroup that does not get empty before its processes are stopped first. */
const FREEZE_AFTER = 2;
/** A gigabyte is free after 50 ms. */
const LONGEST_PAUSE_MS = 200;

export function createBlows(say: (message: Message) => void, pauses: Pauses): Blows {
  const isAlive = (ward: Ward, open: OpenBlow, now: number): boolean => {
    if (open.diedAfter !== undefined) return false;
    const whole = wholeOf(open.pick, open.blow.deed);
    const isOver = whole
      ? isEmpty(whole, sparedBy(open.pick, open.blow.deed, ward.orders))
      : hasEnded(open.pick.pidfd);
    if (!isOver) return true;
    open.diedAfter = now - open.since;
    return false;
  };

  const resume = (ward: Ward) => {
    const paused = ward.paused.splice(0);
    for (const { pick } of paused) {
      send(pick.pidfd, SIGCONT);
      const isHeld = ward.aim?.picks.includes(pick) ||
        ward.blows.some((open) => open.pick === pick);
      if (!isHeld) release(pick);
    }
    if (paused.length > 0) pauses.end(paused.map(({ record }) => record));
  };

  const describe = (
    ward: Ward,
    deed: Deed,
    rest: Pick_<Blow, "signal" | "victim" | "container" | "struckAfter">,
  ): OpenBlow["blow"] => {
    const { level } = ward.engagement!;
    return {
      deed,
      level,
      candidates: ward.aim?.candidates ?? [],
      before: ward.usage,
      limit: ward.terms.limit,
      threshold: ward.terms.bounds[level],
      stat: ward.stat,
      ...rest,
    };
  };

  const tell = (ward: Ward, open: OpenBlow, outcome: Blow["outcome"], reason?: string) => {
    const { blow, diedAfter } = open;
    const freedAfter = diedAfter === undefined ? undefined : performance.now() - open.since;
    const rest = { after: ward.usage, diedAfter, freedAfter, outcome, reason };
    say({ say: "blow", ...headOf(ward), blow: { ...blow, ...rest } });
  };

  const loosen = (ward: Ward) => {
    const kept = new Set([...ward.blows, ...ward.paused].map(({ pick }) => pick));
    ward.aim?.close((pick) => !kept.has(pick));
    ward.aim = undefined;
  };

  return {
    isAlive,
    loosen,
    open(ward, now, pick, deed, signal, struckAfter) {
      const open: OpenBlow = {
        pick,
        since: now,
        blow: describe(ward, deed, {
          signal: nameOf(signal),
          victim: pick.weighed,
          container: wholeOf(pick, deed)?.path,
          struckAfter,
        }),
        rounds: 1,
        diedAfter: undefined,
      };
      ward.blows.push(open);
      if (!ward.orders.dryRun) {
        if (signal === SIGKILL) releaseMemory(pick.pidfd);
        return;
      }
      tell(ward, open, "would");
      ward.blows = [];
      ward.engagement = undefined;
      release(pick);
      ward.aim?.close((each) => each !== pick);
      ward.aim = undefined;
    },

    keepAt(ward, now) {
      if (ward.paused.length > 0 && now - ward.pausedAt > LONGEST_PAUSE_MS) resume(ward);
      const last = ward.blows.at(-1);
      const whole = last && wholeOf(last.pick, last.blow.deed);
      if (!last || !whole || last.blow.signal === "SIGTERM" || !isAlive(ward, last, now)) return;
      last.rounds += 1;
      const spared = sparedBy(last.pick, last.blow.deed, ward.orders);
      strikeAll(whole, SIGKILL, false, spared, last.rounds > FREEZE_AFTER && pauses);
    },

    pauseOthers(ward, victim, present, now) {
      if (ward.orders.dryRun) return;
      const others = (ward.aim?.picks ?? []).filter((pick) =>
        pick !== victim && !pick.isStopped && !ward.paused.some((paused) => paused.pick === pick) &&
        !ward.blows.some((open) => open.pick === pick)
      );
      const homes = new Map([[victim.weighed.cgroup, present]]);
      const meant = others.filter((pick) => {
        const { cgroup } = pick.weighed;
        const pids = homes.get(cgroup) ?? pidsAt(pick.home);
        homes.set(cgroup, pids);
        return pids.has(pick.pid);
      }).map((pick) => ({
        pick,
        record: pausedProcess(pick.home.path, pick.pid),
      }));
      if (meant.length === 0) return;
      pauses.begin(meant.map(({ record }) => record));
      for (const each of meant) send(each.pick.pidfd, SIGSTOP);
      ward.paused.push(...meant);
      ward.pausedAt = now;
    },

    giveUp(ward, open, reason) {
      tell(ward, open, "alive", reason);
      ward.blows = ward.blows.filter((each) => each !== open);
    },

    fail(ward, now, deed, why) {
      const blow = describe(ward, deed, {
        signal: nameOf(ward.orders.patience.grace > 0 ? SIGTERM : SIGKILL),
        victim: undefined,
        container: undefined,
        struckAfter: performance.now() - now,
      });
      const rest = { after: ward.usage, diedAfter: undefined, freedAfter: undefined };
      say({ say: "blow", ...headOf(ward), blow: { ...blow, ...rest, outcome: "failed", ...why } });
    },

    abandon(ward, now) {
      const struck = new Set(ward.blows.map(({ pick }) => pick));
      resume(ward);
      for (const open of ward.blows) tell(ward, open, isAlive(ward, open, now) ? "alive" : "died");
      ward.blows = [];
      const { aim } = ward;
      if (aim) {
        // Of several allocators the next one is due within a millisecond.
        aim.picks = aim.picks.filter((pick) => !struck.has(pick));
        const pids = new Set([...struck].map(({ pid }) => pid));
        aim.candidates = aim.candidates.filter(({ pid }) => !pids.has(pid));
        if (struck.size > 0) aim.at = -Infinity;
      }
      struck.forEach(release);
      if (aim?.picks.length === 0) loosen(ward);
    },
  };
}

/** TypeScript's own `Pick`; that name is taken here. */
type Pick_<T, K extends keyof T> = { readonly [P in K]: T[P] };

const nameOf = (signal: number) => signal === SIGTERM ? "SIGTERM" : "SIGKILL";

/** False when it is gone, or may not be signalled. */
function send(pidfd: Pick["pidfd"], signal: number): boolean {
  try {
    return signalPidfd(pidfd, signal);
  } catch (error) {
    if (error instanceof SystemCallError) return false;
    throw error;
  }
}
