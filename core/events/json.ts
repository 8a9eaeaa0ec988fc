/** `JSON.rawJSON` is in V8 but not yet in TypeScript's library (TC39 proposal-json-parse-with-source, stage 4). */
declare global {
  interface JSON {
    rawJSON(text: string): unknown;
  }
}

/**
 * JSON in which counters beyond 2^53 keep all digits, and `Infinity` (no limit) is `null`.
 *
 * @param indent spaces; 0 for one line.
 */
export function toJson(value: unknown, indent = 0): string {
  const replace = (_key: string, field: unknown) => {
    if (typeof field === "bigint") return JSON.rawJSON(field.toString());
    return field === Infinity ? null : field;
  };
  return escapeTerminalControls(JSON.stringify(value, replace, indent));
}

/**
 * Escapes the characters that JSON allows in strings and a terminal obeys: DEL, C1 controls (U+009B starts an escape sequence), line
 * separators and direction marks. The JSON means the same.
 */
export function escapeTerminalControls(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
