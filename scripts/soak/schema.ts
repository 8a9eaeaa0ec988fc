/** Whether what the program prints is what docs/schema promises. */

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import eventSchema from "../../docs/schema/event.schema.json" with { type: "json" };
import inspectSchema from "../../docs/schema/inspect.schema.json" with { type: "json" };

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
const isEvent = ajv.compile(eventSchema);
const isInspection = ajv.compile(inspectSchema);

/** In one line; `undefined` when it fits. */
export const eventFault = (event: unknown): string | undefined => fault(isEvent, event);
export const inspectionFault = (document: unknown): string | undefined =>
  fault(isInspection, document);

function fault(fits: ValidateFunction, document: unknown): string | undefined {
  if (fits(document)) return undefined;
  const { instancePath, message } = fits.errors![0]!;
  return `${instancePath || "/"} ${message}`;
}
