/** `JSON.rawJSON` is in V8 but not yet in TypeScript's library (TC39 proposal-json-parse-with-source, stage 4). */
declare global {
  interface JSON {
    rawJSON(text: string): unknown;
  }
}

/**
 * JSON in which counters beyond 2^53 keep their digits, and what is unknown or unlimited is `null`.
 * @param indent spaces; 0 for one line.
 */
export function toJson(value: unknown, indent = 0): string {
  const replace = (_key: string, field: unknown) => {
    if (typeof field === "bigint") return JSON.rawJSON(field.toString());
    if (field === Infinity) return null;
    return field;
  };
  return JSON.stringify(value, replace, indent);
}
