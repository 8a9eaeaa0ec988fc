/** YAML, which only the scripts and tests read. */

import { parseAllDocuments } from "yaml";

// deno-lint-ignore no-explicit-any
export type Json = any;

/** @returns the documents of a file, without the empty ones. @throws with the file's name when it is no YAML. */
export function parseYaml(text: string, file: string): Json[] {
  return parseAllDocuments(text, { strict: true, uniqueKeys: true }).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`cannot read ${file}: ${error.message}`);
    const value = document.toJS();
    return value === null ? [] : [value];
  });
}
