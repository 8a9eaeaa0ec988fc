/** Draws when there is something new, but not more often than eyes can follow. */

export interface FrameLimiter {
  /** Something is new. */
  request(): void;
  stop(): void;
}

export interface FrameLimiterOptions {
  readonly draw: () => void;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
  /** Calls `act` after so many milliseconds, unless what it returns is called before. */
  readonly schedule: (act: () => void, ms: number) => () => void;
}

/** Ten a second. */
export const FRAME_MS = 100;

export function createFrameLimiter(
  { draw, now, schedule: later }: FrameLimiterOptions,
): FrameLimiter {
  let last = -Infinity;
  let cancel: (() => void) | undefined;
  let isStopped = false;
  return {
    request() {
      if (cancel || isStopped) return;
      // Never at once: what comes together is drawn together.
      cancel = later(() => {
        cancel = undefined;
        last = now();
        draw();
      }, Math.max(0, last + FRAME_MS - now()));
    },
    stop() {
      isStopped = true;
      cancel?.();
      cancel = undefined;
    },
  };
}
