/** One ward at the level at which something is to die: aiming, reclaiming, striking. */

import { isStillIn, pidsAt } from "../act/held.ts";
import { noPauses, type Pauses } from "../act/pauses.ts";
import { startReclaim } from "../act/reclaim.ts";
import { type Failure, SIGKILL, SIGTERM } from "../act/strike.ts";
import { peekDirectory } from "../kernel/fd.ts";
import type { Level } from "../policy/bounds.ts";
import { type Engagement, pursue, type Sight, type Step } from "../policy/engagement.ts";
import { inOrder, takeAim } from "./aim.ts";
import { whyNobody } from "./casualties.ts";
import { createBlows } from "./blows.ts";
import { deliver } from "./deliver.ts";
import type { RecordedDeed } from "../record/format.ts";
import type { Looks } from "./look_ring.ts";
import type { Message } from "./messages.ts";
import { type Deed, deedOf } from "./plan.ts";
import { overlap } from "./scope.ts";
import { FAR_MS, readStat, see } from "./sight.ts";
import { headOf, msAtWorst, msUntilLimit, type Ward } from "./ward.ts";

export interface Fight {
  /** Finds out ahead of time whom to strike, unless that is known. */
  aim(ward: Ward, now: number, reached: Level, anew: boolean): void;
  /** Does the next step, and says when to look again. */
  proceed(ward: Ward, now: number): void;
  /** Tells of what is open, and forgets it. */
  abandon(ward: Ward, now: number): void;
}

export interface FightOptions {
  readonly wards: () => Iterable<Ward>;
  /** Whether a rule leaves alone what lies there. */
  readonly isKept: (path: string) => boolean;
  readonly say: (message: Message) => void;
  readonly pauses?: Pauses;
  /** Where somebody records them. */
  readonly looks?: Looks | undefined;
}

/** An aim that is older is taken anew, while the threshold is far enough to do so (milliseconds). */
export const AIM_MS = 1000;
/** An aim as young as this is as good as a new one (milliseconds). */
const FRESH_MS = 100;
/** With less left than this until the limit is met, an older aim has to do (milliseconds). */
const HURRY_MS = 20;
/** What it takes to look at one of those who are held, with much to spare (milliseconds). */
const RANK_MS = 0.4;
/** Who takes this part of what is left while somebody is looked at leaves no time to look at all. */
const HASTE = 8;
/** What was seen longer ago may be otherwise by now (milliseconds). */
const STALE_MS = 5;
/** Where nobody can be struck, somebody may come (milliseconds). */
const IDLE_MS = 100;
/** To ask costs some 0.1 ms a process; twice as long each time, but no longer than this (milliseconds). */
const LONGEST_IDLE_MS = 1000;
/** How often to tell of what is reclaimed and let go (milliseconds). */
const TOLD_MS = 1000;
/** With less left than this the limit is met before a victim's memory is free (milliseconds). */
const PAUSE_MS = 5;

