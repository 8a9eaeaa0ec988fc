/** What a guard prints and says, so that no reader can hold it up; and what goes wrong where nobody waits for it. */

import { type EventWriter, openEventWriter } from "./event_writer.ts";
import { divertOutput, OutputClosed } from "./output.ts";

/** Milliseconds: what is said in the end is short. */
const TALK_CLOSE_MS = 250;

/** From now on `print` and `say` do not wait, until this is closed. */
export function openQueuedOutput(): Pick<EventWriter, "close"> {
  // Talk that nobody listens to is dropped without a word, there being nowhere left to say it.
  const talk = openEventWriter({
    stream: Deno.stderr,
    complain: () => {},
    timeout: TALK_CLOSE_MS,
  });
  const events = openEventWriter({ stream: Deno.stdout, complain: talk.write });
  divertOutput({ print: events.write, say: talk.write });
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

export interface Faults {
  /** Rejects with the first one. */
  readonly thrown: Promise<never>;
  /** As if it had been thrown where nobody waits. */
  fail(error: unknown): void;
  /** Lets the next one end the process again. */
  off(): void;
}

/** Exceptions that nobody catches would end the process with everything as it was set. */
export function catchFaults(): Faults {
  const thrown = Promise.withResolvers<never>();
  thrown.promise.catch(() => {});
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    thrown.reject(event.error ?? event.message);
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    thrown.reject(event.reason);
  };
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  return {
    thrown: thrown.promise,
    fail: thrown.reject,
    off() {
      globalThis.removeEventListener("error", onError);
      globalThis.removeEventListener("unhandledrejection", onRejection);
    },
  };
}
