/** Small files that the user names, read as a whole: configurations, secrets, certificates. */

import { errorText, OomkitError, shortened } from "../../core/errors.ts";

/** These files have some KiB. */
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
