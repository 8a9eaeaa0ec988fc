/** What a guard would do, beside what the recording says was done. Pure. */

import type { Replayed, TimedDecision } from "./replay.ts";
import type { Act } from "./replay_ward.ts";

/** Times are milliseconds since the epoch. */
export interface Row {
  readonly cgroup: string;
  readonly act: Act;
  /** Bytes, as it is done now; where it is not, as it was done then. */
  readonly usage: number;
  /** The one that held then. */
  readonly limit: number | null;
  readonly replayed: number | undefined;
  readonly recorded: number | undefined;
}

/** Of the same kind, and no further apart, two are the same one at another time (milliseconds). */
const APART_MS = 60_000;

/** In the order of time; of the same moment in that of the recording. */
export function rowsOf({ cgroups }: Pick<Replayed, "cgroups">): Row[] {
  const rows = cgroups.flatMap(({ path, replayed, recorded = [] }) =>
    pairs(replayed, recorded).map(([now, then]): Row => ({
      cgroup: path,
      act: (now ?? then)!.act,
      usage: (now ?? then)!.usage,
      limit: (now ?? then)!.limit,
      replayed: now?.at,
      recorded: then?.at,
    }))
  );
  return rows.sort((a, b) => timeOf(a) - timeOf(b));
}

export const timeOf = ({ replayed, recorded }: Pick<Row, "replayed" | "recorded">): number =>
  Math.min(replayed ?? Infinity, recorded ?? Infinity);

type Pair = readonly [TimedDecision | undefined, TimedDecision | undefined];

/** The same at the same look first; of what is left what is nearest, unless another of its kind lies between. */
function pairs(replayed: readonly TimedDecision[], recorded: readonly TimedDecision[]): Pair[] {
  const acts = new Set([...replayed, ...recorded].map(({ act }) => act));
  return [...acts].flatMap((act) => {
    const of = (deeds: readonly TimedDecision[]) => deeds.filter((killAction) => killAction.act === act);
    return pairsOfOne(of(replayed), of(recorded));
  });
}

function pairsOfOne(replayed: readonly TimedDecision[], recorded: readonly TimedDecision[]): Pair[] {
  const then = new Map(recorded.map((killAction) => [killAction.at, killAction]));
  const same = replayed.filter(({ at }) => then.has(at));
  const times = new Set(same.map(({ at }) => at));
  const found: Pair[] = same.map((killAction) => [killAction, then.get(killAction.at)]);
  const rest = recorded.filter(({ at }) => !times.has(at));
  for (const killAction of replayed) {
    if (times.has(killAction.at)) continue;
    const first = rest.findIndex(({ at }) => Math.abs(at - killAction.at) <= APART_MS);
    const other = rest[first];
    const isParted = other !== undefined &&
      same.some(({ at }) => liesBetween(at, killAction.at, other.at));
    if (other === undefined || isParted) found.push([killAction, undefined]);
    else {
      found.push([killAction, other]);
      rest.splice(first, 1);
    }
  }
  for (const killAction of rest) found.push([undefined, killAction]);
  return found;
}

const liesBetween = (at: number, one: number, other: number) =>
  at > Math.min(one, other) && at < Math.max(one, other);
