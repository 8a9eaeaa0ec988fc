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
