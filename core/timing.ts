/** Waiting: the one place that combines promises with timers. */

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** The result of `work`, or of `onLate` when it has not come within `ms` milliseconds. Leaves no timer behind. */
export async function withDeadline<T, L>(
  ms: number,
  work: Promise<T>,
  onLate: () => L,
): Promise<T | L> {
  const late = Promise.withResolvers<L>();
  const timer = setTimeout(() => late.resolve(onLate()), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
