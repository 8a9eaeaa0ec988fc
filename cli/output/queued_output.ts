/** What is printed and said by who must not be held up by those who read it. */

import { type EventWriter, openEventWriter } from "./event_writer.ts";
import { divertOutput, OutputClosed } from "./output.ts";

/** Milliseconds: what is said in the end is short. */
const TALK_CLOSE_MS = 250;

/** From now on `print` and `say` do not wait, until this is closed. */
export function openQueuedOutput(): Pick<EventWriter, "close"> {
  // Talk that nobody listens to is dropped without a word, there being nowhere left to say it.
  const talk = openEventWriter({
    stream: Deno.stderr,
    warn: () => {},
    timeout: TALK_CLOSE_MS,
  });
  const events = openEventWriter({ stream: Deno.stdout, warn: talk.write });
  divertOutput({ print: events.write, printStderr: talk.write });
  // There are other receivers, and there is a guard.
  events.broken.catch((error) => {
    const why = error instanceof OutputClosed ? "nobody reads stdout any more" : error.message;
    talk.write(`oomkit: ${why}: events are printed no longer`);
  });
  return {
    async close() {
      await events.close();
      await talk.close();
      divertOutput(undefined);
    },
  };
}
