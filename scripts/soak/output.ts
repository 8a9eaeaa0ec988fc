/** Whether what the programs print is what they promise. */

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import eventSchema from "../../docs/schema/event.schema.json" with { type: "json" };
import inspectSchema from "../../docs/schema/inspect.schema.json" with { type: "json" };

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
const isEvent = ajv.compile(eventSchema);
const isInspection = ajv.compile(inspectSchema);

/** Whether it fits docs/schema. In one line; `undefined` when it fits. */
export const eventFault = (event: unknown): string | undefined => fault(isEvent, event);
export const inspectionFault = (document: unknown): string | undefined =>
  fault(isInspection, document);

function fault(fits: ValidateFunction, document: unknown): string | undefined {
  if (fits(document)) return undefined;
  const { instancePath, message } = fits.errors![0]!;
  return `${instancePath || "/"} ${message}`;
}

/** Lines that a guard and a watch may print on stderr; any other line is a finding. */
const EXPECTED: readonly RegExp[] = [
  /^guarding /,
  /^watching /,
  /^configuration reloaded: /,
  // The full log file.
  /^cannot write to \/dev\/full: No space left on device$/,
  /^cannot write to \/dev\/full: \d+ reports are waiting, and the oldest are dropped$/,
  /^could not write to \/dev\/full: \d+ reports? (was|were) dropped \(\d+ \w+(, \d+ \w+)*\)$/,
  /^--ignore 777777777 matches no running process and no cgroup$/,
];

/** Why a line is unexpected; `undefined` when it is expected. */
export function unexpectedReason(line: string): string | undefined {
  if (/^\s+at .+:\d+/.test(line) || /Uncaught|panicked|RUST_BACKTRACE/.test(line)) {
    return "a stack trace";
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]/.test(line)) return "a control character";
  return EXPECTED.some((known) => known.test(line)) ? undefined : "an unknown line";
}
