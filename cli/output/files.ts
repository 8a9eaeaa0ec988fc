/** Files that the user names: small ones that are read as a whole, results, and whether two outputs are one file. */

import { basename, dirname, join } from "node:path";
import { errorText, OomkitError, shortened } from "../../core/errors.ts";
import { refuseUntrustedSymlink } from "../../core/receivers/symlink_check.ts";
import { writeAll } from "./output.ts";

/** Configurations, secrets and certificates have some KiB. */
const MAX_FILE_BYTES = 1024 ** 2;

/**
 * Throws {@link OomkitError} for a file that cannot be read, is too large, or is not a regular file.
 *
 * @param what for the message, up to the path: "the secret in".
 * @param refuse returns a further reason not to read the file.
 */
export function readTextFile(
  path: string,
  what: string,
  refuse: (info: Deno.FileInfo) => string | undefined = () => undefined,
): string {
  try {
    // Checked first, because opening a FIFO blocks until a writer opens it.
    const info = Deno.statSync(path);
    const obstacle = obstacleIn(info) ?? refuse(info);
    if (obstacle !== undefined) throw new Error(obstacle);
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new OomkitError(
      `cannot read ${what} ${shortened(path)}: ${errorText(error)}`,
      "name a readable regular file of at most 1 MiB",
    );
  }
}

function obstacleIn(info: Deno.FileInfo): string | undefined {
  if (info.isDirectory) return "it is a directory";
  if (info.isFifo) return "it is a FIFO";
  if (!info.isFile) return "it is not a regular file";
  return info.size > MAX_FILE_BYTES ? `it has ${info.size} bytes` : undefined;
}

/**
 * To be called before the work that produces the result, so that an unwritable name does not waste it. Both this and `write` throw
 * {@link OomkitError}; `write` when the text cannot be written as a whole.
 *
 * @param what such as "the report".
 */
export function openResultFile(path: string, what: string) {
  const attempt = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw new OomkitError(
        `cannot write ${what} to ${shortened(path)}: ${errorText(error)}`,
        "name a writable file",
      );
    }
  };
  const file = attempt(() => open(path));
  return {
    write: (text: string): void => attempt(() => writeAll(file, text)),
    [Symbol.dispose]: (): void => file.close(),
  };
}

/** Follows links of the own user and of root: /dev/stdout is one, and so is the shell's `>(…)`. */
function open(path: string): Deno.FsFile {
  refuseUntrustedSymlink(path);
  const file = Deno.openSync(path, { write: true, create: true });
  try {
    refuseUntrustedSymlink(path, file);
    // Truncated only after the check, and only what has a length: a pipe has none.
    if (file.statSync().isFile) file.truncateSync();
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The options of files that a command writes; those that replace a file come last. */
const OUTPUT_OPTIONS = {
  logFile: "--log-file",
  report: "--report",
  junit: "--junit",
  record: "--record",
  html: "--html",
  svg: "--svg",
} as const;

/**
 * Throws {@link OomkitError} when two paths lead to the same file: `--force` would replace the first by the second.
 *
 * @param input the recording that the command reads.
 */
export function checkOutputConflicts(
  flags: { readonly [Name in keyof typeof OUTPUT_OPTIONS]?: unknown },
  input?: string,
): void {
  const taken = new Map<string, string>();
  for (const path of input === undefined ? [] : [directoryEntry(input), ...realPathOf(input)]) {
    taken.set(path, "the recording itself");
  }
  for (const [name, option] of Object.entries(OUTPUT_OPTIONS)) {
    const path = flags[name as keyof typeof OUTPUT_OPTIONS];
    if (typeof path !== "string") continue;
    const entry = directoryEntry(path);
    const other = taken.get(entry);
    if (other !== undefined) {
      const message = `cannot write ${option} to ${shortened(path)}: it is ${other}`;
      throw new OomkitError(message, "name two files");
    }
    taken.set(entry, `the file of ${option}`);
  }
}

/** The real path of the directory with the name in it. A link there is not resolved: `--force` replaces the link itself. */
function directoryEntry(path: string): string {
  const [directory = dirname(path)] = realPathOf(dirname(path));
  return join(directory, basename(path));
}

/** Empty for a path that does not exist; writing it reports the error. */
function realPathOf(path: string): string[] {
  try {
    return [Deno.realPathSync(path)];
  } catch {
    return [];
  }
}
