/**
 * Mistakes and states that end in one line for the user: the action, the object, its state, and what would be right.
 * Anything else that is thrown is a bug.
 */
export class OomkitError extends Error {
  override readonly name = "OomkitError";

  /** @param hint what would be right; shown after the message. */
  constructor(message: string, readonly hint?: string) {
    super(hint === undefined ? message : `${message}; ${hint}`);
  }
}

/** The same of what was at work already when it could not go on, so that another start may help. */
export class BrokenOff extends OomkitError {}

/** The longest paths that are in use, those of pods under systemd, have some 200 characters. */
const SHOWN = 200;

/** A name as a message shows it: of one that fills a screen the ends are enough to know it by. */
export function shortened(name: string): string {
  if (name.length <= SHOWN) return name;
  const half = Math.floor((SHOWN - 1) / 2);
  return `${name.slice(0, half)}…${name.slice(-half)}`;
}

/** The message of whatever was thrown. Deno appends ` (os error N)`, which repeats the text. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message.split(" (os error")[0]! : String(error);
}
