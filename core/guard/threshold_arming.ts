/**
 * Arms the notifications of guarded v1 cgroups. To register a threshold takes the kernel 15 ms, so the lowest threshold of each cgroup
 * is first, and cgroups near their limits are before others; the rest follows. Usage that is above the lowest threshold meanwhile is
 * polled by the monitor thread.
 */

import { type Cgroup, isThere } from "../cgroup/cgroup.ts";
import type { Trigger } from "../cgroup/version.ts";
import type { EpollSet } from "../kernel/epoll.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { pageSize } from "../kernel/page_size.ts";
import { holdThreshold } from "../policy/hold.ts";
import { notificationThreshold } from "../policy/levels.ts";
import { type Fallback, fallbackAfter } from "../watch/fallbacks.ts";
import { armPsi, TriggerEventfd } from "../watch/triggers.ts";
import type { ArmedNotifications, GuardSettings } from "./thread/protocol.ts";

export interface ArmedEventfd {
  readonly token: number;
  disarm(): void;
  /** Of memory.pressure_level: the kernel reclaims, which matters only to a cgroup that is full of page cache. */
  readonly isReclaimNotification: boolean;
}

type EventfdTrigger = Extract<Trigger, { kind: "eventfd" }>;

/** What all cgroups share. */
export interface ArmingContext {
  readonly epoll: EpollSet;
  /** See `mayShareEventfd`. */
  readonly sharesEventfds: boolean;
  onFallback(cgroup: Cgroup, fallback: Fallback): void;
}

let nextToken = 1;

/** The notifications of one cgroup with one limit. */
export class CgroupArming {
  readonly armed: ArmedEventfd[] = [];
  readonly #lowest: number;
  /** Still to be registered, the most urgent first. */
  #left: EventfdTrigger[];
  #pressure: EventfdTrigger | undefined;
  /** The one that all thresholds share. */
  #shared: TriggerEventfd | undefined;

  /** @param kills whether the policy kills at a level. @param isWanted false once the cgroup is removed, or has other settings. */
  constructor(
    private readonly context: ArmingContext,
    private readonly cgroup: Cgroup,
    private readonly settings: GuardSettings,
    kills: boolean,
    private readonly isWanted: () => boolean,
  ) {
    const { limit, mode, levelBytes: { warn, critical, imminent } } = settings;
    const cpus = navigator.hardwareConcurrency;
    const early = kills ? [notificationThreshold(imminent, cpus, pageSize())] : [];
    const hold = mode === "hold-near-limit" ? [Math.min(warn, holdThreshold(limit))] : [];
    const all = new Set([...early, imminent, critical, warn, ...hold]);
    this.#lowest = Math.min(...all);
    all.delete(this.#lowest);
    const pressureLevels = kills ? [{ level: "low", mode: "local" } as const] : [];
    const interests = { thresholds: [this.#lowest, ...all], pressureLevels, psi: [] };
    const triggers = cgroup.hierarchy.version.triggers(interests)
      .filter((trigger) => trigger.kind === "eventfd");
    this.#left = triggers.filter(({ event }) => event === "threshold");
    this.#pressure = triggers.find(({ event }) => event === "pressure");
  }

  /** Whether usage has crossed what {@link armLowest} arms. */
  isAboveLowest(usage: number): boolean {
    return usage >= this.#lowest;
  }

  /** For the monitor thread. @param others eventfds of other settings that are still armed. */
  notifications(others: readonly ArmedEventfd[]): ArmedNotifications {
    const eventfds = [...others, ...this.armed].map(tokenOf);
    const hasLevels = this.#left.length > 0;
    const from = hasLevels ? this.#lowest : this.settings.levelBytes.warn;
    const isLeft = hasLevels || this.#pressure !== undefined;
    return { eventfds, unarmed: isLeft ? { from, hasLevels } : undefined };
  }

  async armLowest(): Promise<void> {
    const armed = this.armed.length;
    await this.#register(this.#left.splice(0, 1));
    if (this.armed.length > armed) return;
    // The kernel has no such notifications, or refuses them: the cgroup is polled.
    this.#left = [];
    this.#pressure = undefined;
  }

  async armThresholds(): Promise<void> {
    await this.#register(this.#left);
    this.#left = [];
  }

  /** The kernel reclaims: needed only above a level. */
  async armPressure(): Promise<void> {
    const pressure = this.#pressure;
    this.#pressure = undefined;
    if (pressure) await this.#register([pressure]);
  }

  async #register(triggers: readonly EventfdTrigger[]): Promise<void> {
    const isReclaimNotification = triggers[0]?.event === "pressure";
    if (this.#shared && !isReclaimNotification) {
      return await this.#shared.register(triggers, this.isWanted, this.#onError);
    }
    if (this.context.sharesEventfds || isReclaimNotification) {
      return await this.#registerNew(triggers, isReclaimNotification);
    }
    for (const trigger of triggers) await this.#registerNew([trigger], isReclaimNotification);
  }

  async #registerNew(
    triggers: readonly EventfdTrigger[],
    isReclaimNotification: boolean,
  ): Promise<void> {
    let isRefused = false;
    const onError = (error: unknown) => {
      isRefused = true;
      if (!isReclaimNotification) this.#onError(error);
      else if (!(error instanceof SystemCallError)) throw error;
    };
    try {
      const eventfd = new TriggerEventfd(this.cgroup, nextToken++, this.context.epoll);
      await eventfd.register(triggers, this.isWanted, onError);
      // What is not wanted any more is in no list that is disarmed later.
      if (isRefused || !this.isWanted()) return eventfd.disarm();
      if (this.context.sharesEventfds && !isReclaimNotification) this.#shared = eventfd;
      this.armed.push({
        token: eventfd.token,
        disarm: () => eventfd.disarm(),
        isReclaimNotification,
      });
    } catch (error) {
      onError(error);
    }
  }

  readonly #onError = (error: unknown): void => {
    if (!(error instanceof SystemCallError)) throw error;
    if (!this.isWanted() || !isThere(this.cgroup)) return;
    const fallback = fallbackAfter("threshold notification", "poll", error);
    this.context.onFallback(this.cgroup, fallback);
  };
}

