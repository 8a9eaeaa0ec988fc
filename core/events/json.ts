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
  return harmless(JSON.stringify(value, replace, indent));
}

/**
 * JSON in which also those characters are escaped that JSON would let through and a terminal would obey: DEL, C1 (U+009B is an
 * escape sequence's beginning), line separators, marks of direction. They stand in texts only, and mean the same there.
 */
export function harmless(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
