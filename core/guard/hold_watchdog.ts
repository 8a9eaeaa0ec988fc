/** With the OOM killer disabled allocators at the limit wait, and none continues unless the guard acts. */

import { readControl } from "../cgroup/cgroup.ts";
import type { Mode } from "../policy/levels.ts";
import type { GuardedCgroup } from "./registry.ts";

/** In so many turns the monitor thread reads usage, selects a victim and kills it. */
const MIN_TURNS_TO_KILL = 3;
/** Allocators wait at most this many times as long when the monitor thread has not had those turns (an estimate). */
const MAX_TIMEOUT_FACTOR = 10;
/** While allocators may wait (milliseconds). */
const MS_BETWEEN_CHECKS = 200;
/** A cgroup is checked for so long after a sign that its allocators may wait (milliseconds, an estimate). */
const MS_SUSPECTED = 5000;
/** In case a notification was lost (milliseconds). */
const MS_BETWEEN_FULL_CHECKS = 10_000;
/** To read a cgroup takes 12 µs: 0.02 % of a core for all together (milliseconds). */
const FULL_CHECK_MS_PER_CGROUP = 60;

export const isHold = (mode: Mode) => mode === "hold" || mode === "hold-near-limit";

const fullCheckInterval = ({ length }: readonly GuardedCgroup[]): number =>
  Math.max(MS_BETWEEN_FULL_CHECKS, FULL_CHECK_MS_PER_CGROUP * length);

/** Finds cgroups in which allocators have waited too long. */
export class HoldWatchdog {
  /** By id. */
  readonly #waiting = new Map<number, { readonly since: number; readonly beats: number }>();
  /** Paths of cgroups in which allocators may wait, since when. */
  readonly #suspects = new Map<string, number>();
  #fullCheckAt = -Infinity;

  /**
   * @param timeout milliseconds that allocators may wait. @param beats the number of turns of the monitor thread so far.
   * @param notifiesOoms whether {@link suspect} is called at each OOM; otherwise all cgroups are read at each check.
   */
  constructor(
    readonly timeout: number,
    readonly beats: () => number,
    readonly notifiesOoms: () => boolean,
  ) {}

  /**
   * To be called for each OOM, which the kernel notifies in the cgroup at its limit and all below it when allocators begin to wait
   * (mem_cgroup_oom_notify), and for each report of the monitor thread, in case that is lost.
   */
  suspect(path: string): void {
    this.#suspects.set(path, performance.now());
  }

  /** After a kill, which lets them continue: the time of others that wait begins again. */
  restart(id: number): void {
    this.#waiting.delete(id);
  }

  /** Milliseconds between two calls of {@link check}. */
  readonly interval = (guarded: readonly GuardedCgroup[]): number => {
    const isHeld = guarded.some(({ settings: { mode } }) => isHold(mode));
    const mayWait = this.#suspects.size > 0 || this.#waiting.size > 0 || !this.notifiesOoms();
    return isHeld && mayWait ? MS_BETWEEN_CHECKS : fullCheckInterval(guarded);
  };

  check(guarded: readonly GuardedCgroup[]): GuardedCgroup[] {
    const now = performance.now();
    // Without suspects it is the regular check, which may be a little early.
    const isRegular = this.#suspects.size === 0 && this.#waiting.size === 0;
    const isFull = isRegular || now - this.#fullCheckAt >= fullCheckInterval(guarded) ||
      !this.notifiesOoms();
    if (isFull) {
      this.#fullCheckAt = now;
      const ids = new Set(guarded.map(({ id }) => id));
      for (const id of this.#waiting.keys()) if (!ids.has(id)) this.#waiting.delete(id);
    }
    const expired = guarded.filter((each) => {
      const { id, cgroup, limitOwner, settings } = each;
      const mayWait = isFull || this.#waiting.has(id) || this.#suspects.has(cgroup.path);
      if (!isHold(settings.mode) || !mayWait) return false;
      const begun = this.#waiting.get(id);
      const isWaiting = /^under_oom 1$/m.test(readControl(limitOwner, "memory.oom_control") ?? "");
      const isExpired = isWaiting && begun !== undefined && this.#isExpired(begun, now);
      if (!isWaiting || isExpired) this.#waiting.delete(id);
      else if (begun === undefined) this.#waiting.set(id, { since: now, beats: this.beats() });
      return isExpired;
    });
    for (const [path, at] of this.#suspects) {
      if (now - at > MS_SUSPECTED) this.#suspects.delete(path);
    }
    return expired;
  }

  /** A monitor thread without CPU time, as with one percent of a CPU, has more time: it would kill at its next turn. */
  #isExpired({ since, beats }: { since: number; beats: number }, now: number): boolean {
    const hadTurns = this.beats() - beats >= MIN_TURNS_TO_KILL;
    return now - since > (hadTurns ? this.timeout : MAX_TIMEOUT_FACTOR * this.timeout);
  }
}
