/** Runs a command of `oomkit` that tells of events, a JSON line each, beside a test, and hands them out. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import schema from "../../docs/schema/event.schema.json" with { type: "json" };
import { oomkit } from "./run_oomkit.ts";

const isEvent = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

// deno-lint-ignore no-explicit-any
export type Json = any;

export interface Telling extends AsyncDisposable {
  readonly pid: number;
  /** Every event so far. */
  readonly events: readonly Json[];
  /** What stderr has said so far; one line once everything is armed. */
  readonly stderr: string;
  /** The first event, past or to come, for which `wanted` holds. Rejects when the program ends, or is silent, without one. */
  next(requested: (event: Json) => boolean): Promise<Json>;
  /** Ends the program as Ctrl-C does, and returns all its events, the summary last. Throws when one does not fit the schema. */
  stop(): Promise<readonly Json[]>;
  /** Waits for it to end by itself. Throws as `stop` does. */
  ended(): Promise<{ readonly code: number; readonly events: readonly Json[] }>;
}

export interface TellingOptions {
  /** Stands on stderr once everything is armed. */
  readonly armed: RegExp;
  readonly env?: Readonly<Record<string, string>>;
  readonly program?: readonly string[];
  /** How long an event may be waited for (milliseconds). */
  readonly heartbeatAge?: number;
}

/** A test that waits for what never comes shall say so, and clean up. Nothing takes as long, in an emulated machine neither. */
const SILENCE_MS = 30_000;

/** Returns once everything is armed. */
export async function startTelling(
  args: readonly string[],
  { armed: line, env = {}, program = oomkit(), heartbeatAge = SILENCE_MS }: TellingOptions,
): Promise<Telling> {
  const [command, ...rest] = [...program, ...args];
  const child = new Deno.Command(command!, {
    args: rest,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...env },
  }).spawn();
  const events: Json[] = [];
  let waiting: { requested: (event: Json) => boolean; resolve: (event: Json) => void }[] = [];
  let stderr = "";
  const armed = Promise.withResolvers<void>();

  const readErrors = async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      stderr += text;
      if (line.test(stderr)) armed.resolve();
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
        waiting = waiting.filter(({ requested, resolve }) => !requested(event) || resolve(event));
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
    throw new Error(`${args[0]} ended with ${code}: ${stderr}`);
  }

  const end = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has ended by itself.
    }
  };
  return {
    pid: child.pid,
    events,
    get stderr() {
      return stderr;
    },
    async next(requested) {
      const found = events.find(requested);
      if (found) return found;
      const { promise, resolve } = Promise.withResolvers<Json>();
      waiting.push({ requested, resolve });
      const late = Promise.withResolvers<undefined>();
      const timer = setTimeout(late.resolve, heartbeatAge);
      const event = await Promise.race([promise, late.promise, finished.then(() => undefined)]);
      clearTimeout(timer);
      if (event !== undefined) return event;
      const types = events.map(({ type }) => type).join(" ") || "nothing";
      throw new Error(`the event did not come, only ${types}: ${stderr}`);
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
