/** The guarded cgroups: follows their limits, arms their notifications, and hands them to the monitor thread. */

import { type Cgroup, isThere, openCgroup, readSummary } from "../cgroup/cgroup.ts";
import { isInSubtree } from "../cgroup_path.ts";
import type { Journal, Restored } from "../control/journal.ts";
import { mayWrite } from "../control/write.ts";
import { OomkitError } from "../errors.ts";
import type { EpollSet } from "../kernel/epoll.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { pageSize } from "../kernel/page_size.ts";
import {
  levelBytesIn,
  marginBytesIn,
  minThrottleMargin,
  type Mode,
  MODES,
} from "../policy/levels.ts";
import { type Fallback, fallbackAfter } from "../watch/fallbacks.ts";
import { mayShareEventfd } from "../watch/triggers.ts";
import {
  type GuardPolicy,
  keyOf,
  killLevel,
  policyFor,
  type PolicySet,
  requestedMode,
} from "./policy.ts";
import { type GuardedLimit, limitOf } from "./targets.ts";
import { type Command, flatten, type GuardSettings } from "./thread/protocol.ts";
import {
  type ArmedEventfd,
  type ArmingContext,
  ArmingQueue,
  armMachinePressure,
  CgroupArming,
  disarm,
  tokenOf,
} from "./threshold_arming.ts";

export interface GuardedCgroup {
  readonly id: number;
  readonly cgroup: Cgroup;
  readonly limitOwner: Cgroup;
  /** It was named as a target, not found below one. */
  readonly isTarget: boolean;
  readonly policy: GuardPolicy;
  /** `settings.mode` differs from it when it could not be applied. */
  readonly requested: Mode;
  readonly settings: GuardSettings;
  /** Also those for earlier settings, until all for the present ones are armed. */
  armed: readonly ArmedEventfd[];
  /** While something is left to arm; absent until the lowest threshold is armed. */
  arming?: CgroupArming | undefined;
  /** Has the rest of the thresholds armed before those of other cgroups, as long as they wait for their turn. */
  promote?: (() => void) | undefined;
}

export interface GuardRegistryOptions {
  readonly policies: PolicySet;
  readonly epoll: EpollSet;
  readonly journal: Journal;
  send(command: Command): void;
  /** It is guarded from now on, or with other settings. */
  onArmed(guarded: GuardedCgroup): void;
  onRestored(restored: readonly Restored[]): void;
  onFallback(cgroup: Cgroup, fallback: Fallback): void;
  /** It is no longer guarded, or is about to get these mechanisms again. */
  onFallbacksEnd(path: string, requested?: readonly string[]): void;
  /** Of work that nothing awaits. */
  onError(error: unknown): void;
}

/** What an update of a cgroup sets up. */
const MECHANISMS_OF_AN_UPDATE = ["guard", "threshold notification", ...MODES];
/** A thousand cgroups can be removed before the report of a kill in the first of them is read. */
const MAX_REMOVED_KEPT = 2048;
/** The monitor thread reports all kills in a cgroup when it drops it; if it does nothing for 30 s the guard ends (milliseconds). */
const MAX_MS_REMOVED_KEPT = 60_000;

export class GuardRegistry {
  readonly #queue = new ArmingQueue();
  readonly #context: ArmingContext;
  #policies: PolicySet;
  readonly #byPath = new Map<string, GuardedCgroup>();
  readonly #byId = new Map<number, GuardedCgroup>();
  /** In the order of their removal. */
  readonly #removed = new Map<number, { readonly guarded: GuardedCgroup; readonly at: number }>();
  readonly #lost: GuardedCgroup[] = [];
  /** Directories in which the monitor thread has restored memory.high for the time being. */
  readonly #lifted = new Set<string>();
  readonly #underway = new Set<Promise<void>>();
  #nextId = 1;

  constructor(private readonly options: GuardRegistryOptions) {
    this.#context = { ...options, sharesEventfds: mayShareEventfd() };
    this.#policies = options.policies;
  }

