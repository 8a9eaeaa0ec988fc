/** Usage, limits and pressure of all watched or guarded cgroups, for metrics. */

import { readAncestor, readLimitAndUsage, readMachineMemory } from "../cgroup/ancestry.ts";
import { type Cgroup, isThere, parentOf, tryReader } from "../cgroup/cgroup.ts";
import { parentPath } from "../cgroup_path.ts";
import {
  type AncestorLimit,
  effectiveLimit,
  headroom,
  type MachineMemory,
  workingSet,
} from "../policy/limits.ts";
import type { Pressure } from "../snapshot.ts";
import { delay } from "../timing.ts";
import type { CollectOptions, Selection } from "./selection.ts";

/** A cgroup that is watched or guarded. */
export interface MonitoredCgroup {
  readonly cgroup: Cgroup;
  /** Guard only. */
  readonly mode?: string;
  /** Guard only; bytes of the cgroup that owns the guarded limit. */
  readonly imminent?: number;
}

/** Bytes; absent is unknown, `Infinity` no limit. */
export interface Reading {
  readonly path: string;
  readonly usage: number | undefined;
  readonly workingSet: number | undefined;
  readonly limit: number;
  /** By working sets: the kernel drops idle page cache before a limit is hit. */
  readonly headroom: number | undefined;
  /** Of the cgroup limit that is hit first, not of the machine's memory; `Infinity` without one. */
  readonly percentLeft: number;
  readonly pressure: Pressure | undefined;
  readonly imminent: number | undefined;
}

