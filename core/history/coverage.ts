/** How completely the logs of a machine show its OOM kills. Pure. */

import type { Gap, PastKill, ReadLog } from "./log_kills.ts";

export interface Boot {
  /** The id of this boot. */
  readonly boot: string | undefined;
  /** Milliseconds since the epoch. */
  readonly bootedAt: number;
  /** OOM kills that the kernel counted since boot; `undefined` before 4.13. */
  readonly counted: bigint | undefined;
  /** Milliseconds since the epoch: the journal is read from here on. */
  readonly since: number | undefined;
}

export interface Coverage {
  readonly gaps: readonly Gap[];
  /** Whether kills since `since`, or of this boot, may be in none of the logs. */
  readonly mayMissKills: boolean;
  /** OOM kills of this boot that the kernel counted and that are in no log. */
  readonly unloggedKills: number;
}

/** Between its first and its last line. */
export const hasEveryLine = ({ gaps }: ReadLog): boolean =>
  gaps.every(({ reason }) => reason !== "cut_lines" && reason !== "lost_lines");

/** @param kills of all logs, each once. */
export function coverageOf(
  logs: readonly ReadLog[],
  kills: readonly PastKill[],
  boot: Boot,
): Coverage {
  const { since, bootedAt } = boot;
  const hasJournal = logs.some(({ kind }) => kind === "journal");
  const unlogged = unloggedKills(logs, kills, boot);
  // The counter can be compared only with all of this boot.
  const isComparable = since === undefined || since <= bootedAt || !hasJournal;
  const unloggedHere = isComparable ? unlogged ?? 0 : 0;
  // One that has every line is enough: another one may have lost some.
  const whole = logs.filter((log) => log.kind !== "file" && hasEveryLine(log));
  const reachesSince = since !== undefined &&
    whole.some(({ from }) => from !== undefined && from <= since);
  const reachesBoot = unlogged === 0 ||
    whole.some(({ kind, gaps }) =>
      kind === "kmsg" && gaps.every(({ reason }) => reason !== "overwritten")
    );
  const gaps: Gap[] = [];
  if (!hasJournal && (since ?? 0) < bootedAt) {
    gaps.push({ reason: "earlier_boots", message: "boots before this one have no log here" });
  }
  if (unloggedHere > 0) {
    gaps.push({
      reason: "not_logged",
      count: unloggedHere,
      message: `the kernel counted ${unloggedHere} more since boot, which are in none of the logs`,
    });
  }
  return { gaps, mayMissKills: !reachesSince && !reachesBoot, unloggedKills: unloggedHere };
}

/** How many more kills the kernel has counted since boot than the logs have; `undefined` where that is not known. */
function unloggedKills(
  logs: readonly ReadLog[],
  kills: readonly PastKill[],
  { boot, bootedAt, counted }: Boot,
): number | undefined {
  if (counted === undefined || boot === undefined) return undefined;
  const isOfThisBoot = (kill: PastKill) =>
    kill.boot === undefined ? (kill.at ?? 0) >= bootedAt : kill.boot === boot;
  const named = kills.filter(isOfThisBoot).length;
  // Both logs have those of a group kill.
  const repeated = logs.filter(({ kind }) => kind !== "file").map(({ repeated }) => repeated);
  return Math.max(0, Number(counted) - named - Math.max(0, ...repeated));
}
