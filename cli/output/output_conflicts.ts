/** The files that one call writes and reads: no two of them may be one, or `--force` makes the second of the first. */

import { basename, dirname, join } from "node:path";
import { OomkitError, shortened } from "../../core/errors.ts";
import type { RecordFlags } from "../options/record.ts";

type Written = Partial<Pick<RecordFlags, "record" | "html" | "svg">>;

/**
 * @param read the recording that is read, for its pictures.
 * Throws `OomkitError` for two that are the same, whatever way leads to them.
 */
export function checkOutputConflicts({ record, html, svg }: Written, read?: string): void {
  const taken = new Map<string, string>();
  for (const place of read === undefined ? [] : [placeOf(read), ...realPathOf(read)]) {
    taken.set(place, "the recording itself");
  }
  for (const [flag, path] of [["--record", record], ["--html", html], ["--svg", svg]] as const) {
    if (path === undefined) continue;
    const place = placeOf(path);
    const other = taken.get(place);
    if (other !== undefined) {
      throw new OomkitError(
        `cannot write ${flag} to ${shortened(path)}: it is ${other}`,
        "name two files",
      );
    }
    taken.set(place, `the file of ${flag}`);
  }
}

/** Where a name is: what lies there, a link too, is what would make room. */
function placeOf(path: string): string {
  const [folder = dirname(path)] = realPathOf(dirname(path));
  return join(folder, basename(path));
}

/** None of what is not there: who makes it says so. */
function realPathOf(path: string): string[] {
  try {
    return [Deno.realPathSync(path)];
  } catch {
    return [];
  }
}
