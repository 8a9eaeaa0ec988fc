/** Whether a cgroup has room enough: what a node check or a CI job asks. Pure. */

/** "unknown" is an answer of its own: it could not be told. */
export type Verdict = "ok" | "not_ok" | "unknown";

export type Amount = { readonly bytes: number } | { readonly percent: number };

/** What is in use and what is left, of whichever limit counts; bytes. */
export interface Capacity {
  readonly used?: number | undefined;
  readonly left?: number | undefined;
  /** `Infinity` when there is none. */
  readonly limit?: number | undefined;
}

export function checkHeadroom(room: Capacity, atLeast: Amount): Verdict {
  return compare(measure(room.left, room.limit, atLeast), (left, requested) => left >= requested);
}

export function checkUsage(room: Capacity, atMost: Amount): Verdict {
  return compare(measure(room.used, room.limit, atMost), (used, requested) => used <= requested);
}

/** The measured and the wanted amount in the same unit; `undefined` where there is nothing to take a percentage of. */
function measure(
  bytes: number | undefined,
  limit: number | undefined,
  requested: Amount,
): readonly [number, number] | undefined {
  if (bytes === undefined) return undefined;
  if ("bytes" in requested) return [bytes, requested.bytes];
  if (limit === undefined || limit === Infinity || limit === 0) return undefined;
  return [100 * bytes / limit, requested.percent];
}

function compare(
  pair: readonly [number, number] | undefined,
  holds: (measured: number, requested: number) => boolean,
): Verdict {
  if (pair === undefined) return "unknown";
  return holds(...pair) ? "ok" : "not_ok";
}

/** Of several findings: one that is not fine counts more than one that could not be told. */
export function overall(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes("not_ok")) return "not_ok";
  return verdicts.includes("unknown") ? "unknown" : "ok";
}
