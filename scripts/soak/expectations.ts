/** Who died of what, and whether that was right: all that a soak knows is put side by side here, and nothing is read. */

import { type AllocatorProgram, lives, placeOf } from "./allocators.ts";
import type { KernelKill } from "./kernel_kills.ts";
import { type Program, type Told, wasAtWork } from "./program.ts";

export interface Facts {
  readonly allocators: readonly AllocatorProgram[];
  readonly kernelKills: readonly KernelKill[];
  readonly programs: readonly Program[];
  /** What is guarded lies beneath. */
  readonly guarded: string;
  /** Every limit in bytes that a cgroup has ever had, by path; those above it are asked, too. */
  readonly limits: ReadonlyMap<string, readonly number[]>;
}

export interface Tally {
  /** Killed by the guard; by the kernel in what is guarded while a guard was at work, and while none was; elsewhere. */
  won: number;
  lost: number;
  unguarded: number;
  outside: number;
  /** Nobody told, since the guard was killed as it struck. */
  untold: number;
}

/** A guard's word comes when the victim is dead and its memory free, a program's that was stopped when it goes on. */
const LATE_MS = 30_000;
/** Between a blow and the word of it a guard can be killed; and it is seen to be dead later than it is. */
const UNTOLD_MS = 3000;
/** Who moved away so long ago cannot have been seen in his old place. */
const MOVED_MS = 1000;
const PAGE = 4096;
/** Who finds no memory in the middle of execve(2) dies of SIGSEGV, by himself. */
const KILLING: readonly (string | null)[] = ["SIGKILL", "SIGTERM"];

export const isBlow = (event: Told): boolean =>
  event.type === "action" && (event.action === "process" || event.action === "container") &&
  !event.dry_run && ["killed", "survived", "signalled"].includes(event.outcome);

const within = (path: string, above: string) => path === above || path.startsWith(`${above}/`);

/** One pid can have been several, one after the other. */
function allocatorOf(facts: Facts, pid: number, at: number): AllocatorProgram | undefined {
  return facts.allocators.findLast((allocator) =>
    allocator.pid === pid && allocator.started <= at + 50 &&
    (allocator.ended?.at ?? Infinity) >= at - LATE_MS
  );
}

/** @returns a line for each blow of a guard's that should not have been. */
export function wrongBlows(facts: Facts): string[] {
  return facts.programs.filter(({ name }) => name === "guard").flatMap((guard) =>
    guard.events.filter(isBlow).flatMap((event) => wrongsOf(facts, event))
  );
}

function wrongsOf(facts: Facts, event: Told): string[] {
  const what = `guard: ${event.action} in ${event.cgroup} at ${event.ts}`;
  const at = Date.parse(event.ts);
  const wrongs: string[] = [];
  if (!within(event.cgroup, facts.guarded)) wrongs.push(`${what}: it is not guarded`);
  if (!(event.usage_before >= event.level_bytes)) {
    wrongs.push(`${what}: usage ${event.usage_before} is below ${event.level_bytes}`);
  }
  if (!(event.level_bytes < event.limit)) wrongs.push(`${what}: the threshold is at the limit`);
  if (!isLimit(facts, event.cgroup, event.limit)) {
    wrongs.push(`${what}: ${event.limit} was never a limit there`);
  }
  if (event.victim === null) return wrongs;
  const allocator = allocatorOf(facts, event.victim.pid, at);
  if (allocator === undefined) {
    const mayBeForked = facts.allocators.some((each) =>
      each.kind === "forks" && within(placeOf(each), event.cgroup)
    );
    if (!(mayBeForked && within(event.victim.cgroup, facts.guarded))) {
      wrongs.push(`${what}: pid ${event.victim.pid} (${event.victim.comm}) is none of ours`);
    }
    return wrongs;
  }
  if (allocator.isProtected && event.action === "process") {
    wrongs.push(`${what}: pid ${allocator.pid} is protected`);
  }
  const since = allocator.places.at(-1)!.since;
  if (!within(placeOf(allocator), event.cgroup) && at - since > MOVED_MS) {
    wrongs.push(`${what}: pid ${allocator.pid} was in ${placeOf(allocator)}`);
  }
  return wrongs;
}

/** The kernel counts limits in whole pages. */
function isLimit(facts: Facts, path: string, limit: number): boolean {
  for (let above = path; above !== ""; above = above.slice(0, above.lastIndexOf("/"))) {
    const known = facts.limits.get(above)?.some((each) => each - each % PAGE === limit);
    if (known) return true;
  }
  return false;
}

