/**
 * Looks, decides and strikes. It runs in a thread of its own in which nothing else happens: no directory is listed here for
 * its own sake, nothing is armed, printed or sent to anybody but the main thread, and that after the deed.
 */

import { noPauses, type Pauses } from "../act/pauses.ts";
import { isThere } from "../cgroup/cgroup.ts";
import type { JoinedEpoll } from "../kernel/epoll.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { hasEnded } from "../kernel/process.ts";
import { sleepMicroseconds } from "../kernel/scheduling.ts";
import { freshBells } from "../policy/levels.ts";
import { dueAt, dueAtRest, isAtRest, SHORTEST_MS, STEP_MS, SWEEP_MS } from "./cadence.ts";
import { frugality } from "./eyes.ts";
import { AIM_MS, createFight } from "./fight.ts";
import { hear } from "./hear.ts";
import type { Looks } from "./look_ring.ts";
import { measure } from "./measure.ts";
import type { Message, WardSpec, WardTerms } from "./messages.ts";
import { isKept, keyOf, type Plans } from "./plan.ts";
import { createShadow, FOLLOWED_MS, noShadow } from "./shadow.ts";
import { inUrgency, valueOf } from "./sight.ts";
import { createTokens } from "./tokens.ts";
import {
  clock,
  closeWard,
  headOf,
  letGoOfAim,
  msAtWorst,
  openWard,
  ordersOf,
  type Ward,
} from "./ward.ts";

export interface Sentry {
  /** This thread has SCHED_FIFO. */
  goBeside(): void;
  /** What wards are meant by the number of their plan from now on. */
  assume(plans: Plans): void;
  adopt(spec: WardSpec): void;
  rebound(id: number, terms: Partial<WardTerms>): void;
  drop(id: number): void;
  /** Waits, and does what is to be done; how often it was woken by the main thread meanwhile. */
  turn(): number;
  close(): void;
}

/** But no longer than this after a notification: growth may have ended. */
const LONGEST_SPIN_MS = 2;
/** A blow takes 1 ms, and those at rest are thousands: so long nothing new is heard (milliseconds). */
const SLICE_MS = 1;
/** At the end for those who were just killed: who is on his way out would be told to live (milliseconds). */
const DYING_MS = 100;
/** No two hints within this time (milliseconds). */
const HINT_MS = 2;

