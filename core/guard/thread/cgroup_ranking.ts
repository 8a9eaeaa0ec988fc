/** Reads the figures that cgroups are ranked by as victims. */

import {
  accessibleChildrenOf,
  type Cgroup,
  tryReadControl,
  tryReader,
  walkCharged,
} from "../../cgroup/cgroup.ts";
import { readSwapTotal } from "../../cgroup/machine.ts";
import { ownAnonymousBytes } from "../../cgroup/processes.ts";
import { parentPath } from "../../cgroup_path.ts";
import { omitUndefined } from "../../omit_undefined.ts";
import { parseReclaimStat, parseSize } from "../../parse/cgroupfs.ts";
import {
  type CgroupFigures,
  type CgroupOrder,
  type CgroupRank,
  rankCgroups,
} from "../../policy/victim_order.ts";
import type { VictimPreferences } from "../../policy/victims.ts";
import { GrowthWindow } from "./growth_window.ts";

/** What is counted between two readings has to add up: systemd-oomd, MEM_PRESSURE_INTERVAL_USEC. */
const MIN_MS_BETWEEN_READINGS = 1000;
/** Growth is counted over a minute, and a fast allocator fills a machine in less than a second. */
const MIN_MS_BETWEEN_READINGS_OF_GROWTH = 100;
/** A cgroup takes about 0.3 ms to read, and there may be thousands. */
const MAX_SHARE_OF_TIME = 1 / 100;
/** Below the warn level, where the guard costs what it costs at rest. */
const MAX_SHARE_AT_REST = 1 / 1000;
/** Milliseconds of a reading after which the monitor thread looks at its other cgroups first. */
const MAX_MS_AT_ONCE = 10;

interface ScannedPages {
  /** Milliseconds. */
  readonly at: number;
  /** Since the cgroup was created, by path. */
  readonly pages: ReadonlyMap<string, number>;
}

export type CgroupRanks = ReadonlyMap<string, CgroupRank>;

export class CgroupRanking {
  #ranks: CgroupRanks | undefined;
  #rankedAt = -Infinity;
  #figures: ReadonlyMap<string, ReadFigures> = new Map();
  #reading: Reading | undefined;
  /** At the last reading, and at the one that figures are compared with; none at the first. */
  #scanned: ScannedPages | undefined;
  #scannedBefore: ScannedPages | undefined;
  readonly #growth = new GrowthWindow();
  /** When there may be another reading (milliseconds), except for the first one above the warn level. */
  #dueAt = -Infinity;
  #baselineDueAt = -Infinity;
  #hasRank = false;

  /** @param root the guarded cgroup, of which those below are ranked. @param maxMsAtOnce of a reading; at least a cgroup is read. */
  constructor(
    private readonly root: Cgroup,
    private readonly order: CgroupOrder,
    private readonly maxMsAtOnce = MAX_MS_AT_ONCE,
  ) {}

  /** A reading goes on at the next call. */
  get isReading(): boolean {
    return this.#reading !== undefined;
  }

