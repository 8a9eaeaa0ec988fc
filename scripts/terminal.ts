/** How the scripts talk: results on stdout, progress and mistakes on stderr, a mistake in one line. */

const encoder = new TextEncoder();

export function say(line: string): void {
  writeAll(Deno.stdout, encoder.encode(line + "\n"));
}

/** Progress and remarks. */
export function note(line: string): void {
  writeAll(Deno.stderr, encoder.encode(line + "\n"));
}

/** Something that a person can put right: shown as one line, without a stack trace. */
export class Mistake extends Error {
  override readonly name = "Mistake";
}

/** Runs a script's main and exits with its code: 2 for a mistake. */
export async function run(name: string, main: () => Promise<number> | number): Promise<never> {
  try {
    Deno.exit(await main());
  } catch (error) {
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
