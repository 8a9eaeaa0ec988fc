/** How long to wait before the next try, and the waiting. */

/** After the first failure (milliseconds); doubled with each, up to the longest. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

/**
 * @param failures in a row.
 * @param random at least 0, less than 1: jitter, so that a thousand nodes do not all come back at once.
 * @param asked milliseconds that the other side asked for.
 */
export function backoff(failures: number, random: number, asked = 0): number {
  const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 10));
  return Math.min(LONGEST_MS, Math.max(asked, pause * (0.5 + random / 2)));
}

/** Resolves after so many milliseconds, or once `ending` is aborted. */
export async function pause(ms: number, ending: AbortSignal): Promise<void> {
  if (ending.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => resolve();
  ending.addEventListener("abort", stop);
  await promise;
  clearTimeout(timer);
  ending.removeEventListener("abort", stop);
}
