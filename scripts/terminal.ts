/** What all scripts share: results on stdout, progress and mistakes on stderr, a mistake in one line, ending on a signal. */

import { createProgress, terminalOutput } from "../cli/terminal/progress.ts";

/** All other output goes through this file, which hides the progress line first. */
export const progress = createProgress(terminalOutput());

export function printLine(line: string): void {
  progress.hide();
  writeAll(Deno.stdout, new TextEncoder().encode(line + "\n"));
}

/** Progress and remarks. */
export function note(line: string): void {
  progress.hide();
  writeAll(Deno.stderr, new TextEncoder().encode(line + "\n"));
}

/** Passes on the output of another program. */
export function pass(channel: "stdout" | "stderr", bytes: Uint8Array): void {
  const NEW_LINE = 10;
  progress.hide(bytes.at(-1) !== NEW_LINE);
  writeAll(Deno[channel], bytes);
}

/** A pipe may take less than it is offered. */
export function writeAll(
  to: { writeSync(bytes: Uint8Array): number },
  bytes: Uint8Array,
): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** A mistake that the user can correct: shown as one line, without a stack trace. */
export class Mistake extends Error {
  override readonly name = "Mistake";
}

/** The result of parsing arguments. @param hint what may be given. @throws Mistake with the hint when it fails. */
export function parsed<Result>(parse: () => Result, hint: string): Result {
  try {
    return parse();
  } catch (error) {
    throw new Mistake(`${(error as Error).message}; ${hint}`);
  }
}

/** Runs a script's main and exits with its code: 2 for a mistake. */
export async function run(name: string, main: () => Promise<number> | number): Promise<never> {
  try {
    const code = await main();
    progress.end();
    Deno.exit(code);
  } catch (error) {
    progress.end();
    if (!(error instanceof Mistake)) throw error;
    note(`${name}: ${error.message}`);
    Deno.exit(2);
  }
}

export const endingSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Aborted by a signal, which then does not end the script: work under way has to end by itself. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of endingSignals) Deno.addSignalListener(signal, () => controller.abort());
  return controller.signal;
}

/**
 * Ends the script on a signal, after hiding the progress line.
 * @param leave removes what the script has made so far; must not throw.
 */
export function endWithProgress(leave: () => void): void {
  for (const signal of endingSignals) {
    const handle = () => {
      progress.end();
      leave();
      Deno.removeSignalListener(signal, handle);
      // Send the signal again: now it ends the script as it would have without a handler.
      Deno.kill(Deno.pid, signal);
    };
    Deno.addSignalListener(signal, handle);
  }
}