  /** Below the warn level: growth and scanned pages are counted from a reading there. */
  keepBaseline(now: number): void {
    if (this.order === "swap") return;
    const isDue = this.#growth.isDue(now) && now >= this.#baselineDueAt;
    if (isDue || this.#reading) this.#read(now);
    this.#hasRank = false;
  }

  /** By path, to select victims by. Growth is that of now, the others are of the last reading that is complete. */
  ranks(now: number): CgroupRanks {
    this.keepUpToDate(now);
    while (this.#ranks === undefined) this.#read(now);
    if (this.order === "growth" && now - this.#rankedAt >= MIN_MS_BETWEEN_READINGS_OF_GROWTH) {
      const steps = readFigures(this.root, this.order, this.#figures);
      let step = steps.next();
      while (!step.done) step = steps.next();
      this.#rank(now, step.value);
    }
    return this.#ranks;
  }

  /** Reads again if it is time to, or reads on. @returns whether a reading is complete that was not. */
  keepUpToDate(now: number): boolean {
    if (now < this.#dueAt && this.#hasRank && !this.#reading) return false;
    this.#hasRank = true;
    return this.#read(now);
  }

  /** For a while. @returns whether that was all. */
  #read(now: number): boolean {
    const { order, root } = this;
    const reading = this.#reading ??= { at: now, took: 0, steps: readFigures(root, order) };
    const beganAt = performance.now();
    let step = reading.steps.next();
    while (!step.done && performance.now() - beganAt < this.maxMsAtOnce) {
      step = reading.steps.next();
    }
    reading.took += performance.now() - beganAt;
    if (!step.done) return false;
    this.#reading = undefined;
    this.#rank(reading.at, step.value);
    const least = order === "growth" ? MIN_MS_BETWEEN_READINGS_OF_GROWTH : MIN_MS_BETWEEN_READINGS;
    this.#dueAt = reading.at + Math.max(least, reading.took / MAX_SHARE_OF_TIME);
    this.#baselineDueAt = reading.at + reading.took / MAX_SHARE_AT_REST;
    return true;
  }

  #rank(now: number, { figures, memcgOf }: Figures): void {
    const { order, root } = this;
    this.#rankedAt = now;
    this.#figures = figures;
    const last = this.#scanned;
    if (last && now - last.at >= MIN_MS_BETWEEN_READINGS) this.#scannedBefore = last;
    const grown = new Map([...figures].map(([path, each]) => [path, this.#sinceLast(path, each)]));
    const pages = new Map([...figures].map(([path, { pgscan = 0 }]) => [path, pgscan]));
    this.#scanned = { at: now, pages };
    this.#growth.add(now, new Map([...figures].map(([path, { held }]) => [path, held])));
    const ranked = rankCgroups(order, grown, readSwapTotal(root.machine?.meminfo) ?? 0);
    const all = [...memcgOf].flatMap(([path, memcg]) => {
      const rank = ranked.get(memcg);
      return rank === undefined ? [] : [[path, rank] as const];
    });
    this.#ranks = new Map(all);
  }

  #sinceLast(path: string, { held, isGroup: _, ...figures }: ReadFigures): CgroupFigures {
    const { pgscan } = figures;
    const before = this.#scannedBefore?.pages.get(path) ?? 0;
    return omitUndefined({
      ...figures,
      growth: this.#growth.of(path, held),
      // Less than before is another cgroup of this name.
      pgscan: pgscan === undefined || pgscan < before ? pgscan : pgscan - before,
    });
  }
}

/**
 * `undefined` for the kernel's order. That also applies where the limit is an ancestor's: there the kernel's victim counts, which may
 * be outside of the guarded cgroup.
 */
export function rankingOf(
  { cgroupOrder }: VictimPreferences,
  scope: Cgroup,
  limitOwner: Cgroup,
): CgroupRanking | undefined {
  if (cgroupOrder === undefined || scope.path !== limitOwner.path) return undefined;
  const ranking = new CgroupRanking(scope, cgroupOrder);
  ranking.keepBaseline(performance.now());
  return ranking;
}

interface ReadFigures extends Omit<CgroupFigures, "growth"> {
  /** Bytes of memory without page cache, and of swap; without that of this guard. */
  readonly held: number;
  /** Has memory.oom.group. */
  readonly isGroup: boolean;
}

interface Reading {
  /** When it began (milliseconds). */
  readonly at: number;
  /** Milliseconds of the monitor thread. */
  took: number;
  readonly steps: Generator<void, Figures>;
}

interface Figures {
  /** Of cgroups without others below, and of those with memory.oom.group. */
  readonly figures: ReadonlyMap<string, ReadFigures>;
  /** By path, the cgroup that its processes are charged to; for those below a memory.oom.group the one that has it. */
  readonly memcgOf: ReadonlyMap<string, string>;
}

/**
 * Yields after each cgroup.
 *
 * @param before of a reading before: they stand where usage has hardly changed: 500 cgroups take 20 ms instead of 45 (files of a tree).
 */
function* readFigures(
  root: Cgroup,
  order: CgroupOrder,
  before: ReadonlyMap<string, ReadFigures> = new Map(),
): Generator<void, Figures> {
  const figures = new Map<string, ReadFigures>();
  const memcgOf = new Map<string, string>();
  const groups = new Set<string>();
  for (const cgroup of walkCharged(root, accessibleChildrenOf)) {
    const parent = cgroup === root ? undefined : memcgOf.get(parentPath(cgroup.path));
    const own = parent !== undefined && groups.has(parent)
      ? undefined
      : ifUnchanged(cgroup, before.get(cgroup.path)) ?? figuresOf(cgroup, order);
    yield;
    if (own === undefined) {
      // Without a controller of its own.
      if (parent !== undefined) memcgOf.set(cgroup.path, parent);
      continue;
    }
    if (parent !== undefined) figures.delete(parent);
    figures.set(cgroup.path, own);
    memcgOf.set(cgroup.path, cgroup.path);
    if (own.isGroup && cgroup !== root) groups.add(cgroup.path);
  }
  return { figures, memcgOf };
}

/** Bytes of usage. */
const HARDLY = 1024 * 1024;

function ifUnchanged(
  cgroup: Cgroup,
  figures: ReadFigures | undefined,
): ReadFigures | undefined {
  if (figures?.usage === undefined) return undefined;
  const usage = parseSize(tryReadControl(cgroup, cgroup.hierarchy.version.usageFile)) ?? Infinity;
  return Math.abs(usage - figures.usage) < HARDLY ? figures : undefined;
}

/** Of this guard, which grows while it reads. */
const ownBytesIn = ({ path, hierarchy: { own, kernel } }: Cgroup): number =>
  kernel && path === own ? ownAnonymousBytes() : 0;

/** `undefined` without a memory controller. */
function figuresOf(cgroup: Cgroup, order: CgroupOrder): ReadFigures | undefined {
  const read = tryReader(cgroup);
  const { version } = cgroup.hierarchy;
  const isRead = (name: string) => FILES[order] === name || name === version.usageFile;
  const stat = read("memory.stat");
  if (stat === undefined) return undefined;
  const { stats, usage, pressure } = version.snapshot((name) =>
    name === "memory.stat" ? stat : isRead(name) ? read(name) : undefined
  );
  const { reclaimable = 0 } = parseReclaimStat(stat);
  return omitUndefined({
    held: Math.max(0, (usage ?? 0) - reclaimable - ownBytesIn(cgroup)) + (stats.swap ?? 0),
    isGroup: tryReadControl(cgroup, "memory.oom.group")?.trim() === "1",
    usage,
    swap: stats.swap,
    pressure: pressure?.full?.avg10,
    pgscan: pgscanIn(stat),
  });
}

/** Besides memory.stat and usage; of v2. */
const FILES: Readonly<Record<CgroupOrder, string | undefined>> = {
  pgscan: undefined,
  pressure: "memory.pressure",
  swap: "memory.swap.current",
  growth: "memory.swap.current",
};

/** Absent on v1. */
function pgscanIn(stat: string): number | undefined {
  const [, count] = /^pgscan (\d+)$/m.exec(stat) ?? [];
  return count === undefined ? undefined : Number(count);
}
