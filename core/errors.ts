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

/** Several at once, such as all mistakes of a file; each is a line of its own. */
export class OomkitErrors extends OomkitError {
  constructor(readonly errors: readonly OomkitError[]) {
    super(errors.map(({ message }) => message).join("; "));
  }
}

/** Collects what is thrown by independent checks, so that a user need not mend one mistake to see the next. */
export class Mistakes {
  readonly #errors: OomkitError[] = [];

  /** Returns `undefined` if `check` throws an {@link OomkitError}. */
  check<T>(check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      this.#errors.push(...error instanceof OomkitErrors ? error.errors : [error]);
      return undefined;
    }
  }

  throwAny(): void {
    if (this.#errors.length > 1) throw new OomkitErrors(this.#errors);
    if (this.#errors.length === 1) throw this.#errors[0];
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