/** Every process that was ended by none of ours was ended by the kernel or by a guard that says so. */
export function deaths(facts: Facts): { readonly tally: Tally; readonly wrongs: string[] } {
  const tally: Tally = { won: 0, lost: 0, unguarded: 0, outside: 0, untold: 0 };
  const wrongs: string[] = [];
  const guards = facts.programs.filter(({ name }) => name === "guard");
  const pendingKills = guards.flatMap((guard) => guard.events.filter(isBlow));
  for (const allocator of facts.allocators) {
    const { ended, pid } = allocator;
    if (ended === undefined || !KILLING.includes(ended.signal)) continue;
    const byKernel = facts.kernelKills.some((kill) =>
      kill.pid === pid && kill.at >= allocator.started && Math.abs(kill.at - ended.at) < LATE_MS
    );
    const isGuarded = within(placeOf(allocator), facts.guarded);
    if (byKernel) {
      if (!isGuarded) tally.outside++;
      else if (guards.some((guard) => wasAtWork(guard, ended.at - 1000, ended.at))) tally.lost++;
      else tally.unguarded++;
      continue;
    }
    if (pendingKills.some((event) => isOf(event, allocator))) {
      tally.won++;
      continue;
    }
    if (allocator.isOurs) continue;
    if (isGuarded && guards.some((guard) => mayHaveStruck(guard, ended.at))) tally.untold++;
    else {
      wrongs.push(
        `pid ${pid} (${allocator.kind}) in ${placeOf(allocator)} ended by ${ended.signal} at ` +
          `${new Date(ended.at).toISOString()}, and neither the kernel nor a guard says why; ` +
          `there: ${toldNear(facts.programs, placeOf(allocator), ended.at)}`,
      );
    }
  }
  return { tally, wrongs };
}

/** One that was killed before it had told what it did by then: the thread that tells may be seconds behind the one that acts. */
function mayHaveStruck({ armed, ending, events }: Program, at: number): boolean {
  if (ending?.signal !== "SIGKILL" || armed === undefined) return false;
  if (at < armed - UNTOLD_MS || at > ending.at + UNTOLD_MS) return false;
  const last = events.reduce((latest, { ts }) => Math.max(latest, Date.parse(ts)), 0);
  return Math.abs(ending.at - at) < UNTOLD_MS || last < at;
}

/** For whoever looks for the fault. */
function toldNear(programs: readonly Program[], path: string, at: number): string {
  const near = programs.flatMap(({ events }) => events).filter(({ cgroup, ts }) =>
    (within(path, cgroup) || within(cgroup, path)) && Math.abs(Date.parse(ts) - at) < LATE_MS
  );
  const distance = ({ ts }: Told) => Math.abs(Date.parse(ts) - at);
  const events = near.sort((one, other) => distance(one) - distance(other)).slice(0, 12).map((
    event,
  ) =>
    [event.ts, event.type, event.action, event.outcome, event.victim?.pid, event.killed_cgroup]
      .filter((each) => each !== undefined && each !== null).join(" ")
  );
  const time = (ms: number | undefined) => ms && new Date(ms).toISOString().slice(11);
  const lives = programs.map(({ name, pid, armed, ending, ended, stops }) =>
    `${name} ${pid} ${time(armed)} to ${ending?.signal} ${time(ending?.at)} ${
      time(ended?.at)
    }, stopped ${stops.map(({ from, to }) => `${time(from)}–${time(to)}`).join(" ")}`
  );
  return [...events, ...lives].join("; ");
}

function isOf(event: Told, { pid, places, started, ended }: AllocatorProgram): boolean {
  const at = Date.parse(event.ts);
  if (at < started - 50 || at > ended!.at + LATE_MS) return false;
  if (event.victim?.pid === pid) return true;
  const { killed_cgroup: container } = event;
  return container !== null && places.some(({ path }) => within(path, container)) &&
    Math.abs(at - ended!.at) < LATE_MS;
}

/** Each kill of the kernel's is told by a watch that was there all the while, and by nobody twice. */
export function untoldKills(facts: Facts): string[] {
  const ours = facts.kernelKills.filter(({ pid, at }) => allocatorOf(facts, pid, at) !== undefined);
  return facts.programs.flatMap((program) => {
    const events = program.events.filter(({ type }) => type === "oom_kill");
    return ours.flatMap(({ pid, at }) => {
      const near = events.filter(({ victim, ts }) =>
        victim?.pid === pid && Math.abs(Date.parse(ts) - at) < 60_000
      ).length;
      const path = placeOf(allocatorOf(facts, pid, at)!);
      const who = `${program.name} (pid ${program.pid}): the kernel's kill of ${pid} in ${path}`;
      if (near > 1) {
        return [`${who} was told ${near} times`];
      }
      const mustTell = program.name === "watch" && wasAtWork(program, at - 2000, at + 2000);
      const when = new Date(at).toISOString();
      return near === 0 && mustTell
        ? [`${who} at ${when} was not told; there: ${toldNear([program], path, at)}`]
        : [];
    });
  });
}

/** Those who are stopped although the soak has not stopped them. */
export function stillLiving(facts: Facts): readonly AllocatorProgram[] {
  return facts.allocators.filter(lives);
}
