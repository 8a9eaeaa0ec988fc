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
  verdictOf(left, shareOf(left, limit, 0), atLeast, (measured, requested) => measured >= requested);

export const checkUsage = ({ used, limit }: Capacity, atMost: Amount): Verdict =>
  verdictOf(
    used,
    shareOf(used, limit, 100),
    atMost,
    (measured, requested) => measured <= requested,
  );

/** Percent; `undefined` without a limit. @param ofNothing of a limit of 0, which is always full. */
export function shareOf(
  bytes: number | undefined,
  limit: number | undefined,
  ofNothing: number,
): number | undefined {
  if (bytes === undefined || limit === undefined || limit === Infinity) return undefined;
  return limit === 0 ? ofNothing : 100 * bytes / limit;
}

function verdictOf(
  bytes: number | undefined,
  percent: number | undefined,
  requested: Amount,
  holds: (measured: number, requested: number) => boolean,
): Verdict {
  const measured = "bytes" in requested ? bytes : percent;
  if (measured === undefined) return "unknown";
  return holds(measured, "bytes" in requested ? requested.bytes : requested.percent)
    ? "ok"
    : "not_ok";
}

/** The verdict of several checks: `not_ok` counts more than `unknown`. */
export function overall(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes("not_ok")) return "not_ok";
  return verdicts.includes("unknown") ? "unknown" : "ok";
}