  /**
   * Guards a cgroup, changes how it is guarded, or stops guarding it, depending on its limit and policy now.
   *
   * @param isForced arms it again even if nothing has changed.
   */
  update(cgroup: Cgroup, isTarget: boolean, isForced = false): void {
    const before = this.#byPath.get(cgroup.path);
    const known = before?.cgroup.inode === cgroup.inode ? before : undefined;
    if (before && !known) this.remove(cgroup.path);
    const number = policyFor(this.#policies, cgroup.path, cgroup.machine !== undefined);
    const policy = number === undefined ? undefined : this.#policies.all[number];
    const found = policy && limitOf(cgroup, isTarget, policy.softLimit);
    // One read of /proc/meminfo that fails is no reason to stop: it is always there.
    if (policy && !found && cgroup.machine && known) return;
    if (number === undefined || !policy || !found) return this.remove(cgroup.path);
    const isUnchanged = known !== undefined && this.#isUnchanged(known, policy, found);
    if (isUnchanged && !isForced) return;

    const { limitOwner, limit, usage, oomTotalBytes, canSwap } = found;
    for (const { path } of new Set([cgroup, limitOwner])) {
      this.options.onFallbacksEnd(path, MECHANISMS_OF_AN_UPDATE);
    }
    const wanted = requestedMode(policy, limitOwner.hierarchy.version);
    const requested = this.#safeMode(cgroup, policy, limit, wanted);
    const levelBytes = levelBytesIn(policy, limit, requested);
    if (levelBytes === undefined) {
      const reason = "the margin is not smaller than the limit";
      this.remove(cgroup.path);
      return this.options.onFallback(cgroup, { requested: "guard", fallback: "none", reason });
    }
    const isSameOwner = known?.limitOwner.inode === limitOwner.inode;
    if (known && !isSameOwner) this.#release(known);
    else if (known && known.requested !== requested) this.#restore(known);
    const mode = this.#applyMode(limitOwner, requested, levelBytes.imminent);

    // Until those for the new limit are armed, the old eventfds also cause a poll.
    const kept = isSameOwner ? known.armed : [];
    const armed = cgroup.machine && kept.length === 0 ? this.#armMachine(cgroup) : kept;
    const eventfds = armed.map(tokenOf);
    const hasChanged = !isUnchanged || known?.settings.mode !== mode;
    const isToArm = policy.poll === undefined && !cgroup.machine &&
      limitOwner.hierarchy.version.notifiesThresholds;
    const settings: GuardSettings = {
      policy: number,
      limit,
      oomTotalBytes,
      canSwap,
      levelBytes,
      mode,
      memoryHigh: mode === "throttle"
        ? this.options.journal.changeOf(limitOwner.dir, "memory.high")
        : undefined,
      eventfds,
      unarmed: isToArm && hasChanged ? { from: levelBytes.warn, hasLevels: true } : undefined,
    };
    const id = known?.id ?? this.#nextId++;
    if (isSameOwner) this.options.send({ type: "update_settings", id, settings });
    else {
      const spec = { id, limitOwner: flatten(limitOwner), scope: flatten(cgroup), ...settings };
      this.options.send({ type: "add", spec });
    }
    const guarded: GuardedCgroup = {
      id,
      cgroup,
      // Saves memory where there are thousands.
      limitOwner: limitOwner.path === cgroup.path ? cgroup : limitOwner,
      isTarget,
      policy,
      requested,
      settings,
      armed,
    };
    this.#byPath.set(cgroup.path, guarded);
    this.#byId.set(id, guarded);
    if (isToArm) {
      this.#track(this.#arm(guarded, usage, hasChanged));
    } else if (hasChanged) this.options.onArmed(guarded);
  }

  /** None where there is no PSI: the machine is polled in any case. */
  #armMachine(cgroup: Cgroup): readonly ArmedEventfd[] {
    try {
      return [armMachinePressure(cgroup.machine!.pressure, this.options.epoll)];
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.options.onFallback(cgroup, fallbackAfter("PSI trigger", "poll", error));
      return [];
    }
  }

  remove(path: string): void {
    const guarded = this.#byPath.get(path);
    if (guarded === undefined) return;
    this.#byPath.delete(path);
    this.#byId.delete(guarded.id);
    this.#removed.set(guarded.id, { guarded, at: performance.now() });
    if (this.#removed.size > MAX_REMOVED_KEPT) {
      this.#removed.delete(this.#removed.keys().next().value!);
    }
    this.options.send({ type: "remove", id: guarded.id });
    this.options.onFallbacksEnd(path);
    this.#release(guarded);
  }

  /** The monitor thread could not open or read it: it is gone, or {@link retry} adds it again. */
  markLost(guarded: GuardedCgroup): void {
    this.remove(guarded.cgroup.path);
    this.#lost.push(guarded);
  }

  get hasLost(): boolean {
    return this.#lost.length > 0;
  }

  /** To be called regularly. */
  forgetRemoved(): void {
    for (const [id, { at }] of this.#removed) {
      if (performance.now() - at < MAX_MS_REMOVED_KEPT) return;
      this.#removed.delete(id);
    }
  }

