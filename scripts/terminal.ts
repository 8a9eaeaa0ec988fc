/** Output of the scripts: results on stdout, progress and mistakes on stderr, a mistake in one line. */

import { progress } from "./progress.ts";

const encoder = new TextEncoder();

export function printLine(line: string): void {
  progress.hide();
  writeAll(Deno.stdout, encoder.encode(line + "\n"));
}

/** Progress and remarks. */
export function note(line: string): void {
  progress.hide();
  writeAll(Deno.stderr, encoder.encode(line + "\n"));
}

/** Passes on the output of another program. */
export function pass(channel: "stdout" | "stderr", bytes: Uint8Array): void {
  const NEW_LINE = 10;
  progress.hide(bytes.at(-1) !== NEW_LINE);
  writeAll(Deno[channel], bytes);
}

/** A mistake that the user can correct: shown as one line, without a stack trace. */
export class Mistake extends Error {
  override readonly name = "Mistake";
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

/** A pipe may take less than it is offered. */
export function writeAll(
  to: { writeSync(bytes: Uint8Array): number },
  bytes: Uint8Array,
): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