export interface Collection {
  /** Those with the smallest share of their limit left first. */
  readonly readings: readonly Reading[];
  /** How many cgroups are in each mode. */
  readonly byMode: ReadonlyMap<string, number>;
  readonly monitored: number;
  /** Selected and near their limit, but left out of `readings`. */
  readonly omitted: number;
  /** Milliseconds. */
  readonly took: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Other work of this thread is delayed no longer than this. */
const MAX_MS_PER_TURN = 10;
/** The longest paths in use, those of pods under systemd, have about 200 characters; each is in a dozen series. */
const MAX_PATH_LENGTH = 1024;

/** The cgroups above several others, read once in each collection. */
type AncestorsByPath = Map<string, readonly AncestorLimit[]>;

/** Working sets of more cgroups are not read: reading 2,000 takes about 0.1 s. */
const MAX_READINGS = 2000;
const MAX_PERCENT_LEFT_NEAR = 50;

interface MeasuredCgroup {
  readonly monitored: MonitoredCgroup;
  /** The cgroup itself, then its ancestors, nearest first. */
  readonly chain: readonly AncestorLimit[];
  /** By usage, which is cheaper to read; so no more is left by working set. */
  readonly percentLeft: number;
}

/** @param yieldTurn lets other work of this thread run. */
export async function collectAll(
  monitored: Iterable<MonitoredCgroup>,
  { select, max }: CollectOptions,
  yieldTurn: () => Promise<void> = () => delay(0),
): Promise<Collection> {
  const startedAt = performance.now();
  const all = new Map(Iterator.from(monitored).map((each) => [each.cgroup.path, each]));
  let turnEndsAt = startedAt + MAX_MS_PER_TURN;
  const yieldIfDue = async () => {
    if (performance.now() < turnEndsAt) return;
    await yieldTurn();
    turnEndsAt = performance.now() + MAX_MS_PER_TURN;
  };

  const ancestors: AncestorsByPath = new Map();
  const byMode = new Map<string, number>();
  const measured: MeasuredCgroup[] = [];
  let machine: MachineMemory | undefined;
  for (const each of all.values()) {
    const { mode, cgroup } = each;
    if (mode !== undefined) byMode.set(mode, (byMode.get(mode) ?? 0) + 1);
    if (select === "off" || cgroup.path.length > MAX_PATH_LENGTH) continue;
    machine ??= readMachineMemory(cgroup);
    const chain = [readLimitAndUsage(cgroup), ...readAncestors(cgroup, ancestors)];
    const percentLeft = headroom(chain, "usage")?.percent ?? Infinity;
    // A limit outside the visible hierarchy is known only after memory.stat is read.
    const { hidden } = cgroup.hierarchy;
    if (hidden || isSelected(select, percentLeft, chain)) {
      measured.push({ monitored: each, chain, percentLeft });
    }
    await yieldIfDue();
  }
  measured.sort((a, b) =>
    byShareLeft(a.percentLeft, b.percentLeft) || byPath(a.monitored.cgroup, b.monitored.cgroup)
  );
  const readings: Reading[] = [];
  for (const each of measured.slice(0, MAX_READINGS)) {
    const reading = read(each, machine);
    const isKept = reading && isSelected(select, reading.percentLeft, [reading]);
    if (isKept) readings.push(reading);
    await yieldIfDue();
  }
  readings.sort((a, b) => byShareLeft(a.percentLeft, b.percentLeft) || byPath(a, b));
  const isNear = ({ percentLeft }: { percentLeft: number }) => percentLeft < MAX_PERCENT_LEFT_NEAR;
  const omitted = [...readings.slice(max), ...measured.slice(MAX_READINGS)].filter(isNear).length;
  return {
    readings: readings.slice(0, max),
    byMode,
    monitored: all.size,
    omitted,
    took: performance.now() - startedAt,
    at: Date.now(),
  };
}

const byShareLeft = (a: number, b: number): number => a === b ? 0 : a - b;

const byPath = (a: { readonly path: string }, b: { readonly path: string }): number =>
  a.path < b.path ? -1 : 1;

function isSelected(
  select: Selection,
  percentLeft: number,
  chain: readonly { readonly limit?: number | undefined }[],
): boolean {
  switch (select) {
    case "all":
      return true;
    case "limited":
      return chain.some(({ limit = Infinity }) => limit !== Infinity);
    case "near":
      return percentLeft < MAX_PERCENT_LEFT_NEAR;
    case "off":
      return false;
  }
}

function readAncestors(cgroup: Cgroup, known: AncestorsByPath): readonly AncestorLimit[] {
  const { path, hierarchy } = cgroup;
  if (path === hierarchy.root) return [];
  // As OOMHero sees cgroups, each is the root of a mount of its own.
  const key = `${hierarchy.mount} ${parentPath(path)}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const parent = parentOf(cgroup);
  const ancestors = parent ? [readAncestor(parent), ...readAncestors(parent, known)] : [];
  known.set(key, ancestors);
  return ancestors;
}

/** `undefined` when the cgroup is gone, or another one has its path. */
function read(
  { monitored: { cgroup, imminent }, chain }: MeasuredCgroup,
  machine: MachineMemory | undefined,
): Reading | undefined {
  const { version, hidden } = cgroup.hierarchy;
  const readFile = tryReader(cgroup);
  const snapshot = version.snapshot((name) => {
    if (name === "memory.stat") return relevantRows(readFile(name));
    return name === "memory.pressure" ? readFile(name) : undefined;
  });
  if (!isStillThere(cgroup)) return undefined;
  const [own, ...ancestors] = chain as [AncestorLimit, ...AncestorLimit[]];
  const { usage } = own;
  const used = cgroup.machine
    ? usage
    : workingSet(usage === undefined ? snapshot : { ...snapshot, usage });
  const hierarchical = hidden ? snapshot.limits.hierarchical : undefined;
  const bounds = { hierarchical, machine };
  const usedChain = [{ ...own, workingSet: used }, ...ancestors];
  return {
    path: cgroup.path,
    usage,
    workingSet: used,
    limit: effectiveLimit(chain, bounds).bytes,
    headroom: headroom(usedChain, "workingSet", bounds)?.bytes,
    percentLeft: headroom(usedChain, "workingSet", { hierarchical })?.percent ?? Infinity,
    pressure: snapshot.pressure,
    imminent,
  };
}

function isStillThere(cgroup: Cgroup): boolean {
  try {
    return isThere(cgroup);
  } catch {
    // The permission to read it was taken away.
    return false;
  }
}

/** memory.stat has some fifty rows: without this, parsing unused ones would take most of the time of a collection. */
function relevantRows(stat: string | undefined): string | undefined {
  return stat?.match(/^(?:(?:total_)?inactive_file|hierarchical_memory_limit) .*\n/gm)?.join("");
}

/** However often it is asked for, a collection is reused for so long. */
const MIN_MS_BETWEEN_COLLECTIONS = 1000;
/** Collections take at most this part of the time, from some thousand cgroups on. */
const MAX_SHARE_OF_TIME = 1 / 20;

/**
 * Resolves to a recent collection; requests during a collection share its result.
 *
 * @param cgroups those that are monitored now.
 * @param now milliseconds of a monotonic clock.
 */
export function recentCollections(
  cgroups: () => Iterable<MonitoredCgroup>,
  options: CollectOptions,
  now: () => number,
): () => Promise<Collection> {
  let last: Collection | undefined;
  let nextAt = -Infinity;
  let running: Promise<Collection> | undefined;

  const collect = async () => {
    const startedAt = now();
    last = await collectAll(cgroups(), options);
    nextAt = Math.max(
      startedAt + MIN_MS_BETWEEN_COLLECTIONS,
      now() + last.took / MAX_SHARE_OF_TIME,
    );
    return last;
  };

  return () => {
    if (last !== undefined && now() < nextAt) return Promise.resolve(last);
    return running ??= collect().finally(() => running = undefined);
  };
}
