/** `oomkit watch --json` or `oomkit guard --json` during a measurement. */

import { microseconds } from "../../core/kernel/clock.ts";
import { Mistake } from "../terminal.ts";
import { endChild, startChild } from "./race_children.ts";
import { executable } from "./start_up.ts";

export interface Watch extends AsyncDisposable {
  readonly pid: number;
  /** Its start line, printed once everything is armed. */
  readonly armed: string;
  /** The next event, with the microseconds since the epoch at which it was read. */
  nextLine(): Promise<{ readonly line: string; readonly at: number }>;
}

/** Returns when it is armed. */
export function startWatch(args: readonly string[]): Promise<Watch> {
  return startBeside(["watch", "--json", ...args], "watching ");
}

/** Returns when it guards. It ends by itself when this program is killed. */
export function startDryGuard(args: readonly string[]): Promise<Watch> {
  const dry = ["guard", "--json", "--dry-run", "--policy", "process", "--for", "30m", ...args];
  return startBeside(dry, "guarding ");
}

/** @param word the first word of its start line. */
async function startBeside(args: readonly string[], word: string): Promise<Watch> {
  const options = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const child = startChild([executable, ...args], options, "SIGTERM");
  const said = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const events = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const armed = (await said.read()).value ?? "";
  const end = async () => {
    endChild(child, "SIGTERM");
    await Promise.all([drain(said), drain(events), child.status]);
  };
  if (!armed.startsWith(word)) {
    await end();
    throw new Mistake(`cannot ${args[0]}: ${armed.trim()}`);
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