/** Microseconds of stall, and within which window: memory has run short. */
const MACHINE_PSI = [
  // The shortest window (kernel, kernel/sched/psi.c, WINDOW_MIN_US).
  { kind: "some", stall: 50_000, window: 500_000 },
  // Without CAP_SYS_RESOURCE a multiple of 2 s is required (kernel, psi_trigger_create, since 6.5).
  { kind: "some", stall: 100_000, window: 2_000_000 },
] as const;

/** Wakes the monitor thread when processes begin to wait for memory. Throws `SystemCallError`. @param path /proc/pressure/memory. */
export function armMachinePressure(path: string, epoll: EpollSet): ArmedEventfd {
  const token = nextToken++;
  const tryArm = (psi: (typeof MACHINE_PSI)[number]): ArmedEventfd => {
    const { disarm } = armPsi(path, { kind: "psi", file: path, psi }, token, epoll);
    return { token, disarm, isReclaimNotification: false };
  };
  const [first, second] = MACHINE_PSI;
  try {
    return tryArm(first);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "EINVAL") return tryArm(second);
    throw error;
  }
}

export const tokenOf = ({ token, isReclaimNotification }: ArmedEventfd) => ({
  token,
  isReclaimNotification,
});

export function disarm(all: readonly ArmedEventfd[]): void {
  for (const armed of all) armed.disarm();
}

/**
 * Cgroups that are armed at the same time. The runtime has 32 threads for calls that block (deno, runtime/tokio_util.rs,
 * max_blocking_threads): twice as many calls keep all of them busy, so that the most registrations share a grace period.
 */
const MAX_ARMING = 64;
/** The same for work that is not urgent, which leaves threads for other work. */
const MAX_ARMING_LATER = 20;

interface Job {
  /** Bytes to the limit. */
  readonly headroom: number;
  begin(): void;
}

/** The one with the least headroom first. */
class JobsByHeadroom {
  /** The first one last, if sorted. */
  readonly #jobs: Job[] = [];
  #isSorted = true;

  get isEmpty(): boolean {
    return this.#jobs.length === 0;
  }

  add(job: Job): void {
    this.#jobs.push(job);
    this.#isSorted = false;
  }

  /** False where it is not among them. */
  remove(job: Job): boolean {
    const at = this.#jobs.indexOf(job);
    if (at >= 0) this.#jobs.splice(at, 1);
    return at >= 0;
  }

  take(): Job | undefined {
    if (!this.#isSorted) this.#jobs.sort((a, b) => b.headroom - a.headroom);
    this.#isSorted = true;
    return this.#jobs.pop();
  }
}

/** Runs urgent work first, and of that what has the least headroom. */
export class ArmingQueue {
  #underway = 0;
  readonly #urgent = new JobsByHeadroom();
  readonly #later = new JobsByHeadroom();
  #isToBegin = false;

  /** Work that waits in the queue becomes urgent by `promote`. */
  add(
    headroom: number,
    isUrgent: boolean,
    work: () => Promise<void>,
  ): { readonly done: Promise<void>; promote(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const job: Job = { headroom, begin: resolve };
    (isUrgent ? this.#urgent : this.#later).add(job);
    this.#beginSoon();
    const promote = () => {
      if (!this.#later.remove(job)) return;
      this.#urgent.add(job);
      this.#beginSoon();
    };
    const run = async () => {
      await promise;
      try {
        await work();
      } finally {
        this.#underway -= 1;
        this.#begin();
      }
    };
    return { done: run(), promote };
  }

  /** Not at once, so that all that a walk adds is sorted before the first begins. */
  #beginSoon(): void {
    if (this.#isToBegin) return;
    this.#isToBegin = true;
    queueMicrotask(() => {
      this.#isToBegin = false;
      this.#begin();
    });
  }

  #begin(): void {
    for (;;) {
      const isUrgent = !this.#urgent.isEmpty;
      if (this.#underway >= (isUrgent ? MAX_ARMING : MAX_ARMING_LATER)) return;
      const next = (isUrgent ? this.#urgent : this.#later).take();
      if (next === undefined) return;
      this.#underway += 1;
      next.begin();
    }
  }
}
