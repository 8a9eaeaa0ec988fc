/** One round of reads over all cgroups that are followed: what each uses, and how near it is to a limit. */

import { readLimitAndUsage } from "../cgroup/ancestry.ts";
import { type Cgroup, isThere, parentOf, tryReader } from "../cgroup/cgroup.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { type AncestorLimit, effectiveLimit, headroom, workingSet } from "../policy/limits.ts";
import type { Pressure } from "../snapshot.ts";

/** A cgroup that is watched or guarded. */
export interface Followed {
  readonly cgroup: Cgroup;
  /** Of a guard. */
  readonly mode?: string;
  /** Of a guard; bytes of the cgroup whose limit is guarded. */
  readonly threshold?: number;
}

/** Bytes; absent is not known, `Infinity` no limit. */
export interface Reading {
  readonly path: string;
  readonly usage: number | undefined;
  readonly workingSet: number | undefined;
  readonly limit: number;
  readonly headroom: number | undefined;
  readonly pressure: Pressure | undefined;
  readonly threshold: number | undefined;
}

export interface Collection {
  /** Least headroom first. */
  readonly readings: readonly Reading[];
  /** Of all that are followed. */
  readonly byMode: ReadonlyMap<string, number>;
  readonly followed: number;
  /** Followed, there, and left out of `readings`. */
  readonly omitted: number;
  /** Milliseconds. */
  readonly took: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Others have their turn after so many milliseconds. */
const MAX_MS_PER_TURN = 10;
/** The longest paths in use, those of pods under systemd, have some 200 characters; each is told in a dozen series. */
const LONGEST_PATH = 1024;

/** What one round learns of cgroups that are above several others. */
type Known = Map<string, readonly AncestorLimit[]>;

interface UsageSample {
  readonly each: Followed;
  readonly chain: readonly AncestorLimit[];
  readonly room: number;
}

/**
 * @param most readings; beyond it those with most headroom are read only as far as is needed to know that.
 * @param rest lets others have their turn.
 */
export async function collectAll(
  followed: Iterable<Followed>,
  most: number,
  rest: () => Promise<void> = nextTurn,
): Promise<Collection> {
  const started = performance.now();
  const all = new Map([...followed].map((each) => [each.cgroup.path, each]));
  let sliceEnd = started + MAX_MS_PER_TURN;
  const breathe = async () => {
    if (performance.now() < sliceEnd) return;
    await rest();
    sliceEnd = performance.now() + MAX_MS_PER_TURN;
  };

  const known: Known = new Map();
  const byMode = new Map<string, number>();
  let omitted = 0;
  const samples: UsageSample[] = [];
  for (const each of all.values()) {
    const { mode, cgroup } = each;
    if (mode !== undefined) byMode.set(mode, (byMode.get(mode) ?? 0) + 1);
    if (cgroup.path.length > LONGEST_PATH) omitted += 1;
    else samples.push(lookAt(each, known));
    await breathe();
  }
  samples.sort((a, b) => a.room - b.room || (a.each.cgroup.path < b.each.cgroup.path ? -1 : 1));
  const readings: Reading[] = [];
  let gone = 0;
  for (const look of samples) {
    if (readings.length >= most) break;
    const reading = read(look);
    if (reading) readings.push(reading);
    else gone += 1;
    await breathe();
  }
  return {
    readings,
    byMode,
    followed: all.size,
    omitted: omitted + samples.length - readings.length - gone,
    took: performance.now() - started,
    at: Date.now(),
  };
}

function lookAt(each: Followed, known: Known): UsageSample {
  const { cgroup } = each;
  const chain = [readLimitAndUsage(cgroup), ...linksAbove(cgroup, known)];
  return { each, chain, room: headroom(chain)?.bytes ?? Infinity };
}

/** `undefined` when it is gone, or another has its name. */
function read({ each: { cgroup, threshold }, chain }: UsageSample): Reading | undefined {
  const { version } = cgroup.hierarchy;
  const peek = tryReader(cgroup);
  const part = version.snapshot((name) => {
    if (name === "memory.stat") return relevantRows(peek(name));
    return name === "memory.pressure" ? peek(name) : undefined;
  });
  if (!isStillThere(cgroup)) return undefined;
  const [{ usage }] = chain as [AncestorLimit];
  const hierarchical = cgroup.hierarchy.hidden ? part.hierarchicalLimit : undefined;
  return {
    path: cgroup.path,
    usage,
    workingSet: workingSet(usage === undefined ? part : { ...part, usage }),
    limit: effectiveLimit(chain, hierarchical).bytes,
    headroom: headroom(chain, "usage", hierarchical)?.bytes,
    pressure: part.pressure,
    threshold,
  };
}

function isStillThere(cgroup: Cgroup): boolean {
  try {
    return isThere(cgroup);
  } catch {
    // It may not be looked at any more.
    return false;
  }
}

/** memory.stat has some fifty rows, and a round would spend most of its time with those that nobody asks for. */
function relevantRows(stat: string | undefined): string | undefined {
  const rows = stat?.match(/^(?:(?:total_)?inactive_file|hierarchical_memory_limit) .*\n/gm);
  return rows?.join("");
}

function linksAbove(cgroup: Cgroup, known: Known): readonly AncestorLimit[] {
  if (cgroup.path === cgroup.hierarchy.root) return [];
  const key = keyOf(cgroup.hierarchy, cgroup.path.slice(0, cgroup.path.lastIndexOf("/")) || "/");
  const before = known.get(key);
  if (before !== undefined) return before;
  const parent = parentOf(cgroup);
  const above = parent === undefined
    ? []
    : [readLimitAndUsage(parent), ...linksAbove(parent, known)];
  known.set(key, above);
  return above;
}

/** As OOMHero sees them, each cgroup is the root of a mount of its own. */
const keyOf = ({ mount }: Hierarchy, path: string) => `${mount} ${path}`;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/* The last round of reads, and a new one no sooner than it is worth its cost. */

export interface CollectOptions {
  /** Who is followed now. */
  cgroups(): Iterable<Followed>;
  readonly most: number;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

/** How old a round may be, however many ask (milliseconds). */
const FRESH_SELECTION_MS = 1000;
/** Rounds take at most this part of the time, from some thousand cgroups on. */
const SHARE = 1 / 20;

/** Resolves to a round that is fresh; all that ask meanwhile get the same one. */
export function createCollectorLoop(
  { cgroups, most, now }: CollectOptions,
): () => Promise<Collection> {
  let last: Collection | undefined;
  let dueAt = -Infinity;
  let underway: Promise<Collection> | undefined;

  const sweep = async () => {
    const begun = now();
    last = await collectAll(cgroups(), most);
    dueAt = Math.max(begun + FRESH_SELECTION_MS, now() + last.took / SHARE);
    return last;
  };

  return () => {
    if (last !== undefined && now() < dueAt) return Promise.resolve(last);
    underway ??= sweep().finally(() => underway = undefined);
    return underway;
  };
}
