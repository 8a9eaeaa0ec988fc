/** What a destination of events implements. To add one, write it here and add a row to `cli/receivers/receivers.ts`. */

import type { OomkitEvent } from "../events/event.ts";
import type { TypeCounts } from "./dropped_events.ts";

export interface Receiver {
  /** In messages and as the metrics' label `receiver`: `webhook`, `exec`, `kubernetes`, `log`. */
  readonly name: string;
  /**
   * Returns immediately; delivery happens later.
   *
   * @param stat memory.stat as read for the decision that the event reports; empty for events without a decision.
   */
  report(event: OomkitEvent, stat: string): void;
  counts(): ReceiverCounts;
  /** The events that were never delivered, by type. */
  droppedByType(): TypeCounts;
  /** Waits a bounded time for pending events, then drops them. */
  close(): Promise<void>;
}

/** Totals since the receiver was opened, except for `pending`. */
export interface ReceiverCounts {
  /** Events that are queued or being delivered now. */
  readonly pending: number;
  readonly sent: number;
  /** Events that were never delivered. */
  readonly dropped: number;
  /** Failed attempts. */
  readonly failed: number;
}
