/** Events in the form that event routers know: CloudEvents 1.0, JSON format, structured mode. */

import type { OomkitEvent } from "./event.ts";
import { toJson } from "./json.ts";
import type { HttpMessage } from "../receivers/webhook.ts";

export const CLOUD_EVENT_TYPE = "application/cloudevents+json; charset=utf-8";

/**
 * Writes events as one source, each with an id of its own, by which a receiver knows one that comes again.
 *
 * @param since milliseconds since the epoch: when this source began, so that no two runs share an id.
 */
export function cloudEvents(hostname: string, since: number): (event: OomkitEvent) => HttpMessage {
  let count = 0;
  const run = Math.floor(since).toString(36);
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
