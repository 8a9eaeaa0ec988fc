/** Whether it works, and why not: what /healthz and /readyz answer. Pure. */

export type Health = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The sentry turns once a second at least; a machine that swaps may let it stand for a few (milliseconds). */
const LONGEST_SILENCE_MS = 10_000;

/** @param silence milliseconds since the sentry was last seen to turn. */
export function heartbeatHealth(heartbeatAge: number): Health {
  if (heartbeatAge <= LONGEST_SILENCE_MS) return { ok: true };
  return { ok: false, why: `the sentry has not turned for ${Math.round(heartbeatAge / 1000)} s` };
}
