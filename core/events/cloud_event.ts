/** Events as CloudEvents 1.0, JSON format, structured mode. */

import type { OomkitEvent } from "./event.ts";
import { toJson } from "./json.ts";

/** A request body and its media type. */
export interface HttpMessage {
  readonly body: string;
  readonly type: string;
}

export const CLOUD_EVENT_TYPE = "application/cloudevents+json; charset=utf-8";

/**
 * Returns a writer of events of one source. Each gets a unique id, by which a receiver detects a repeated delivery.
 *
 * @param startedAt start of this source in milliseconds since the epoch: part of the ids, so that two runs share none.
 */
export function cloudEvents(
  hostname: string,
  startedAt: number,
): (event: OomkitEvent) => HttpMessage {
  let count = 0;
  const run = Math.floor(startedAt).toString(36);
  return (event) => {
    count += 1;
    const body = toJson({
      specversion: "1.0",
      id: `${run}-${Deno.pid}-${count}`,
      source: `/oomkit/${encodeURIComponent(hostname)}`,
      type: `io.oomkit.${event.type}`,
      subject: event.cgroup,
      time: event.ts,
      datacontenttype: "application/json",
      data: event,
    });
    return { body, type: CLOUD_EVENT_TYPE };
  };
}
