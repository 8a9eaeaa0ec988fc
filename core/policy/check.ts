/** Whether a cgroup has enough headroom, for a node check or a CI job. Pure. */

/** `unknown`: what it depends on could not be read. */
export type Verdict = "ok" | "not_ok" | "unknown";

export type Amount = { readonly bytes: number } | { readonly percent: number };

/** What is in use and what is left of the effective limit; bytes. */
export interface Capacity {
  readonly used?: number | undefined;
  readonly left?: number | undefined;
  /** `Infinity` when there is none. */
  readonly limit?: number | undefined;
}

export function checkHeadroom(capacity: Capacity, atLeast: Amount): Verdict {
  return compare(
    measure(capacity.left, capacity.limit, atLeast),
    (left, requested) => left >= requested,
  );
}

export function checkUsage(capacity: Capacity, atMost: Amount): Verdict {
  return compare(
    measure(capacity.used, capacity.limit, atMost),
    (used, requested) => used <= requested,
  );
}

/** The measured and the requested amount in the same unit; `undefined` when the limit for a percentage is missing. */
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

/** The verdict of several checks: `not_ok` counts more than `unknown`. */
export function overall(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes("not_ok")) return "not_ok";
  return verdicts.includes("unknown") ? "unknown" : "ok";
}
