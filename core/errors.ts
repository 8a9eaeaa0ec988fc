/**
 * An error that is one line for the user: what failed, on what object, why, and what to do. Any other thrown value is a bug.
 */
export class OomkitError extends Error {
  override readonly name = "OomkitError";

  /** @param hint what to do; shown after the message. */
  constructor(message: string, readonly hint?: string) {
    super(hint === undefined ? message : `${message}; ${hint}`);
  }
}

/** Thrown by a running command that cannot go on: starting it again may help. */
export class RuntimeFailure extends OomkitError {}

/** The longest paths in use, those of pods under systemd, have about 200 characters. */
const MAX_SHOWN_CHARACTERS = 200;

/** A name for a message: a longer one is shown by its ends. */
export function shortened(name: string): string {
  if (name.length <= MAX_SHOWN_CHARACTERS) return name;
  const half = Math.floor((MAX_SHOWN_CHARACTERS - 1) / 2);
  return `${name.slice(0, half)}…${name.slice(-half)}`;
}

/** The message of whatever was thrown. Deno appends ` (os error N)`, which repeats the text. */
export const errorText = (error: unknown): string =>
  error instanceof Error ? error.message.split(" (os error")[0]! : String(error);