  retry(): void {
    for (const { cgroup: { hierarchy, path, machine }, isTarget } of this.#lost.splice(0)) {
      const cgroup = openCgroup(hierarchy, path);
      if (cgroup) this.update(machine ? { ...cgroup, machine } : cgroup, isTarget);
    }
  }

  /** Usage is where all notifications are needed. With the thresholds armed, the monitor thread asks again for the rest. */
  armRest(guarded: GuardedCgroup): void {
    if (guarded.promote) guarded.promote();
    else this.#track(this.#armPressure(guarded));
  }

  /** Takes effect for each cgroup with its next {@link update}. */
  reload(next: PolicySet): void {
    const known = new Map(this.#policies.all.map((policy) => [keyOf(policy), policy]));
    // Equal policies stay the same object, so that their cgroups are not armed again.
    const all = next.all.map((policy) => known.get(keyOf(policy)) ?? policy);
    this.#policies = { ...next, all };
    this.options.send({ type: "policies", policies: this.#policies });
  }

  /** Of a limit: other guarded cgroups may depend on it, too. */
  setThrottleLifted({ limitOwner: { dir } }: GuardedCgroup, isLifted: boolean): void {
    if (isLifted) this.#lifted.add(dir);
    else this.#lifted.delete(dir);
  }

  /** In mode `hold-near-limit` the monitor thread enables the OOM killer; memory.high is restored by the caller. */
  leaveToKernel(id: number): void {
    const guarded = this.#byId.get(id);
    if (guarded) this.setThrottleLifted(guarded, false);
    this.options.send({ type: "leave_to_kernel", id });
  }

  get(id: number): GuardedCgroup | undefined {
    return this.#byId.get(id);
  }

  /** Also one that was removed lately: the report of a kill in it may still come. */
  getIncludingRemoved(id: number): GuardedCgroup | undefined {
    return this.#byId.get(id) ?? this.#removed.get(id)?.guarded;
  }

  all(): GuardedCgroup[] {
    return [...this.#byPath.values()];
  }

  /** Resolves when everything that is being armed now is armed. */
  async armed(): Promise<void> {
    await Promise.all(this.#underway);
  }

  close(): void {
    for (const { armed } of this.#byPath.values()) disarm(armed);
    this.#byPath.clear();
    this.#byId.clear();
  }

  #isUnchanged(known: GuardedCgroup, policy: GuardPolicy, found: GuardedLimit): boolean {
    const { limitOwner, limit, oomTotalBytes, canSwap } = found;
    return known.limitOwner.inode === limitOwner.inode && known.policy === policy &&
      known.settings.limit === limit && known.settings.oomTotalBytes === oomTotalBytes &&
      known.settings.canSwap === canSwap &&
      this.isModeInPlace(known);
  }

  /** False where another program has undone the change that the mode makes, as systemd does on daemon-reload. */
  isModeInPlace({ limitOwner: { dir }, settings: { mode } }: GuardedCgroup): boolean {
    return !isChange(mode) || this.#lifted.has(dir) ||
      this.options.journal.isOurs(dir, fileOf(mode));
  }

  /** `notify` where the limit is too small for a margin that throttles in time. */
  #safeMode(cgroup: Cgroup, policy: GuardPolicy, limit: number, mode: Mode): Mode {
    const smallest = minThrottleMargin(navigator.hardwareConcurrency, pageSize());
    if (mode !== "throttle" || marginBytesIn(policy, limit, mode) >= smallest) return mode;
    const reason =
      `the margin of a limit of ${limit} bytes is below ${smallest} bytes, which the ` +
      "CPUs charge ahead";
    this.options.onFallback(cgroup, { requested: mode, fallback: "notify", reason });
    return "notify";
  }

  #applyMode(limitOwner: Cgroup, requested: Mode, imminent: number): Mode {
    this.#lifted.delete(limitOwner.dir);
    const refusal = applyMode(this.options.journal, limitOwner, requested, imminent);
    if (refusal === undefined) return requested;
    if (isThere(limitOwner)) {
      this.options.onFallback(limitOwner, { requested, fallback: "notify", ...refusal });
    }
    return "notify";
  }

  /** Until then the monitor thread polls it. Resolves when the lowest threshold is armed, and all that are needed at `usage`. */
  async #arm(guarded: GuardedCgroup, usage: number, hasChanged: boolean): Promise<void> {
    const { limitOwner, settings, policy } = guarded;
    const kills = killLevel(policy.actions) !== undefined;
    const isCurrent = () => this.#isCurrent(guarded);
    const arming = new CgroupArming(this.#context, limitOwner, settings, kills, isCurrent);
    const headroom = settings.limit - usage;
    const earlier = guarded.armed;
    await this.#queue.add(headroom, true, () => arming.armLowest()).done;
    if (!isCurrent()) return;
    this.#setArmed(guarded, arming, earlier);
    if (hasChanged) this.options.onArmed(guarded);
    const isUrgent = arming.isAboveLowest(usage);
    const { done, promote } = this.#queue.add(headroom, isUrgent, () => arming.armThresholds());
    guarded.promote = promote;
    const rest = done.then(() => {
      guarded.promote = undefined;
      // Otherwise the eventfds belong to the settings that have replaced these, or are disarmed.
      if (!isCurrent()) return;
      this.#setArmed(guarded, arming, []);
      disarm(earlier);
    });
    if (!isUrgent) return void rest.catch(this.options.onError);
    await rest;
    await this.#armPressure(guarded);
  }

  async #armPressure(guarded: GuardedCgroup): Promise<void> {
    const { arming } = guarded;
    await arming?.armPressure();
    if (arming && this.#isCurrent(guarded)) this.#setArmed(guarded, arming, []);
  }

  /** @param others for earlier settings. */
  #setArmed(guarded: GuardedCgroup, arming: CgroupArming, others: readonly ArmedEventfd[]): void {
    const notifications = arming.notifications(others);
    guarded.armed = [...others, ...arming.armed];
    guarded.arming = notifications.unarmed && arming;
    this.options.send({ type: "armed", id: guarded.id, notifications });
  }

  #isCurrent(guarded: GuardedCgroup): boolean {
    return this.#byId.get(guarded.id) === guarded;
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch(this.options.onError).finally(() => this.#underway.delete(tracked));
    this.#underway.add(tracked);
  }

  #release(guarded: GuardedCgroup): void {
    disarm(guarded.armed);
    guarded.armed = [];
    this.#restore(guarded);
  }

  /** Unless another guarded cgroup depends on the same limit. */
  #restore(guarded: GuardedCgroup): void {
    const { dir } = guarded.limitOwner;
    // Without allocating: a thousand others may be removed at the same time.
    for (const other of this.#byPath.values()) {
      if (other !== guarded && other.limitOwner.dir === dir) return;
    }
    this.#lifted.delete(dir);
    this.options.onRestored(this.options.journal.restore(dir));
  }
}

