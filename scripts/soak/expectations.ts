/** Which process was killed by what, and whether that was right: compares the facts of a soak. Pure. */

import { isInSubtree, overlap } from "../../core/cgroup_path.ts";
import { KILL_ACTIONS } from "../../core/policy/actions.ts";
import { type AllocatorProgram, placeOf } from "./allocators.ts";
import type { KernelKill } from "./kernel_kills.ts";
import { type Program, type ReportedEvent, wasAtWork } from "./program.ts";

export interface Facts {
  readonly allocators: readonly AllocatorProgram[];
  readonly kernelKills: readonly KernelKill[];
  readonly programs: readonly Program[];
  /** The path of the guarded subtree. */
  readonly guarded: string;
  /** Every limit in bytes that a cgroup has had, by path. */
  readonly limits: ReadonlyMap<string, readonly number[]>;
}

export interface DeathCounts {
  /** Kills by the guard; by the kernel in the guarded subtree with and without a running guard; by the kernel outside. */
  won: number;
  lost: number;
  unguarded: number;
  outside: number;
  /** Kills without an event, since the guard was killed at that moment. */
  unreported: number;
}

/** A guard reports when the victim's memory is free, a stopped program when it continues (milliseconds). */
const LATE_MS = 30_000;
/** A guard can be killed between a kill and its event, and its exit is seen late (milliseconds). */
const UNREPORTED_MS = 3000;
/** A process that moved longer ago cannot have been seen in its old cgroup (milliseconds). */
const MOVED_MS = 1000;
const PAGE = 4096;
/** Not SIGSEGV: execve(2) without memory ends in it, without a kill. */
const KILLING: readonly (string | null)[] = ["SIGKILL", "SIGTERM"];

const isKill = (event: ReportedEvent): boolean =>
  event.type === "action" && KILL_ACTIONS.some((action) => action === event.action) &&
  !event.dry_run && ["killed", "survived", "signalled"].includes(event.outcome);

/** A pid can have been reused. */
function allocatorOf(facts: Facts, pid: number, at: number): AllocatorProgram | undefined {
  return facts.allocators.findLast((allocator) =>
    allocator.pid === pid && allocator.started <= at + 50 &&
    (allocator.ended?.at ?? Infinity) >= at - LATE_MS
  );
}

/** @returns a line for each wrong kill by a guard. */
export function wrongKills(facts: Facts): string[] {
  return facts.programs.filter(({ name }) => name === "guard").flatMap((guard) =>
    guard.events.filter(isKill).flatMap((event) => wrongsOf(facts, event))
  );
}

function wrongsOf(facts: Facts, event: ReportedEvent): string[] {
  const { action, cgroup, ts, victim, usage_before, level_bytes, limit } = event;
  const wrongs: [boolean, string][] = [
    [!isInSubtree(cgroup, facts.guarded), "it is not guarded"],
    [!(usage_before >= level_bytes), `usage ${usage_before} is below ${level_bytes}`],
    [!(level_bytes < limit), "the level is at the limit"],
    [!isLimit(facts, cgroup, limit), `${limit} was never a limit there`],
  ];
  const at = Date.parse(ts);
  const allocator = victim === null ? undefined : allocatorOf(facts, victim.pid, at);
  if (allocator !== undefined) {
    const { pid, isProtected, places } = allocator;
    const place = placeOf(allocator);
    const isElsewhere = !isInSubtree(place, cgroup) && at - places.at(-1)!.since > MOVED_MS;
    wrongs.push(
      [isProtected && action === "process", `pid ${pid} is protected`],
      [isElsewhere, `pid ${pid} was in ${place}`],
    );
  } else if (victim !== null) {
    const mayBeForked = isInSubtree(victim.cgroup, facts.guarded) &&
      facts.allocators.some((each) => each.kind === "forks" && isInSubtree(placeOf(each), cgroup));
    const { pid, comm } = victim;
    wrongs.push([!mayBeForked, `pid ${pid} (${comm}) is not a process of this soak`]);
  }
  return wrongs.filter(([isWrong]) => isWrong)
    .map(([, why]) => `guard: ${action} in ${cgroup} at ${ts}: ${why}`);
}

/** The kernel rounds limits to whole pages. */
function isLimit(facts: Facts, path: string, limit: number): boolean {
  for (let above = path; above !== ""; above = above.slice(0, above.lastIndexOf("/"))) {
    const known = facts.limits.get(above)?.some((each) => each - each % PAGE === limit);
    if (known) return true;
  }
  return false;
}

