/** Runs an oomkit command that emits events as JSON lines, parallel to a test, and hands the events out. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { withDeadline } from "../../core/timing.ts";
import schema from "../../docs/schema/event.schema.json" with { type: "json" };
import { oomkit } from "./run_oomkit.ts";

const isEvent = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

// deno-lint-ignore no-explicit-any
export type Json = any;

export interface EventStream extends AsyncDisposable {
  readonly pid: number;
  /** All events so far. */
  readonly events: readonly Json[];
  /** All of stderr so far; one line once everything is armed. */
  readonly stderr: string;
  /** The first event, past or future, that `matches`. Rejects when the program exits or the time is over without one. */
  next(matches: (event: Json) => boolean): Promise<Json>;
  /** Ends the program like Ctrl-C, and returns all events, the summary last. Rejects for an event that violates the schema. */
  stop(): Promise<readonly Json[]>;
  /** Waits until the program exits by itself. Rejects like `stop`. */
  ended(): Promise<{ readonly code: number; readonly events: readonly Json[] }>;
}

export interface EventStreamOptions {
  /** Matches stderr once everything is armed. */
  readonly armed: RegExp;
  readonly env?: Readonly<Record<string, string>>;
  readonly program?: readonly string[];
  /** Milliseconds to wait for an event. */
  readonly timeout?: number;
}

/** Only a program that hangs takes longer: with a load of 14 on two CPUs an emulated one took more than 30 s. */
const MAX_MS_FOR_EVENT = 300_000;

const MAX_EVENTS_SHOWN = 40;

/** Resolves once everything is armed. */
export async function startEventStream(
  args: readonly string[],
  { armed: armedLine, env = {}, program = oomkit(), timeout = MAX_MS_FOR_EVENT }:
    EventStreamOptions,
): Promise<EventStream> {
  const [command, ...rest] = [...program, ...args];
  const child = new Deno.Command(command!, {
    args: rest,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...env },
  }).spawn();
  const events: Json[] = [];
  let waiting: { matches: (event: Json) => boolean; resolve: (event: Json) => void }[] = [];
  let stderr = "";
  const armed = Promise.withResolvers<void>();

  const readErrors = async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      stderr += text;
      if (armedLine.test(stderr)) armed.resolve();
    }
    armed.resolve();
  };
  const readEvents = async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const event = JSON.parse(line);
        events.push(event);
        waiting = waiting.filter(({ matches, resolve }) => !matches(event) || resolve(event));
      }
    }
  };
  const output = Promise.all([readErrors(), readEvents()]);
  const finished = (async () => {
    const { code } = await child.status;
    await output;
    return code;
  })();
  await armed.promise;
  const { code } = await Promise.race([finished.then((code) => ({ code })), { code: undefined }]);
  if (code !== undefined && events.length === 0) {
    throw new Error(`${args[0]} exited with ${code}: ${stderr}`);
  }

  const end = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has exited by itself.
    }
  };
  return {
    pid: child.pid,
    events,
    get stderr() {
      return stderr;
    },
    async next(matches) {
      const found = events.find(matches);
      if (found) return found;
      const { promise, resolve } = Promise.withResolvers<Json>();
      waiting.push({ matches, resolve });
      const exit = finished.then((code) => `the program exited with ${code}`);
      const outcome = await withDeadline(
        timeout,
        Promise.race([promise, exit]),
        () => `${timeout} ms passed`,
      );
      if (typeof outcome !== "string") return outcome;
      const arrived = events.map((event) => `\n${JSON.stringify(event)}`).slice(-MAX_EVENTS_SHOWN);
      throw new Error(
        `the event did not arrive, ${outcome}; of ${events.length} the last are:${
          arrived.join("")
        }\n${stderr}`,
      );
    },
    async stop() {
      end("SIGINT");
      await finished;
      assertDocumented(events);
      return events;
    },
    async ended() {
      const code = await finished;
      assertDocumented(events);
      return { code, events };
    },
    async [Symbol.asyncDispose]() {
      end("SIGKILL");
      await finished;
    },
  };
}

function assertDocumented(events: readonly Json[]): void {
  for (const event of events) {
    if (isEvent(event)) continue;
    const errors = JSON.stringify(isEvent.errors, null, 1);
    assert.fail(`this event does not fit the schema: ${JSON.stringify(event)}\n${errors}`);
  }
}
