/** No more than so many in a second: a bucket that fills up again. */

import { pause } from "../report/backoff.ts";

export interface Pace {
  /** Resolves when the next one may go, or once `ending` is aborted. */
  wait(ending: AbortSignal): Promise<void>;
}

/** @param burst that may go at once after a quiet time. */
export function openPace(burst: number, perSecond: number, now = () => performance.now()): Pace {
  let left = burst;
  let at = now();
  return {
    async wait(ending) {
      const time = now();
      left = Math.min(burst, left + (time - at) / 1000 * perSecond) - 1;
      at = time;
      if (left < 0) await pause(-left / perSecond * 1000, ending);
    },
  };
}