/** The largest page size (arm64): the kernel rounds memory.high down to pages, so a multiple of this is read back unchanged. */
const MAX_PAGE_BYTES = 65536;

/** Whether the mode changes a control file for as long as the cgroup is guarded. */
const isChange = (mode: Mode) => mode === "throttle" || mode === "hold";

const fileOf = (mode: Mode) => mode === "throttle" ? "memory.high" : "memory.oom_control";

/** @param cause the reason without what is particular to the cgroup. */
const refusalOf = (reason: string, cause = reason): Pick<Fallback, "reason" | "cause"> => ({
  reason,
  cause: `mode: ${cause}`,
});

/** Makes the change that `mode` needs from the start. Returns why that, or a later one, cannot be made. */
function applyMode(
  journal: Journal,
  limitOwner: Cgroup,
  mode: Mode,
  imminent: number,
): Pick<Fallback, "reason" | "cause"> | undefined {
  if (mode === "notify") return undefined;
  const { dir, inode, hierarchy: { own } } = limitOwner;
  if (mode !== "throttle" && own !== undefined && isInSubtree(own, limitOwner.path)) {
    return refusalOf("oomkit runs in the cgroup and would be held too");
  }
  const file = fileOf(mode);
  const other = journal.holder(dir, file);
  if (other !== undefined) return refusalOf(`the guard with pid ${other} has changed ${file}`);
  if (mode === "throttle" && !journal.isOurs(dir, file)) {
    const high = readSummary(limitOwner)?.limits.high ?? Infinity;
    if (high <= imminent) {
      const reason = `its memory.high of ${high} throttles it earlier`;
      return refusalOf(reason, "its memory.high throttles it earlier");
    }
  }
  if (!isChange(mode)) {
    const denied = mayWrite(`${dir}/${file}`);
    return denied === undefined
      ? undefined
      : refusalOf(`${dir}/${file}: ${denied}`, `${file}: ${denied}`);
  }
  try {
    const value = mode === "hold"
      ? "1"
      : String(Math.floor(imminent / MAX_PAGE_BYTES) * MAX_PAGE_BYTES);
    const refused = journal.change(dir, inode, file, value);
    if (refused === undefined) return undefined;
    return refusalOf(`${dir}/${file}: ${refused}`, `${file}: ${refused}`);
  } catch (error) {
    // A change that cannot be recorded was not made.
    if (error instanceof OomkitError) return refusalOf(error.message);
    throw error;
  }
}
