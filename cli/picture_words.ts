/** How a picture says what happened: in the words of the command line. */

import type { Words } from "../core/picture/gather.ts";
import { EVENT_TYPES, type OomkitEvent } from "../core/report/event.ts";
import type { OwnEvent } from "../core/simulate/simulation_event.ts";
import { eventFacts } from "./event_text.ts";
import { printable } from "./output.ts";
import { headline } from "./verdict_text.ts";

export const pictureWords: Words = {
  shown: printable,
  facts(event) {
    try {
      return printable(factsOf(event) ?? "") || undefined;
    } catch {
      // It is out of a file, where an event may be anything.
      return "(what is recorded of it cannot be read)";
    }
  },
};

function factsOf(event: { readonly type: string }): string | undefined {
  if (event.type === "summary") return undefined;
  if (EVENT_TYPES.some((type) => type === event.type)) {
    return eventFacts(withCounts(event) as OomkitEvent);
  }
  return simulationFacts(event as OwnEvent);
}

/** In a recording counts are numbers, as in all JSON. */
function withCounts(event: object): object {
  return Object.fromEntries(
    Object.entries(event).map(([name, value]) => [
      name,
      (name === "count" && typeof value === "number" || name === "stalled_us") && value !== null
        ? BigInt(value)
        : value,
    ]),
  );
}

/** Of the many steps of a simulation the line tells. */
function simulationFacts(event: OwnEvent): string | undefined {
  switch (event.type) {
    case "verdict":
      return headline(event);
    case "start":
      return event.fake === null
        ? `${
          event.pids.length === 1 ? "an allocator" : `${event.pids.length} allocators`
        } of ${event.kind} memory begin${event.pids.length === 1 ? "s" : ""}`
        : `a made-up tree is played with: ${event.fake}`;
    case "signal":
      return `pid ${event.pid} got ${event.signal}`;
    case "exit":
      return `pid ${event.pid} ended with status ${event.exit_code}`;
    default:
      return undefined;
  }
}