export function createFight(options: FightOptions): Fight {
  const { wards, isKept, say, pauses = noPauses, looks } = options;

  const blows = createBlows(say, pauses);

  const takeAimAt = (ward: Ward, mark: number) => {
    const { terms, scope, measured, usageFile } = ward;
    const began = usageFile.number() ?? 0;
    const far = began + (terms.limit - began) / HASTE;
    // Nearly full is not pressed: where nobody grows there is time to look at all of them, and under hold whoever grows waits.
    const isPressed = () => {
      const usage = terms.mode === "hold" ? 0 : usageFile.number() ?? 0;
      return usage >= mark && usage > far;
    };
    const aim = takeAim(scope, {
      plan: ward.orders,
      isKept,
      measured: scope.path === measured.path ? scope : measured,
      capacity: terms.capacity,
      pressed: isPressed,
      struck: new Set(ward.blows.map(({ pick }) => pick.pid)),
    });
    if (aim === undefined || (aim.isPartial && ward.aim)) return aim?.close();
    blows.loosen(ward);
    ward.aim = aim;
  };

  const aim = (ward: Ward, now: number, reached: Level, anew: boolean) => {
    const { threshold } = ward.terms.bounds;
    const age = ward.aim === undefined ? Infinity : now - ward.aim.at;
    const left = msUntilLimit(ward);
    const isStale = (anew && age > FRESH_MS) || (age > AIM_MS && left < FAR_MS);
    // An aim takes milliseconds, in which the level would be crossed unseen.
    if (ward.aim === undefined || (isStale && left > HURRY_MS)) takeAimAt(ward, threshold);
    else if (reached === "warn" || left > FAR_MS) return;
    // What the blow will need is read once before it: the second time takes a third.
    else {
      rank(ward);
      if (!ward.aim.picks.slice(0, 1).every(isStillIn)) takeAimAt(ward, threshold);
    }
    if (reached !== "warn" && left < FAR_MS) readStat(ward, now);
  };

  /** Anew, by who has grown since; where there is no time for that, by what is known. */
  const rank = (ward: Ward) => {
    const { aim } = ward;
    if (aim && msUntilLimit(ward) > RANK_MS * aim.picks.length) aim.picks = inOrder(aim.picks);
  };

  const proceed = (ward: Ward, now: number) => {
    const engagement = ward.engagement!;
    const seenAt = performance.now();
    const sight = see(ward, now, blows);
    const { patience } = ward.orders;
    const { engagement: state, step } = pursue(engagement.state, sight, patience, now);
    const did = step.do === "strike"
      ? strikeAt(ward, now, sight, state, seenAt)
      : follow(ward, now, state, step);
    looks?.sight(ward, now, sight, did);
  };

  const strikeAt = (
    ward: Ward,
    now: number,
    { victim }: Sight,
    state: Engagement,
    seenAt: number,
  ): RecordedDeed => {
    if (isTaken(ward)) {
      ward.nextLook = now + 1;
      return "put_off";
    }
    prepare(ward, now);
    // Somebody took the CPU away meanwhile: who filled it may be gone, and the next of them would die for nothing.
    if (performance.now() - seenAt > STALE_MS) {
      ward.nextLook = now;
      return "put_off";
    }
    ward.engagement!.state = state;
    ward.nextLook = now + 1;
    return strike(ward, now, victim) ? "strike" : "nobody";
  };

  const follow = (
    ward: Ward,
    now: number,
    state: Engagement,
    step: Exclude<Step, { readonly do: "strike" }>,
  ): RecordedDeed => {
    const engagement = ward.engagement!;
    switch (step.do) {
      case "escalate":
        escalate(ward, now);
        ward.nextLook = now + 1;
        break;
      case "reclaim":
        ward.reclaim = { before: ward.usage, since: now };
        if (!ward.orders.dryRun) {
          reclaim(ward, ward.usage - ward.terms.bounds[engagement.level]);
        }
        ward.nextLook = now;
        break;
      case "spare":
        endReclaim(ward, now);
        if (ward.blows.length > 0) blows.abandon(ward, now);
        else letGo(ward, "reclaimable");
        ward.nextLook = step.until;
        break;
      case "stall":
      case "wait":
        if (step.do === "wait") blows.keepAt(ward, now);
        else if (ward.blows.length > 0) blows.abandon(ward, now);
        ward.nextLook = step.until;
        break;
      case "end":
        endReclaim(ward, now);
        if (ward.blows.length === 0 && engagement.state.phase !== "stalled") {
          letGo(ward, "recovered");
        }
        abandon(ward, now);
        ward.nextLook = now + 1;
        return step.do;
    }
    engagement.state = state;
    return step.do;
  };

  const reclaim = (ward: Ward, bytes: number) => {
    const { directory, measured: { dir } } = ward;
    // What cannot be opened cannot be asked; whether it has helped is seen by the usage.
    const opened = directory ?? peekDirectory(dir);
    if (opened) startReclaim(opened, bytes);
    if (opened !== directory) opened?.close();
  };

  /** Wards that overlap have the same processes: what one has struck counts for the other. */
  const isTaken = (ward: Ward) => {
    for (const other of wards()) {
      // Who was only asked may take his time, which another cgroup may not have.
      const isStriking = other.blows.some(({ blow }) => blow.signal === "SIGKILL");
      if (other === ward || !isStriking) continue;
      if (overlap(other.scope.path, ward.scope.path)) return true;
    }
    return false;
  };

  const prepare = (ward: Ward, now: number) => {
    const isOld = ward.aim !== undefined && now - ward.aim.at > FRESH_MS;
    if (ward.aim === undefined || (isOld && msUntilLimit(ward) > HURRY_MS)) aimNow(ward);
  };

  /** False where nobody could be struck. */
  const strike = (ward: Ward, now: number, victim: Sight["victim"]): boolean => {
    endReclaim(ward, now);
    const level = ward.engagement!.level;
    const deed = deedOf(ward.orders.actions[level])!;
    let failure = attempt(ward, now, deed);
    if (failure === "gone") {
      aimNow(ward);
      failure = attempt(ward, now, deed);
    }
    if (failure === undefined) return true;
    // That nobody is left beside who is dying is no failure yet, though he may have ended since he was looked at.
    if (failure === "gone" && victim === "alive") return true;
    const reason = failure === "gone" ? whyNobody(ward) : failure.reason;
    const candidates = ward.aim?.candidates ?? [];
    // What went before is told before.
    blows.abandon(ward, now);
    if (ward.failure !== reason) blows.fail(ward, now, deed, { reason, candidates });
    ward.failure = reason;
    ward.engagement = undefined;
    ward.idleFor = Math.min(LONGEST_IDLE_MS, Math.max(IDLE_MS, 2 * ward.idleFor));
    ward.idleUntil = ward.nextLook = now + ward.idleFor;
    return false;
  };

  const aimNow = (ward: Ward) => {
    const { limit, bounds } = ward.terms;
    takeAimAt(ward, limit - (limit - bounds.threshold) / 2);
  };

  /** Strikes the first that still is where it was. */
  const attempt = (ward: Ward, now: number, deed: Deed): Failure => {
    const signal = ward.orders.patience.grace > 0 ? SIGTERM : SIGKILL;
    rank(ward);
    for (const pick of ward.aim?.picks ?? []) {
      if (ward.blows.some((open) => open.pick.pid === pick.pid)) continue;
      const present = pidsAt(pick.home);
      // Nor is anybody struck together with one who is not there any more.
      if (!present.has(pick.pid)) continue;
      const failure = deliver(ward, pick, present, deed, signal);
      if (failure === "gone") continue;
      if (failure) return failure;
      const struckAfter = performance.now() - now;
      const isUrgent = signal === SIGKILL && msAtWorst(ward) < PAUSE_MS;
      if (isUrgent && ward.terms.mode === "notify") blows.pauseOthers(ward, pick, present, now);
      blows.open(ward, now, pick, deed, signal, struckAfter);
      return undefined;
    }
    return "gone";
  };

  const escalate = (ward: Ward, now: number) => {
    const open = ward.blows.at(-1);
    if (open === undefined) return;
    const { pick, blow: { deed } } = open;
    blows.giveUp(ward, open, "it did not end within the grace, or before the limit came near");
    if (deliver(ward, pick, pidsAt(pick.home), deed, SIGKILL) !== undefined) return;
    blows.open(ward, now, pick, deed, SIGKILL, performance.now() - now);
  };

  const endReclaim = (ward: Ward, now: number) => {
    if (ward.reclaim === undefined) return;
    const { before, since } = ward.reclaim;
    ward.reclaim = undefined;
    const { level } = ward.engagement!;
    const lasted = now - since;
    // A tripwire over a stream of page cache reclaims dozens of times a second.
    if (now - ward.reclaimToldAt < TOLD_MS) return;
    ward.reclaimToldAt = now;
    say({ say: "reclaimed", ...headOf(ward), level, before, after: ward.usage, lasted });
  };

  const letGo = (ward: Ward, why: "recovered" | "reclaimable") => {
    if (performance.now() - ward.letGoToldAt < TOLD_MS) return;
    ward.letGoToldAt = performance.now();
    const { level } = ward.engagement!;
    const { reclaimable } = ward.cache;
    say({ say: "let_go", ...headOf(ward), level, why, usage: ward.usage, reclaimable });
  };

  const abandon = (ward: Ward, now: number) => {
    blows.abandon(ward, now);
    ward.engagement = undefined;
  };

  return { aim, proceed, abandon };
}