/** Every process that the soak has not killed was killed by the kernel, or by a guard that reports it. */
export function deaths(facts: Facts): { readonly counts: DeathCounts; readonly wrongs: string[] } {
  const counts: DeathCounts = { won: 0, lost: 0, unguarded: 0, outside: 0, unreported: 0 };
  const wrongs: string[] = [];
  const guards = facts.programs.filter(({ name }) => name === "guard");
  const pendingKills = guards.flatMap((guard) => guard.events.filter(isKill));
  for (const allocator of facts.allocators) {
    const { ended, pid } = allocator;
    if (ended === undefined || !KILLING.includes(ended.signal)) continue;
    const byKernel = facts.kernelKills.some((kill) =>
      kill.pid === pid && kill.at >= allocator.started && Math.abs(kill.at - ended.at) < LATE_MS
    );
    const isGuarded = isInSubtree(placeOf(allocator), facts.guarded);
    if (byKernel) {
      if (!isGuarded) counts.outside++;
      else if (guards.some((guard) => wasAtWork(guard, ended.at - 1000, ended.at))) counts.lost++;
      else counts.unguarded++;
      continue;
    }
    if (pendingKills.some((event) => isOf(event, allocator))) {
      counts.won++;
      continue;
    }
    if (allocator.isOurs) continue;
    if (isGuarded && guards.some((guard) => mayHaveKilled(guard, ended.at))) counts.unreported++;
    else {
      wrongs.push(
        `pid ${pid} (${allocator.kind}) in ${placeOf(allocator)} ended by ${ended.signal} at ` +
          `${new Date(ended.at).toISOString()}, and neither the kernel nor a guard reports it; ` +
          `events there: ${eventsNear(facts.programs, placeOf(allocator), ended.at)}`,
      );
    }
  }
  return { counts, wrongs };
}

/** A guard killed before it reported: its main thread may be seconds behind the monitor thread. */
function mayHaveKilled({ armed, ending, events }: Program, at: number): boolean {
  if (ending?.signal !== "SIGKILL" || armed === undefined) return false;
  if (at < armed - UNREPORTED_MS || at > ending.at + UNREPORTED_MS) return false;
  const last = events.reduce((latest, { ts }) => Math.max(latest, Date.parse(ts)), 0);
  return Math.abs(ending.at - at) < UNREPORTED_MS || last < at;
}

/** To find the cause. */
function eventsNear(programs: readonly Program[], path: string, at: number): string {
  const near = programs.flatMap(({ events }) => events).filter(({ cgroup, ts }) =>
    overlap(path, cgroup) && Math.abs(Date.parse(ts) - at) < LATE_MS
  );
  const distance = ({ ts }: ReportedEvent) => Math.abs(Date.parse(ts) - at);
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

function isOf(event: ReportedEvent, { pid, places, started, ended }: AllocatorProgram): boolean {
  const at = Date.parse(event.ts);
  if (at < started - 50 || at > ended!.at + LATE_MS) return false;
  if (event.victim?.pid === pid) return true;
  const { killed_cgroup: container } = event;
  return container !== null && places.some(({ path }) => isInSubtree(path, container)) &&
    Math.abs(at - ended!.at) < LATE_MS;
}

/** A watch that ran meanwhile reports each kernel kill, and no program reports one twice. */
export function unreportedKills(facts: Facts): string[] {
  const ours = facts.kernelKills.filter(({ pid, at }) => allocatorOf(facts, pid, at) !== undefined);
  return facts.programs.flatMap((program) => {
    const events = program.events.filter(({ type }) => type === "oom_kill");
    return ours.flatMap(({ pid, at }) => {
      const near = events.filter(({ victim, ts }) =>
        victim?.pid === pid && Math.abs(Date.parse(ts) - at) < 60_000
      ).length;
      const path = placeOf(allocatorOf(facts, pid, at)!);
      const kill = `${program.name} (pid ${program.pid}): the kernel's kill of ${pid} in ${path}`;
      if (near > 1) {
        return [`${kill} was reported ${near} times`];
      }
      const mustReport = program.name === "watch" && wasAtWork(program, at - 2000, at + 2000);
      const when = new Date(at).toISOString();
      return near === 0 && mustReport
        ? [`${kill} at ${when} was not reported; events there: ${eventsNear([program], path, at)}`]
        : [];
    });
  });
}
