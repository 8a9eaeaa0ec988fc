/** `oomkit watch --json` beside a measurement. */

import { microseconds } from "../../core/kernel/clock.ts";
import { Mistake } from "../terminal.ts";
import { executable } from "./start_up.ts";

export interface Watch extends AsyncDisposable {
  readonly pid: number;
  /** What it says once everything is armed. */
  readonly armed: string;
  /** The next event, with the microseconds since the epoch at which it was read. */
  nextLine(): Promise<{ readonly line: string; readonly at: number }>;
}

/** Returns when it is armed. */
export async function startWatch(args: readonly string[]): Promise<Watch> {
  const child = new Deno.Command(executable, {
    args: ["watch", "--json", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const events = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const armed = (await said.read()).value ?? "";
  const end = async () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await Promise.all([drain(said), drain(events), child.status]);
  };
  if (!armed.startsWith("watching ")) {
    await end();
    throw new Mistake(`cannot watch: ${armed.trim()}`);
  }
  let rest = "";
  return {
    pid: child.pid,
    armed,
    async nextLine() {
      for (let ended = false; !ended;) {
        const [line, ...later] = rest.split("\n");
        if (later.length > 0) {
          rest = later.join("\n");
          return { line: line!, at: microseconds() };
        }
        const { done, value } = await events.read();
        ended = done;
        rest += value ?? "";
      }
      throw new Mistake("cannot measure: the watch has ended");
    },
    [Symbol.asyncDispose]: end,
  };
}

async function drain(reader: ReadableStreamDefaultReader<string>): Promise<void> {
  while (!(await reader.read()).done);
}
