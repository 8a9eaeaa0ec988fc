/**
 * The lines of a recording: what the decisions of one run were based on, one JSON line each, in the order in which it was
 * read; documented in docs/schema/recording.schema.json. Sizes are bytes, `at` is milliseconds since the epoch with a
 * fraction; `null` is unknown or no limit. Pure.
 */

import type { InferOutput } from "valibot";
import type { LINES } from "./line_schemas.ts";

/** More characters than any line has: the summary of ten thousand cgroups takes 3 MB. */
export const MAX_LINE_LENGTH = 16 * 1024 ** 2;

type LineOf<Type extends keyof typeof LINES> =
  & { readonly type: Type }
  & Readonly<InferOutput<(typeof LINES)[Type]>>;
export type RecordingHead = LineOf<"recording">;
export type RecordedPolicy = NonNullable<RecordingHead["policies"]>[number];
export type RecordedCgroup = LineOf<"cgroup">;
export type ReferenceLine = RecordedCgroup["reference_lines"][number];
export type RecordedSnapshot = LineOf<"snapshot">;
export type RecordedEvent = LineOf<"event">;
export type AnyEvent = RecordedEvent["event"];
export type RecordingLine = { [Type in keyof typeof LINES]: LineOf<Type> }[keyof typeof LINES];

/** Takes lines as they come, to write them to a file or to draw a picture of the run. Must neither wait nor throw. */
export interface RecordSink {
  line(line: RecordingLine): void;
}

/** Passes each line to all of them. */
export function both(...sinks: readonly RecordSink[]): RecordSink {
  return { line: (line) => sinks.forEach((sink) => sink.line(line)) };
}

/** At the event's own time, microseconds included. */
export function eventLine(event: AnyEvent): RecordedEvent {
  return { type: "event", at: parseTimestamp(event.ts), event };
}

/** Milliseconds since the epoch of an RFC 3339 time in UTC, with any number of digits after the seconds. */
function parseTimestamp(ts: string): number {
  const fraction = /\.\d{3}(\d+)Z$/.exec(ts)?.[1];
  return Date.parse(ts) + (fraction === undefined ? 0 : Number(`0.${fraction}`));
}
