/** What the schemas of the manifests are made of: JSON Schema, draft 07. */

export type Schema = Readonly<Record<string, unknown>>;

export const text: Schema = { type: "string" };
export const whole: Schema = { type: "integer" };
export const yes: Schema = { type: "boolean" };

/** All keys that there are; those that end in `!` must be there. */
export function strict(keys: Readonly<Record<string, Schema>>): Schema {
  const named = Object.entries(keys).map(([key, schema]) => [key.replace(/!$/, ""), schema]);
  return {
    type: "object",
    additionalProperties: false,
    required: Object.keys(keys).filter((key) => key.endsWith("!")).map((key) => key.slice(0, -1)),
    properties: Object.fromEntries(named),
  };
}

export const list = (items: Schema, least = 0): Schema => ({
  type: "array",
  items,
  minItems: least,
});

export const choice = (...values: readonly string[]): Schema => ({ enum: values });

export const matching = (pattern: string, maxLength = 253): Schema => ({
  type: "string",
  pattern,
  maxLength,
});

/** RFC 1123, as names of most objects are. */
export const name = matching("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$");
export const portName = matching("^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$", 15);
export const port: Schema = { type: "integer", minimum: 1, maximum: 65535 };
export const portOrName: Schema = { anyOf: [port, portName] };

/** apimachinery, resource.Quantity: a sign, a number, and a suffix. */
export const quantity = matching(
  "^[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
);

/** @param value of the keys, which are label keys: an optional prefix, and a name of at most 63. */
const keyed = (value: Schema): Schema => ({
  type: "object",
  propertyNames: {
    pattern: "^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
  },
  additionalProperties: value,
});

export const labels = keyed(matching("^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", 63));
export const annotations = keyed(text);

export const metadata = strict({
  name: name,
  namespace: matching("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63),
  labels,
  annotations,
});
