/** Who is told of events. A reporter takes them without waiting, after the deed; what it does with them is its own affair. */

import type { OomkitEvent } from "../events/event.ts";

export interface Receiver {
  /** For talk and metrics: `webhook`, `exec`, `kubernetes`, `log`. */
  readonly name: string;
  /** @param stat memory.stat as it was when it was decided; empty where nothing was. */
  report(event: OomkitEvent, stat: string): void;
  counts(): ReceiverCounts;
  /** Waits for what is on its way, but not for long. */
  close(): Promise<void>;
}

/** Since it was opened, but for `waiting`. */
export interface ReceiverCounts {
  readonly pending: number;
  readonly sent: number;
  /** What nobody will get. */
  readonly dropped: number;
  /** Tries that failed. */
  readonly failed: number;
}
