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

export const checkHeadroom = ({ left, limit }: Capacity, atLeast: Amount): Verdict =>
  verdictOf(left, limit, atLeast, (measured, requested) => measured >= requested);

export const checkUsage = ({ used, limit }: Capacity, atMost: Amount): Verdict =>
  verdictOf(used, limit, atMost, (measured, requested) => measured <= requested);

function verdictOf(
  bytes: number | undefined,
  limit: number | undefined,
  requested: Amount,
  holds: (measured: number, requested: number) => boolean,
): Verdict {
  if (bytes === undefined) return "unknown";
  if ("bytes" in requested) return holds(bytes, requested.bytes) ? "ok" : "not_ok";
  if (limit === undefined || limit === Infinity || limit === 0) return "unknown";
  return holds(100 * bytes / limit, requested.percent) ? "ok" : "not_ok";
}

/** The verdict of several checks: `not_ok` counts more than `unknown`. */
export function overall(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes("not_ok")) return "not_ok";
  return verdicts.includes("unknown") ? "unknown" : "ok";
}