export function createSentry(
  first: Plans,
  epoll: JoinedEpoll,
  post: (message: Message) => void,
  pauses: Pauses = noPauses,
  looks?: Looks,
): Sentry {
  let plans = first;
  let orders = first.all.map(ordersOf);
  const wards = new Map<number, Ward>();
  /** Those that are to be looked at before the next round: a wake costs the same with ten cgroups and with ten thousand. */
  const soon = new Set<Ward>();
  /** When all are gone through. */
  let roundAt = -Infinity;
  /** Who has not had his turn in it. */
  let round: Ward[] = [];
  const tokens = createTokens(epoll);
  let shadow = noShadow;
  /** Said of the first one; there are thousands to follow. */
  let isFrugal = false;
  const outbox: Message[] = [];
  const say = (message: Message) => void outbox.push(message);

  const fight = createFight({
    wards: wards.values.bind(wards),
    isKept: (path) => isKept(plans, path),
    say,
    pauses,
    looks,
  });

  const attend = (ward: Ward, now: number) => {
    look(ward, now);
    if (!ward.engagement) ward.wake = "poll";
    if (ward.nextLook < roundAt && wards.has(ward.id)) soon.add(ward);
    else soon.delete(ward);
  };

  const look = (ward: Ward, now: number) => {
    const usage = ward.usageFile.number();
    if (usage === undefined) {
      // One read may fail for want of memory; what it guards is there all the same. As long again as it has failed already.
      const wait = Math.min(SWEEP_MS, Math.max(SHORTEST_MS, now - ward.usageAt));
      return isThere(ward.measured) ? void (ward.nextLook = now + wait) : vanish(ward);
    }
    const isGrowing = !(usage <= ward.usage);
    const isNews = usage !== ward.usage;
    measure(ward, usage, now);
    if (ward.engagement) fight.proceed(ward, now);
    else if (isGrowing || !isAtRest(ward)) watchLevels(ward, now, isNews);
    else {
      ward.nextLook = dueAtRest(ward, now, around());
      if (isNews) looks?.level(ward, now, usage, []);
    }
  };

  const around = () => ({ count: wards.size, isBeside: shadow.isBeside });

  const watchLevels = (ward: Ward, now: number, isNews: boolean) => {
    const { terms: { bounds }, orders: { isDeadly } } = ward;
    const value = valueOf(ward, now);
    const { reached, levels } = hear(ward, bounds, value, now);
    if (ward.engagement) {
      looks?.rang(levels);
      fight.proceed(ward, now);
    } else {
      if (isDeadly && reached) fight.aim(ward, now, reached, levels.includes("critical"));
      if (isNews || levels.length > 0) looks?.level(ward, now, value, levels);
    }
    if (!reached) {
      if (ward.aim && now - ward.aim.at > AIM_MS) letGoOfAim(ward);
      if (ward.aim === undefined) ward.statFile.rest();
      ward.failure = undefined;
      ward.idleFor = 0;
    }
    for (const level of levels) {
      const { usage, rate } = ward;
      say({ say: "level", ...headOf(ward), level, usage, value, rate });
    }
    if (ward.engagement) return shadow.leave();
    const [first] = ward.aim?.picks ?? [];
    const isFollowed = isDeadly && reached !== undefined && msAtWorst(ward) < FOLLOWED_MS;
    if (first && isFollowed) shadow.follow(first.pid, now);
    ward.nextLook = dueAt(ward, value, now, around());
  };

  /** The kernel reclaims hundreds of times a second from who reads many files. */
  const hasten = (ward: Ward) => {
    if (!ward.engagement && ward.orders.base === "usage") return;
    ward.nextLook = Math.min(ward.nextLook, ward.usageAt + HINT_MS);
  };

  const vanish = (ward: Ward) => {
    const head = headOf(ward);
    drop(head.id);
    say({ say: "gone", ...head });
  };

  const refuse = (id: number, isGuarded: boolean, words: readonly [string, string, string]) => {
    const [wanted, using, why] = words;
    post({ say: "refused", id, wake: "poll", at: clock(), isGuarded, wanted, using, why });
  };

  /** Where descriptors run short it is there, and yet cannot be guarded. */
  const open = (spec: WardSpec): Ward | undefined => {
    try {
      return openWard(spec, orders[spec.plan]!);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      refuse(spec.id, false, ["a guard", "nothing", error.message]);
      return undefined;
    }
  };

  const drop = (id: number) => {
    const ward = wards.get(id);
    if (ward === undefined) return;
    fight.abandon(ward, performance.now());
    wards.delete(id);
    soon.delete(ward);
    tokens.unbind(ward);
    tokens.leave(ward);
    closeWard(ward);
  };

  const timeoutUntil = (next: number): number => {
    const now = performance.now();
    const left = next - now;
    if (left >= FOLLOWED_MS) shadow.leave();
    else shadow.tire(now);
    if (!shadow.isBeside || left > STEP_MS) return Math.max(0, Math.ceil(left));
    if (left > 0) sleepMicroseconds(1000 * STEP_MS);
    return 0;
  };

  return {
    goBeside: () => void (shadow = createShadow()),
    assume(next) {
      plans = next;
      // Who is asked for the same goes on with what he is at.
      orders = next.all.map((plan) => {
        const key = keyOf(plan);
        return orders.find((each) => each.key === key) ?? ordersOf(plan);
      });
      // Others may be kept now.
      for (const ward of wards.values()) if (!ward.engagement) letGoOfAim(ward);
    },
    adopt(spec) {
      drop(spec.id);
      const ward = open(spec);
      if (ward === undefined) {
        return void post({ say: "gone", id: spec.id, wake: "poll", at: clock() });
      }
      wards.set(spec.id, ward);
      if (ward.orders.isDeadly && !ward.orders.dryRun) pauses.prepare();
      if (!ward.directory && !isFrugal) refuse(spec.id, isFrugal = true, frugality());
      soon.add(ward);
      tokens.bind(ward);
      tokens.follow(ward);
    },
    rebound(id, terms) {
      const ward = wards.get(id);
      if (ward === undefined) return;
      tokens.unbind(ward);
      ward.terms = { ...ward.terms, ...terms };
      const next = orders[ward.terms.plan]!;
      // What is under way was begun under other orders.
      if (next !== ward.orders) {
        fight.abandon(ward, performance.now());
        letGoOfAim(ward);
        // What was told, and put off, was so under other orders.
        ward.bells = freshBells;
        ward.failure = undefined;
        ward.idleUntil = -Infinity;
      }
      ward.orders = next;
      if (next.isDeadly && !next.dryRun) pauses.prepare();
      tokens.bind(ward);
      ward.nextLook = -Infinity;
      soon.add(ward);
    },
    drop,
    turn() {
      let next = round.length > 0 ? -Infinity : roundAt;
      for (const ward of soon) if (ward.nextLook < next) next = ward.nextLook;
      const { events, woken } = epoll.block(timeoutUntil(next));
      const now = performance.now();
      for (const { token } of events) {
        const meant = tokens.meant(token);
        if (meant === undefined) continue;
        soon.add(meant.ward);
        if (meant.isHint) hasten(meant.ward);
        else meant.ward.nextLook = -Infinity;
        if (meant.by === "eventfd" && !meant.isHint) meant.ward.spinUntil = now + LONGEST_SPIN_MS;
        if (!meant.ward.engagement) meant.ward.wake = meant.by;
      }
      const isDue = ({ nextLook }: Ward) => nextLook <= now;
      const urgent = inUrgency([...soon].filter(isDue));
      if (now >= roundAt) {
        // On the grid of those at rest, so that they are not between two rounds.
        roundAt = SWEEP_MS * (Math.floor(now / SWEEP_MS) + 1);
        round = [...wards.values()].filter((ward) => isDue(ward) && !soon.has(ward));
        // Whose time comes before the next round, though not before this one.
        const isSooner = ({ nextLook }: Ward) => nextLook > now && nextLook < roundAt;
        for (const ward of wards.values()) if (isSooner(ward)) soon.add(ward);
      }
      // Who is left has his turn with who has come since, and who may have less left.
      const hasTime = () => performance.now() - now < SLICE_MS;
      for (let n = 0; n < urgent.length && (n === 0 || hasTime()); n++) attend(urgent[n]!, now);
      for (let ward = round.pop(); ward; ward = hasTime() ? round.pop() : undefined) {
        if (wards.get(ward.id) === ward) attend(ward, now);
      }
      // The deed comes first.
      for (const { token } of events) tokens.take(token);
      for (const message of outbox.splice(0)) post(message);
      return woken;
    },
    close() {
      const until = performance.now() + DYING_MS;
      while (isKilling(wards.values()) && performance.now() < until) {
        sleepMicroseconds(1000 * STEP_MS);
      }
      for (const id of [...wards.keys()]) drop(id);
      // There is no turn any more that would.
      for (const message of outbox.splice(0)) post(message);
      pauses.close();
    },
  };
}

/** Whether anybody who was sent SIGKILL is still there. */
const isKilling = (wards: Iterable<Ward>) =>
  [...wards].some(({ blows }) =>
    blows.some(({ blow, pick }) => blow.signal === "SIGKILL" && !hasEnded(pick.pidfd))
  );
