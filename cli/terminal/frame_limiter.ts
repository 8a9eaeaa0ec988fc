/** Limits how often a changing screen is drawn. */

export interface FrameLimiter {
  /** Asks for a frame: something has changed. */
  request(): void;
  stop(): void;
}

export interface FrameLimiterOptions {
  readonly draw: () => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Calls `act` after `ms` milliseconds. Returns a function that cancels the call. */
  readonly schedule: (act: () => void, ms: number) => () => void;
}

/** Ten frames a second: faster changes cannot be read. */
export const MIN_MS_BETWEEN_FRAMES = 100;

export function createFrameLimiter({ draw, now, schedule }: FrameLimiterOptions): FrameLimiter {
  let last = -Infinity;
  let cancel: (() => void) | undefined;
  let isStopped = false;
  return {
    request() {
      if (cancel || isStopped) return;
      // Always scheduled, so that changes that arrive together are drawn in one frame.
      cancel = schedule(() => {
        cancel = undefined;
        last = now();
        draw();
      }, Math.max(0, last + MIN_MS_BETWEEN_FRAMES - now()));
    },
    stop() {
      isStopped = true;
      cancel?.();
      cancel = undefined;
    },
  };
}
