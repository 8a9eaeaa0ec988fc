/** A document as YAML, in block style: the same values as in JSON, with all digits of a counter, and no limit as `null`. */

import { escapeTerminalControls } from "./json.ts";

/** Ends with a newline. */
export const toYaml = (document: unknown): string => `${block(document, "").trimStart()}\n`;

/** Begins with a newline, or with a blank for what stands on the line of its key. */
function block(value: unknown, indent: string): string {
  if (Array.isArray(value) && value.length > 0) {
    return value.map((item) => `\n${indent}- ${block(item, `${indent}  `).trimStart()}`).join("");
  }
  const fields = isRecord(value)
    ? Object.entries(value).filter(([, field]) => field !== undefined)
    : [];
  if (fields.length === 0) return ` ${scalar(value)}`;
  return fields.map(([key, field]) => {
    // The items of a list are no deeper than its key.
    const deeper = Array.isArray(field) ? indent : `${indent}  `;
    return `\n${indent}${textOf(key)}:${block(field, deeper)}`;
  }).join("");
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function scalar(value: unknown): string {
  if (typeof value === "string") return textOf(value);
  if (value === null || value === undefined || value === Infinity) return "null";
  if (Array.isArray(value)) return "[]";
  return typeof value === "object" ? "{}" : String(value);
}

/** YAML 1.1, which many programs still read, takes these for booleans and null, and some of them `E0` for a number. */
const RESERVED = /^(true|false|yes|no|on|off|y|n|null|e-?\d+)$/i;

/** Without quotes only what no version of YAML reads as anything but text. A string of JSON is a quoted one of YAML. */
function textOf(text: string): string {
  const isPlain = /^[A-Za-z_/][\w/.-]*$/.test(text) && !RESERVED.test(text);
  return isPlain ? text : escapeTerminalControls(JSON.stringify(text));
}
