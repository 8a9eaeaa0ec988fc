/** The outcome of a stage, and the sum of several. */

export interface Outcome {
  readonly what: string;
  readonly passed: number;
  readonly failed: number;
  /** Tests that did not run, each with the reason. */
  readonly skipped: readonly string[];
  /** A remark beside the counts. */
  readonly remark?: string;
  /** Output about the failures. */
  readonly failures?: string;
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** @param strict as in CI: a stage that did not run has failed. */
export function total(outcomes: readonly Outcome[], strict: boolean): Totals {
  const sum = (count: (outcome: Outcome) => number) =>
    outcomes.reduce((so_far, outcome) => so_far + count(outcome), 0);
  const skipped = sum((outcome) => outcome.skipped.length);
  return {
    passed: sum((outcome) => outcome.passed),
    failed: sum((outcome) => outcome.failed) + (strict ? skipped : 0),
    skipped: strict ? 0 : skipped,
  };
}

export function lastLine({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** A stage that could not run at all. */
export function missing(what: string, reason: string): Outcome {
  return { what, passed: 0, failed: 0, skipped: [reason] };
}
