/** Events as lines of a recording. Pure but for what it is handed. */

import type { AnyEvent, RecordedEvent } from "./format.ts";

/** At the time that the event itself gives, microseconds included. */
export function eventLine(event: AnyEvent): RecordedEvent {
  return { type: "event", at: millisecondsOf(event.ts), event };
}

/** Milliseconds since the epoch of RFC 3339 in UTC, with as many digits as there are. */
export function millisecondsOf(ts: string): number {
  const whole = Date.parse(ts);
  const digits = /\.\d{3}(\d+)Z$/.exec(ts)?.[1] ?? "";
  return digits === "" ? whole : whole + Number(`0.${digits}`);
}
