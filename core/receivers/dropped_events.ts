/** The bound of the queue for events with priority (`hasPriority`), and what receivers have dropped. Pure. */

import type { EventType } from "../events/event.ts";

/** Bounds the memory while a receiver is down: about 10 MB of kills, more than two a second for an hour. */
export const MAX_QUEUED_PRIORITY_EVENTS = 10_000;

/** Counts by event type. */
export type TypeCounts = ReadonlyMap<EventType, number>;

/** What was dropped, by event type. */
export class DropCounts {
  readonly #all = new Map<EventType, number>();
  readonly #unreported = new Map<EventType, number>();

  get all(): TypeCounts {
    return this.#all;
  }

  /** @param isReported by another message than that of {@link takeUnreported}. */
  add(type: EventType, count = 1, isReported = false): void {
    if (count === 0) return;
    this.#all.set(type, (this.#all.get(type) ?? 0) + count);
    if (!isReported) this.#unreported.set(type, (this.#unreported.get(type) ?? 0) + count);
  }

  /** Those since the last call. */
  takeUnreported(): TypeCounts {
    const taken = new Map(this.#unreported);
    this.#unreported.clear();
    return taken;
  }
}

export const totalOf = (counts: TypeCounts): number =>
  counts.values().reduce((sum, count) => sum + count, 0);

/** `9 threshold, 2 max`, the most frequent type first. */
export const typesText = (counts: TypeCounts): string =>
  [...counts].sort(([, a], [, b]) => b - a).map(([type, count]) => `${count} ${type}`).join(", ");
