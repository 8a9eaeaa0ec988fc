/** Checks that the files that one command writes and reads are different: `--force` would replace the first by the second. */

import { basename, dirname, join } from "node:path";
import { OomkitError, shortened } from "../../core/errors.ts";
import type { RecordFlags } from "../options/record.ts";

type OutputFlags = Partial<Pick<RecordFlags, "record" | "html" | "svg">>;

/**
 * Throws {@link OomkitError} when two paths lead to the same file.
 *
 * @param input the recording that the command reads.
 */
export function checkOutputConflicts({ record, html, svg }: OutputFlags, input?: string): void {
  const taken = new Map<string, string>();
  for (const path of input === undefined ? [] : [directoryEntry(input), ...realPathOf(input)]) {
    taken.set(path, "the recording itself");
  }
  for (const [flag, path] of [["--record", record], ["--html", html], ["--svg", svg]] as const) {
    if (path === undefined) continue;
    const entry = directoryEntry(path);
    const other = taken.get(entry);
    if (other !== undefined) {
      throw new OomkitError(
        `cannot write ${flag} to ${shortened(path)}: it is ${other}`,
        "name two files",
      );
    }
    taken.set(entry, `the file of ${flag}`);
  }
}

/** The real path of the directory with the name in it. A link there is not resolved: `--force` replaces the link itself. */
function directoryEntry(path: string): string {
  const [folder = dirname(path)] = realPathOf(dirname(path));
  return join(folder, basename(path));
}

/** Empty for a path that does not exist; writing it reports the error. */
function realPathOf(path: string): string[] {
  try {
    return [Deno.realPathSync(path)];
  } catch {
    return [];
  }
}
