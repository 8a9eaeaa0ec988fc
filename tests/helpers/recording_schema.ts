/** Whether a value is a line of a recording according to the published schema. */

import { Ajv2020 } from "ajv/dist/2020.js";
import schema from "../../docs/schema/recording.schema.json" with { type: "json" };

export const isRecordingLine = new Ajv2020({ allErrors: true, allowUnionTypes: true })
  .compile(schema);
